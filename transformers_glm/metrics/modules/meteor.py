# SPDX-License-Identifier: Apache-2.0
"""METEOR without its stage of synonyms, which needs WordNet: exact words, then stems."""

import re

import evaluate
from datasets import Features, Sequence, Value
from nltk.translate.meteor_score import exact_match, stem_match


DESCRIPTION = """
The METEOR of Banerjee and Lavie (2005) by the exact and the stem matches of nltk, times 100. Its third stage, synonyms, needs
WordNet, which is a download: so this is a lower bound of the full METEOR, and is named after its stages.
"""

INPUTS = """
Args:
    predictions (`list` of `str`): generated texts.
    references (`list` of `list` of `str`): what may stand for each; the best one counts.
    units (`str`): "english" or "words" (words, stemmed as English ones) or "characters".

Returns:
    meteor_exact_stem (`float`): mean over the texts, between 0 and 100.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/meteor.py")
    >>> metric.compute(predictions=["the cats sat"], references=[["the cat sat"]])
    {'meteor_exact_stem': 98.14814814814815}
"""

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5  # of 2005: weight of precision against recall, power and weight of the penalty
UNITS = {
    "english": re.compile(r"\w+|[^\w\s]"),
    "words": re.compile(r"\w+|[^\w\s]"),
    "characters": re.compile(r"[a-z0-9]+|\S"),
}


class Meteor(evaluate.Metric):
    """METEOR of exact words and stems."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Sequence(Value("string"))}),
        )

    def _compute(self, predictions, references, units="english"):
        split = UNITS[units]
        total = 0.0
        for prediction, accepted in zip(predictions, references, strict=True):
            words = split.findall(prediction.lower())
            total += max(score(words, split.findall(reference.lower())) for reference in accepted)
        return {"meteor_exact_stem": 100 * total / len(predictions)}


def score(hypothesis: list[str], reference: list[str]) -> float:
    """Weighted harmonic mean of precision and recall, less a penalty for every break in the order of the matches."""
    matches, words_left, reference_left = exact_match(hypothesis, reference)
    stems, _, _ = stem_match([word for _, word in words_left], [word for _, word in reference_left])
    matches = sorted([*matches, *((words_left[i][0], reference_left[j][0]) for i, j in stems)])
    if not matches:
        return 0.0
    follows = ((b[0] - a[0], b[1] - a[1]) == (1, 1) for a, b in zip(matches, matches[1:], strict=False))
    chunks = len(matches) - sum(follows)
    precision, recall = len(matches) / len(hypothesis), len(matches) / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    return mean * (1 - GAMMA * (chunks / len(matches)) ** BETA)
