# SPDX-License-Identifier: Apache-2.0
"""Names of modules that are gone, which adapters of PEFT and pickles saved before name as the place of a class."""

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


# a class, and the module that holds it now; modeling_glm held it before
MOVED = {"GLMForMultipleChoice": "multiple_choice_glm"}


class OldModule(MetaPathFinder, Loader):
    """Gives `modeling_glm` for `transformer_glm`, even where an older copy of this code lies about."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        """The old module's, and no other's."""
        return ModuleSpec(name, self) if name == "transformer_glm" else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module that holds the classes now in its place."""
        sys.modules[module.__name__] = importlib.import_module("modeling_glm")


def find_old_module() -> None:
    """Let `transformer_glm.GLMModel` be found where it is now."""
    if not any(type(finder).__name__ == OldModule.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, OldModule())


def find_moved_classes(modeling: ModuleType) -> None:
    """
    Let `modeling_glm.GLMForMultipleChoice` be found where it is now.

    Args:
        modeling (`module`): `modeling_glm`.
    """

    def moved(name: str):
        if name not in MOVED:
            raise AttributeError(f"module {modeling.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(MOVED[name]), name)

    modeling.__getattr__ = moved
