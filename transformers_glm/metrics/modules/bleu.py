# SPDX-License-Identifier: Apache-2.0
"""BLEU of a corpus, by sacrebleu."""

import evaluate
from datasets import Features, Sequence, Value
from sacrebleu.metrics import BLEU


DESCRIPTION = """
BLEU-4 of all texts together, as sacrebleu computes it. `bleu_signature` says how the texts were tokenized.
"""

INPUTS = """
Args:
    predictions (`list` of `str`): generated texts.
    references (`list` of `list` of `str`): what may stand for each.
    units (`str`): "english" or "words" (sacrebleu's 13a tokens) or "characters" (its Chinese ones).

Returns:
    bleu (`float`): between 0 and 100.
    bleu_signature (`str`): of sacrebleu.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/bleu.py")
    >>> metric.compute(predictions=["the cat sat on the mat"], references=[["the cat sat on the mat"]])["bleu"]
    100.00000000000004
"""


class Bleu(evaluate.Metric):
    """BLEU-4 of a corpus."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Sequence(Value("string"))}),
        )

    def _compute(self, predictions, references, units="english"):
        bleu = BLEU(tokenize="zh" if units == "characters" else "13a")
        most = max(map(len, references))
        # sacrebleu takes one stream for each reference, None where a text has fewer
        streams = [[row[place] if place < len(row) else None for row in references] for place in range(most)]
        score = bleu.corpus_score(predictions, streams).score
        return {"bleu": score, "bleu_signature": str(bleu.get_signature())}
