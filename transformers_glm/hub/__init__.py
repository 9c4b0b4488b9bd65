# SPDX-License-Identifier: Apache-2.0
"""Makes and uploads repositories for the Hub, of models and of adapters."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(
    __name__,
    {
        "add_code": ".code",
        "make_adapter_repository": ".adapters",
        "make_repository": ".repository",
        "push": ".repository",
    },
)
