# SPDX-License-Identifier: Apache-2.0
"""Span-token accuracy: how many of the blanked tokens are predicted exactly, each given the true tokens before it."""

import evaluate
import numpy as np
from datasets import Features, Value


DESCRIPTION = """
The share of labelled tokens whose most probable prediction is the label. Labels of -100 do not count.
"""

INPUTS = """
Args:
    predictions (`list` of `int`): the most probable token at each position.
    references (`list` of `int`): the label at each position; -100 is left out.

Returns:
    accuracy (`float`): between 0 and 1.
    tokens (`int`): how many labelled tokens there were.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/span_accuracy.py")
    >>> metric.compute(predictions=[5, 6, 7, 8], references=[-100, 6, 7, 9])
    {'accuracy': 0.6666666666666666, 'tokens': 3}
"""

CITATION = """
@inproceedings{du-etal-2022-glm,
    title = {{GLM}: General Language Model Pretraining with Autoregressive Blank Infilling},
    author = {Du, Zhengxiao and Qian, Yujie and Liu, Xiao and Ding, Ming and Qiu, Jiezhong and Yang, Zhilin and
        Tang, Jie},
    booktitle = {Proceedings of ACL},
    year = {2022}
}
"""


class SpanAccuracy(evaluate.Metric):
    """Accuracy over labelled tokens."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({"predictions": Value("int64"), "references": Value("int64")}),
        )

    def _compute(self, predictions, references):
        predictions, references = np.asarray(predictions), np.asarray(references)
        labelled = references != -100
        if not labelled.any():
            raise ValueError("Every label is -100, so there is nothing to score. Is the evaluation data blanked?")
        right = predictions[labelled] == references[labelled]
        return {"accuracy": float(right.mean()), "tokens": int(labelled.sum())}
