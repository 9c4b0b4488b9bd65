# SPDX-License-Identifier: Apache-2.0
"""Cloze tasks as YAML files, those of the paper and more. A task needs code only where its rows must be made first."""

from pathlib import Path
from typing import Any

from ...data.prepare import find_function
from ..questions import Scoring
from ..task import ClozeTask
from .schema import read_settings


FOLDER = Path(__file__).parent


def task_names() -> list[str]:
    """The names of the tasks in this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_task(name: str, /, pattern: int | str | None = None, **settings) -> ClozeTask:
    """
    Read a task.

        load_task("cb", pattern=4)
        load_task("my_task.yaml", length_normalization=True)

    Args:
        name (`str`): the name of a task here, or the path of a YAML file.
        pattern (`int` or `str`, *optional*): the number of one of its patterns, or a pattern of your own.
        settings: settings of [`ClozeTask`] and [`Scoring`] in the place of those in the file; `None` leaves it.

    Raises:
        `ValueError`: there is no such task, pattern or setting, or a setting has a value that it does not take.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(
            f"There is no task {name!r}. Give the path of a YAML file, or one of {', '.join(task_names())}."
        )
    task = read_settings(path)
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
    try:
        return _make_task({"name": path.stem, **task, **settings}, path.parent)
    except ValueError as error:
        raise ValueError(f"Task {name}: {error}") from error


def _make_task(settings: dict[str, Any], folder: Path) -> ClozeTask:
    """A task of settings, those of [`Scoring`] among them; the file of `prepare` may stand beside it in its folder."""
    if unknown := sorted(set(settings) - set(ClozeTask.setting_names())):
        raise ValueError(f"A task has no {', '.join(unknown)}. It has {', '.join(ClozeTask.setting_names())}.")
    if not settings.get("pattern"):
        raise ValueError("A task needs a pattern: a text with a [MASK] and fields of the row in double braces.")
    settings["verbalizer"] = settings.get("verbalizer") or None  # {}: the labels' own names
    scoring = {name: settings.pop(name) for name in Scoring.__dataclass_fields__ if name in settings}
    prepare = settings.get("prepare")
    if isinstance(prepare, str):
        beside = folder / prepare
        found = beside.parent.is_dir() and Path(str(beside).rpartition(":")[0]).is_file()
        settings["prepare"] = find_function(str(beside) if found else prepare, "prepare:")
    return ClozeTask(**settings, scoring=Scoring(**scoring))
