# SPDX-License-Identifier: Apache-2.0
"""Matthews correlation of labels, the metric of CoLA and of SuperGLUE's broad diagnostics."""

import evaluate
from datasets import Features, Value
from sklearn.metrics import matthews_corrcoef


DESCRIPTION = (
    "The correlation of predicted and true labels (Matthews, 1975), which guessing the most frequent one leaves at 0."
)

INPUTS = """
Args:
    predictions (`list` of `str`): predicted labels.
    references (`list` of `str`): the labels.

Returns:
    matthews_correlation (`float`): from -1 to 1; 0 where one label alone is predicted, or there.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/matthews.py")
    >>> metric.compute(predictions=["1", "1", "0"], references=["1", "0", "0"])
    {'matthews_correlation': 0.5}
"""


class MatthewsCorrelation(evaluate.Metric):
    """Matthews correlation coefficient."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("string"), "references": Value("string")}),
        )

    def _compute(self, predictions, references):
        return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}
