# SPDX-License-Identifier: Apache-2.0
"""Share of right labels."""

import evaluate
from datasets import Features, Value
from sklearn.metrics import accuracy_score


DESCRIPTION = "The share of predictions that are the label."

INPUTS = """
Args:
    predictions (`list` of `str`): predicted labels.
    references (`list` of `str`): the labels.

Returns:
    accuracy (`float`): from 0 to 1.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/accuracy.py")
    >>> metric.compute(predictions=["yes", "no"], references=["yes", "yes"])
    {'accuracy': 0.5}
"""


class Accuracy(evaluate.Metric):
    """Accuracy of labels."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(self, predictions, references):
        return {"accuracy": float(accuracy_score(references, predictions))}
