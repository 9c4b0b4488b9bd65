# SPDX-License-Identifier: Apache-2.0
"""Understanding: classification as a blank to fill."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"ClozeTask": ".task", "finetune": ".run"})
