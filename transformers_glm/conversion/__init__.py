# SPDX-License-Identifier: Apache-2.0
"""Released checkpoints in: read in any form they were published in, and written as safetensors."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"convert": ".run"})
