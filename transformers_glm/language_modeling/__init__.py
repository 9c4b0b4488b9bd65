# SPDX-License-Identifier: Apache-2.0
"""Perplexity, last words, and texts written from nothing."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"evaluate_lm": ".run"})
