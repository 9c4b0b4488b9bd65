# SPDX-License-Identifier: Apache-2.0
"""Macro F1 of labels, the second metric of CommitmentBank."""

import evaluate
from datasets import Features, Value
from sklearn.metrics import f1_score


DESCRIPTION = "The mean over the labels of F1, the harmonic mean of precision and recall."

INPUTS = """
Args:
    predictions (`list` of `str`): predicted labels.
    references (`list` of `str`): the labels.

Returns:
    f1 (`float`): from 0 to 1; a label that is never predicted counts 0.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/f1.py")
    >>> metric.compute(predictions=["a", "a", "b"], references=["a", "b", "b"])
    {'f1': 0.6666666666666666}
"""


class MacroF1(evaluate.Metric):
    """Macro-averaged F1."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(self, predictions, references):
        return {"f1": float(f1_score(references, predictions, average="macro", zero_division=0))}
