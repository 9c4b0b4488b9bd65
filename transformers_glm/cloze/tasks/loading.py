# SPDX-License-Identifier: Apache-2.0
"""Cloze tasks as YAML files, those of the paper and more. A task needs code only where its rows must be made first."""

import pkgutil
from pathlib import Path
from typing import Any

import yaml

from ..questions import Scoring
from ..task import ClozeTask


FOLDER = Path(__file__).parent


def task_names() -> list[str]:
    """The names of the tasks in this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_task(name: str, pattern: int | str | None = None, **settings) -> ClozeTask:
    """
    Read a task.

        load_task("cb", pattern=4)
        load_task("my_task.yaml", length_normalization=True)

    Args:
        name (`str`): the name of a task here, or the path of a YAML file.
        pattern (`int` or `str`, *optional*): the number of one of its patterns, or a pattern of your own.
        settings: settings of [`ClozeTask`] and [`Scoring`] in the place of those in the file; `None` leaves it.

    Raises:
        `ValueError`: there is no such task, pattern or setting.
    """
    task = _read(name)
    patterns = task.pop("patterns", {})
    asked = task.get("pattern") if pattern is None else pattern
    if isinstance(asked, int) or str(asked).isdigit():
        if int(asked) not in patterns:
            raise ValueError(f"Task {name} has no pattern {asked}. Its patterns: {sorted(patterns)}.")
        chosen = patterns[int(asked)]
        task |= chosen if isinstance(chosen, dict) else {"pattern": chosen}
    else:
        task["pattern"] = asked
    settings = {setting: value for setting, value in settings.items() if value is not None}
    if settings.keys() & {"verbalizer", "candidates"}:
        task = {setting: value for setting, value in task.items() if setting not in ("verbalizer", "candidates")}
    return make_task({"name": Path(name).stem, **task, **settings})


def make_task(settings: dict[str, Any]) -> ClozeTask:
    """A task of settings, those of [`Scoring`] among them."""
    if unknown := sorted(set(settings) - set(ClozeTask.setting_names())):
        raise ValueError(f"A task has no {', '.join(unknown)}. It has {', '.join(ClozeTask.setting_names())}.")
    if not settings.get("pattern"):
        raise ValueError("A task needs a pattern: a text with a [MASK] and fields of the row in braces.")
    scoring = {name: settings.pop(name) for name in Scoring.__dataclass_fields__ if name in settings}
    prepare = settings.get("prepare")
    if isinstance(prepare, str):
        try:
            settings["prepare"] = pkgutil.resolve_name(prepare)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"prepare: {prepare!r} is no function: {error}. Write it as module:function.") from error
    return ClozeTask(**settings, scoring=Scoring(**scoring))


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(
            f"There is no task {name!r}. Give the path of a YAML file, or one of {', '.join(task_names())}."
        )
    task = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(task, dict):
        raise ValueError(f"{path} holds {type(task).__name__}. A task is settings, one `name: value` a line.")
    return task
