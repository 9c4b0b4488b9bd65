# SPDX-License-Identifier: Apache-2.0
"""F1 of each label: that of the positive one is the second metric of MRPC and QQP."""

import evaluate
from datasets import Features, Value
from sklearn.metrics import f1_score


DESCRIPTION = "F1 of each label, the harmonic mean of its precision and recall."

INPUTS = """
Args:
    predictions (`list` of `str`): predicted labels.
    references (`list` of `str`): the labels.

Returns:
    f1_LABEL (`float`) for each label that is predicted or there: from 0 to 1; of one that is never right 0.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/f1_by_label.py")
    >>> metric.compute(predictions=["1", "1", "0"], references=["1", "0", "0"])
    {'f1_0': 0.6666666666666666, 'f1_1': 0.6666666666666666}
"""


class F1ByLabel(evaluate.Metric):
    """F1 of each label by itself."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(self, predictions, references):
        labels = sorted({*predictions, *references})
        values = f1_score(references, predictions, labels=labels, average=None, zero_division=0)
        return {f"f1_{label}": float(value) for label, value in zip(labels, values, strict=True)}
