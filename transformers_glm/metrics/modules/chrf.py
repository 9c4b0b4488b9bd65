# SPDX-License-Identifier: Apache-2.0
"""chrF of a corpus, by sacrebleu: character n-grams, the same for every language."""

import evaluate
from datasets import Features, Sequence, Value
from sacrebleu.metrics import CHRF


DESCRIPTION = """
chrF2 of all texts together, as sacrebleu computes it.
"""

INPUTS = """
Args:
    predictions (`list` of `str`): generated texts.
    references (`list` of `list` of `str`): what may stand for each.
    units (`str`): without effect, chrF counts characters.

Returns:
    chrf (`float`): between 0 and 100.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/chrf.py")
    >>> metric.compute(predictions=["the cat"], references=[["the cat"]])
    {'chrf': 100.0}
"""


class Chrf(evaluate.Metric):
    """chrF2 of a corpus."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Sequence(Value("string"))}),
        )

    def _compute(self, predictions, references, units="english"):
        most = max(map(len, references))
        # sacrebleu takes one stream for each reference, None where a text has fewer
        streams = [[row[place] if place < len(row) else None for row in references] for place in range(most)]
        return {"chrf": CHRF().corpus_score(predictions, streams).score}
