# SPDX-License-Identifier: Apache-2.0
"""Exact match and F1 of answers in words, as ReCoRD and SQuAD count them."""

import re
import string
from collections import Counter

import evaluate
from datasets import Features, Sequence, Value


DESCRIPTION = """
Answers are compared in lower case, without punctuation and articles. exact_match is the share that equals one of the right
answers; f1 is the mean of the best F1 of their words. A row without a right answer is left out.
"""

INPUTS = """
Args:
    predictions (`list` of `str`): one answer for each row.
    references (`list` of `list` of `str`): the right answers of each row.

Returns:
    exact_match (`float`), f1 (`float`): from 0 to 1.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/record.py")
    >>> metric.compute(predictions=["the United Nations", "Mr. Smith"], references=[["United Nations", "UN"], ["John Smith"]])
    {'exact_match': 0.5, 'f1': 0.75}
"""

CITATION = """
@article{zhang2018record,
    title = {{ReCoRD}: Bridging the Gap between Human and Machine Commonsense Reading Comprehension},
    author = {Zhang, Sheng and Liu, Xiaodong and Liu, Jingjing and Gao, Jianfeng and Duh, Kevin and Van Durme, Benjamin},
    journal = {arXiv:1810.12885},
    year = {2018}
}
"""


class Record(evaluate.Metric):
    """Exact match and F1 over the best of several right answers."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Sequence(Value("string"))}),
        )

    def _compute(self, predictions, references):
        rows = [
            (_words(one), list(map(_words, right)))
            for one, right in zip(predictions, references, strict=True)
            if right
        ]
        if not rows:
            raise ValueError("No row has a right answer, so there is nothing to score.")
        return {
            "exact_match": sum(one in right for one, right in rows) / len(rows),
            "f1": sum(max(_f1(one, of_row) for of_row in right) for one, right in rows) / len(rows),
        }


def _words(text: str) -> list[str]:
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _f1(one: list[str], other: list[str]) -> float:
    common = sum((Counter(one) & Counter(other)).values())
    return 2 * common / (len(one) + len(other)) if common else 0.0
