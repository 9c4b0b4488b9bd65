# SPDX-License-Identifier: Apache-2.0
"""Public names of a package that load when they are first used: to import a folder costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def load_on_use(package: str, module_of: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """
    What a package hands out, as its `__getattr__` and its `__all__`.

        __getattr__, __all__ = load_on_use(__name__, {"convert": ".run"})

    Args:
        package (`str`): the package's `__name__`.
        module_of (`Mapping[str, str]`): for each public name the module that defines it, with a dot in front if it is of the package.
    """

    def load(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module_of[name], package), name)

    return load, [*module_of]
