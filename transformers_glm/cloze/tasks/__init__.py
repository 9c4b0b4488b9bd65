# SPDX-License-Identifier: Apache-2.0
"""Cloze tasks as YAML files, those of the paper and more."""

from ...names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"load_task": ".loading", "task_names": ".loading"})
