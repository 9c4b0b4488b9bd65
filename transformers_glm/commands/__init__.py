# SPDX-License-Identifier: Apache-2.0
"""The command `transformers-glm`: a module for each subcommand, which parses its flags before it imports what takes seconds."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"run": ".command_line"})
