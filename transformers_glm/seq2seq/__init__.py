# SPDX-License-Identifier: Apache-2.0
"""Texts written from a source."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"finetune": ".run"})
