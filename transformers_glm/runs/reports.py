# SPDX-License-Identifier: Apache-2.0
"""Several runs as a table and a plot: mean and standard deviation over seeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


GROUP_BY = ("task", "method", "model", "train_rows", "evaluation_data")  # as far as the runs have them
# numbers that say how a run was made, not how well it did
NOT_METRICS = {
    *("seed", "train_rows", "eval_rows", "parameters", "trained_parameters", "steps", "epoch", "train_loss"),
    *("train_runtime", "total_flos", "tokens", "words", "characters", "width", "stride", "lambada_rows", "generated"),
}
OF_THE_CLOCK = ("_runtime", "_per_second")


class Value(NamedTuple):
    """
    Mean and standard deviation (of a sample; None for one run) of a metric over `runs` runs.

    A whole number that all runs share, as a count of rows, stays one, without a deviation.
    """

    mean: float
    deviation: float | None
    runs: int

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Value":
        """The value of a metric that has these `numbers`, one a run."""
        if all(isinstance(number, int) and number == numbers[0] for number in numbers):
            return cls(numbers[0], None, len(numbers))
        return cls(float(np.mean(numbers)), float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None, len(numbers))

    def __str__(self):
        if isinstance(self.mean, int):
            return str(self.mean)
        digits = 3 if abs(self.mean) <= 1 else 2  # a share is printed as exactly as a percentage
        parts = [self.mean] if self.deviation is None else [self.mean, self.deviation]
        return " ± ".join(f"{part:.{digits}f}" for part in parts)


class Group(NamedTuple):
    """Runs that differ in their seed only: what they share, and their metrics."""

    key: dict[str, Any]
    values: dict[str, Value]


def read_runs(folders: Iterable[str | Path]) -> list[dict[str, Any]]:
    """
    The `metrics.json` of each folder and of all folders below it, with its folder as `output_dir`.

    Raises:
        `ValueError`: a folder has none, or one that is not an object.
    """
    runs = []
    for folder in map(Path, folders):
        files = sorted(folder.rglob("metrics.json"))
        if not files:
            raise ValueError(
                f"There is no metrics.json in {folder} or below it. Give the output_dir of finished runs."
            )
        for file in files:
            try:
                runs.append({**json.loads(file.read_text(encoding="utf-8")), "output_dir": str(file.parent)})
            except (json.JSONDecodeError, TypeError) as error:
                raise ValueError(f"{file} is not a JSON object: {error}. Run again what wrote it.") from error
    return runs


def group_runs(
    runs: Sequence[Mapping[str, Any]], group_by: Sequence[str] | None = None, metrics: Sequence[str] | None = None
) -> list[Group]:
    """
    Put runs together that agree in `group_by`, in the order in which they come.

    Args:
        runs (`Sequence[Mapping]`): as of [`read_runs`].
        group_by (`Sequence[str]`, *optional*):
            What tells groups apart; a run may lack one of these. By default what the runs have of task, method, model,
            train_rows and evaluation_data.
        metrics (`Sequence[str]`, *optional*): which numbers, of the runs that have one of them; all by default.

    Raises:
        `ValueError`: two runs of a group have the same seed, so that their deviation would mean nothing; a metric is in no run.
    """
    group_by = group_by or [name for name in GROUP_BY if _values_of(name, runs)]
    known = [name for name in dict.fromkeys(name for run in runs for name in run) if _is_number(name, runs)]
    scored = [
        name for name in known if name not in NOT_METRICS and not name.endswith(OF_THE_CLOCK) and name not in group_by
    ]
    if missing := sorted(set(metrics or ()) - set(known)):
        raise ValueError(f"No run has {', '.join(missing)}. They have {', '.join(scored)}.")
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for run in runs:
        if metrics is None or any(run.get(name) is not None for name in metrics):
            groups.setdefault(tuple(run.get(name) for name in group_by), []).append(run)
    found = []
    for key, members in groups.items():
        for other, run in combinations(members, 2):
            if other.get("seed") == run.get("seed"):
                names = [name for name in run if name not in (*known, "command", "output_dir")]
                differ = [name for name in names if name in other and run[name] != other[name]]
                raise ValueError(
                    f"{other['output_dir']} and {run['output_dir']} agree in {', '.join(group_by)} and in the seed "
                    f"{run.get('seed')}. Leave one out, or give what tells them apart with --group_by"
                    f"{': ' + ', '.join(differ) if differ else ''}."
                )
        numbers = {name: _values_of(name, members) for name in (scored if metrics is None else metrics)}
        values = {name: Value.of(of_name) for name, of_name in numbers.items() if of_name}
        found.append(Group(dict(zip(group_by, key, strict=True)), values))
    return found


def as_markdown(groups: Sequence[Group]) -> str:
    """A table for each task, a line for each group; an empty cell where a group lacks a metric."""
    tables = []
    for task, members in _by_task(groups).items():
        keys, metrics = [name for name in members[0].key if name != "task"], _metrics(members)
        lines = [[*keys, "runs", *metrics], ["---"] * (len(keys) + 1 + len(metrics))]
        for key, values in members:
            runs = max((value.runs for value in values.values()), default=0)
            cells = [*(key[name] for name in keys), runs, *(values.get(name) for name in metrics)]
            lines.append(["" if cell is None else str(cell) for cell in cells])
        tables.append(f"### {task}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(tables)


def draw(groups: Sequence[Group]) -> Figure:
    """
    A row for each task, a picture for each metric: bars with deviations, or lines where groups differ in `train_rows`.
    """
    tasks = _by_task(groups)
    width = max(1, *(len(_metrics(members)) for members in tasks.values()))
    figure = Figure(figsize=(3.2 * width, 2.8 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), width, squeeze=False)
    for row, (task, members) in zip(axes, tasks.items(), strict=True):
        for axis in row[len(_metrics(members)) :]:
            axis.set_axis_off()
        for axis, metric in zip(row, _metrics(members), strict=False):
            _draw_metric(axis, metric, [group for group in members if metric in group.values])
            axis.set_title(f"{task}: {metric}", fontsize=8)
    return figure


def _draw_metric(axis: Axes, metric: str, groups: Sequence[Group]) -> None:
    series: dict[str, list[tuple[Any, float, float]]] = {}
    for key, values in groups:
        label = ", ".join(str(v) for name, v in key.items() if name not in ("task", "train_rows") and v is not None)
        point = (key.get("train_rows"), values[metric].mean, values[metric].deviation or 0.0)
        series.setdefault(label, []).append(point)
    over_rows = any(len(points) > 1 for points in series.values())
    for number, (label, points) in enumerate(series.items()):
        rows, means, deviations = zip(*points, strict=True)
        if over_rows:
            axis.errorbar(rows, means, deviations, label=label, marker="o", capsize=3)
        else:
            axis.bar([number], means, yerr=deviations, label=label, capsize=3)
    if over_rows:
        axis.set_xlabel("training rows", fontsize=8)
    else:
        axis.set_xticks([])
    axis.legend(fontsize=6)


def _by_task(groups: Sequence[Group]) -> dict[str, list[Group]]:
    tasks: dict[str, list[Group]] = {}
    for group in groups:
        tasks.setdefault(str(group.key.get("task") or "all runs"), []).append(group)
    return tasks


def _metrics(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group.values))


def _values_of(name: str, runs: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [run[name] for run in runs if run.get(name) is not None]


def _is_number(name: str, runs: Sequence[Mapping[str, Any]]) -> bool:
    values = _values_of(name, runs)
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
