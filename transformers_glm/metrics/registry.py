# SPDX-License-Identifier: Apache-2.0
"""All metrics by their names."""

from .base import Metric, create
from .labels import LABEL_METRICS
from .spans import SPAN_METRICS
from .texts import TEXT_METRICS


METRICS = LABEL_METRICS | TEXT_METRICS | SPAN_METRICS


def metric(name: str) -> Metric:
    """
    The metric of that name, to `compute(predictions=..., references=...)`; nothing is downloaded.

        >>> metric("accuracy").compute(predictions=["yes", "no"], references=["yes", "yes"])
        {'accuracy': 0.5}

    Raises:
        `ValueError`: there is no metric of that name.
        `ImportError`: the library that it computes with is not installed.
    """
    return create(name, METRICS)
