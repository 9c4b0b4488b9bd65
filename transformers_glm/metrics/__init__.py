# SPDX-License-Identifier: Apache-2.0
"""How well labels are predicted, blanks filled and texts written."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(
    __name__,
    {"SpanMetrics": ".spans", "metric": ".registry", "reduce_logits": ".spans", "score_texts": ".texts"},
)
