# SPDX-License-Identifier: Apache-2.0
"""Pretraining by autoregressive blank infilling."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"pretrain": ".run"})
