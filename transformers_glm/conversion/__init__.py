# SPDX-License-Identifier: Apache-2.0
"""Reads released checkpoints in any form they were published in, and writes them as safetensors."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"convert": ".run"})
