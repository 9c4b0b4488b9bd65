# SPDX-License-Identifier: Apache-2.0
"""ROUGE: n-grams and longest common subsequences that a text shares with a reference."""

import re

import evaluate
from datasets import Features, Sequence, Value
from rouge_score.rouge_scorer import RougeScorer


DESCRIPTION = """
F-measures of ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum (sentence by sentence), as rouge_score computes them, times 100.
"""

INPUTS = """
Args:
    predictions (`list` of `str`): generated texts.
    references (`list` of `list` of `str`): what may stand for each; the best one counts.
    units (`str`): "english" (words, stemmed), "words" (of any language) or "characters".

Returns:
    rouge1, rouge2, rougeL, rougeLsum (`float`): means over the texts, between 0 and 100.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/rouge.py")
    >>> metric.compute(predictions=["the cat sat"], references=[["the cat stood"]], units="english")
    {'rouge1': 66.66666666666666, 'rouge2': 50.0, 'rougeL': 66.66666666666666, 'rougeLsum': 66.66666666666666}
"""

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
UNITS = {"words": r"\w+", "characters": r"[a-z0-9]+|\w"}  # in Chinese text a Latin word is one unit
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


class Units:
    """A tokenizer for rouge_score."""

    def __init__(self, pattern: str):
        self.pattern = re.compile(pattern)

    def tokenize(self, text: str) -> list[str]:
        """The units of a text."""
        return self.pattern.findall(text.lower())


class Rouge(evaluate.Metric):
    """F-measures of ROUGE."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Sequence(Value("string"))}),
        )

    def _compute(self, predictions, references, units="english"):
        if units == "english":
            scorer = RougeScorer(KINDS, use_stemmer=True)
        else:
            scorer = RougeScorer(KINDS, tokenizer=Units(UNITS[units]))
        totals = dict.fromkeys(KINDS, 0.0)
        for prediction, accepted in zip(predictions, references, strict=True):
            prediction = SENTENCE_END.sub("\n", prediction)
            scores = [scorer.score(SENTENCE_END.sub("\n", reference), prediction) for reference in accepted]
            for kind in KINDS:
                totals[kind] += max(score[kind].fmeasure for score in scores)
        return {kind: 100 * total / len(predictions) for kind, total in totals.items()}
