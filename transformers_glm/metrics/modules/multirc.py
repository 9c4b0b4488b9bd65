# SPDX-License-Identifier: Apache-2.0
"""F1a and exact match of MultiRC, whose questions have several answers each."""

from collections import defaultdict

import evaluate
from datasets import Features, Value
from sklearn.metrics import f1_score


DESCRIPTION = """
f1_a is F1 of "right" over all answers; exact_match is the share of questions of which every answer is judged rightly.
"""

INPUTS = """
Args:
    predictions (`list` of `dict`): of each answer its question, `group`, and what it is judged to be, `label`: 1 or 0.
    references (`list` of `int`): 1 for right answers, 0 for wrong ones.

Returns:
    f1_a (`float`), exact_match (`float`): from 0 to 1.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/multirc.py")
    >>> predictions = [{"group": "q1", "label": 1}, {"group": "q1", "label": 1}, {"group": "q2", "label": 0}]
    >>> metric.compute(predictions=predictions, references=[1, 0, 0])
    {'f1_a': 0.6666666666666666, 'exact_match': 0.5}
"""

CITATION = """
@inproceedings{khashabi-etal-2018-looking,
    title = {Looking Beyond the Surface: A Challenge Set for Reading Comprehension over Multiple Sentences},
    author = {Khashabi, Daniel and Chaturvedi, Snigdha and Roth, Michael and Upadhyay, Shyam and Roth, Dan},
    booktitle = {Proceedings of NAACL},
    year = {2018}
}
"""


class MultiRC(evaluate.Metric):
    """F1 over answers, exact match over questions."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features(
                {
                    "predictions": {"group": Value("string"), "label": Value("int64")},
                    "references": Value("int64"),
                }
            ),
        )

    def _compute(self, predictions, references):
        labels = [one["label"] for one in predictions]
        questions = defaultdict(list)
        for one, reference in zip(predictions, references, strict=True):
            questions[one["group"]].append(one["label"] == reference)
        return {
            "f1_a": float(f1_score(references, labels, zero_division=0)),
            "exact_match": sum(map(all, questions.values())) / len(questions),
        }
