# SPDX-License-Identifier: Apache-2.0
"""Perplexity per blanked token, from the log-probabilities of the labels."""

import evaluate
import numpy as np
from datasets import Features, Value


DESCRIPTION = """
exp(-mean log p) over the labelled tokens, p being what the model gave to the label. Labels of -100 do not count.
"""

INPUTS = """
Args:
    predictions (`list` of `float`): the natural logarithm of the label's probability at each position.
    references (`list` of `int`): the label at each position; -100 is left out.

Returns:
    perplexity (`float`): 1 is perfect; the vocabulary's size is what a uniform guess has.
    tokens (`int`): how many labelled tokens there were.

Examples:

    >>> metric = evaluate.load("transformers_glm/metrics/modules/span_perplexity.py")
    >>> metric.compute(predictions=[0.0, -0.5, -1.5], references=[-100, 7, 8])
    {'perplexity': 2.718281828459045, 'tokens': 2}
"""


class SpanPerplexity(evaluate.Metric):
    """Perplexity over labelled tokens."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=Features({"predictions": Value("float64"), "references": Value("int64")}),
        )

    def _compute(self, predictions, references):
        predictions, references = np.asarray(predictions), np.asarray(references)
        labelled = references != -100
        if not labelled.any():
            raise ValueError("Every label is -100, so there is nothing to score. Is the evaluation data blanked?")
        return {"perplexity": float(np.exp(-predictions[labelled].mean())), "tokens": int(labelled.sum())}
