# SPDX-License-Identifier: Apache-2.0
"""Text and rows, as they are read."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"load_documents": ".documents", "load_table": ".reader"})
