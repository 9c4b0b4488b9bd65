# SPDX-License-Identifier: Apache-2.0
"""Several runs as a table and a plot: mean and standard deviation over seeds."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure


GROUP_BY = ("task", "method", "model", "train_rows", "evaluation_data")  # those that a run has
# numbers that say how a run was made, not how well it did
NOT_METRICS = {"seed", "train_rows", "eval_rows", "parameters", "steps", "train_loss", "train_runtime"}
NOT_METRICS |= {
    "tokens",
    "words",
    "characters",
    "width",
    "stride",
    "lambada_rows",
    "generated",
    "trained_parameters",
    "epoch",
    "total_flos",
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

    def __str__(self):
        if isinstance(self.mean, int):
            return str(self.mean)
        digits = 3 if abs(self.mean) <= 1 else 2  # a share is told as exactly as a percentage
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
        `ValueError`: a folder has none, or one that is no object.
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
                raise ValueError(f"{file} is no JSON object: {error}. Run again what wrote it.") from error
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
    group_by = group_by or [name for name in GROUP_BY if any(run.get(name) is not None for run in runs)]
    known = [name for name in dict.fromkeys(name for run in runs for name in run) if _is_number(name, runs)]
    scored = [name for name in known if _is_metric(name) and name not in group_by]
    if missing := sorted(set(metrics or ()) - set(known)):
        raise ValueError(f"No run has {', '.join(missing)}. They have {', '.join(scored)}.")
    wanted = scored if metrics is None else metrics
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for run in runs:
        if metrics is not None and all(run.get(name) is None for name in metrics):
            continue
        group = groups.setdefault(tuple(run.get(name) for name in group_by), [])
        for other in group:
            if other.get("seed") == run.get("seed"):
                differ = [name for name in run if name in other and run[name] != other[name] and name not in known]
                differ = [name for name in differ if name not in ("command", "output_dir")]
                raise ValueError(
                    f"{other['output_dir']} and {run['output_dir']} agree in {', '.join(group_by)} and in the seed "
                    f"{run.get('seed')}. Leave one out, or give what tells them apart with --group_by"
                    f"{': ' + ', '.join(differ) if differ else ''}."
                )
        group.append(run)
    return [Group(dict(zip(group_by, key, strict=True)), _values(members, wanted)) for key, members in groups.items()]


def as_markdown(groups: Sequence[Group]) -> str:
    """A table for each task, a line for each group; an empty cell where a group lacks a metric."""
    tables = []
    for task, members in _by_task(groups).items():
        keys = [name for name in members[0].key if name != "task"]
        metrics = list(dict.fromkeys(name for group in members for name in group.values))
        lines = [[*keys, "runs", *metrics], ["---"] * (len(keys) + 1 + len(metrics))]
        for group in members:
            runs = max((value.runs for value in group.values.values()), default=0)
            cells = [str(group.values[name]) if name in group.values else "" for name in metrics]
            lines.append(
                [*("" if group.key[name] is None else str(group.key[name]) for name in keys), str(runs), *cells]
            )
        tables.append(f"### {task}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(tables)


def draw(groups: Sequence[Group]) -> Figure:
    """
    A row for each task, a picture for each metric: bars with deviations, or lines where groups differ in `train_rows`.
    """
    tasks = _by_task(groups)
    columns = {
        task: list(dict.fromkeys(name for g in members for name in g.values)) for task, members in tasks.items()
    }
    width = max(1, *map(len, columns.values()))
    figure = Figure(figsize=(3.2 * width, 2.8 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), width, squeeze=False)
    for row, (task, members) in zip(axes, tasks.items(), strict=True):
        for place, axis in enumerate(row):
            if place >= len(columns[task]):
                axis.set_axis_off()
                continue
            metric = columns[task][place]
            _draw_metric(axis, metric, [group for group in members if metric in group.values])
            axis.set_title(f"{task}: {metric}", fontsize=8)
    return figure


def _draw_metric(axis: Any, metric: str, groups: Sequence[Group]) -> None:
    series: dict[str, list[Group]] = {}
    for group in groups:
        label = ", ".join(
            str(v) for name, v in group.key.items() if name not in ("task", "train_rows") and v is not None
        )
        series.setdefault(label, []).append(group)
    for number, (label, members) in enumerate(series.items()):
        means = [group.values[metric].mean for group in members]
        deviations = [group.values[metric].deviation or 0.0 for group in members]
        if any(len(others) > 1 for others in series.values()):
            axis.errorbar(
                [group.key["train_rows"] for group in members], means, deviations, label=label, marker="o", capsize=3
            )
            axis.set_xlabel("training rows", fontsize=8)
        else:
            axis.bar([number], means, yerr=deviations, label=label, capsize=3)
            axis.set_xticks([])
    axis.legend(fontsize=6)


def _by_task(groups: Sequence[Group]) -> dict[str, list[Group]]:
    tasks: dict[str, list[Group]] = {}
    for group in groups:
        tasks.setdefault(str(group.key.get("task") or "all runs"), []).append(group)
    return tasks


def _is_metric(name: str) -> bool:
    return name not in NOT_METRICS and not name.endswith(OF_THE_CLOCK)


def _is_number(name: str, runs: Sequence[Mapping[str, Any]]) -> bool:
    values = [run[name] for run in runs if run.get(name) is not None]
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return is_number and bool(values)


def _values(runs: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> dict[str, Value]:
    values = {}
    for name in metrics:
        numbers = [run[name] for run in runs if run.get(name) is not None]
        if numbers and all(isinstance(number, int) and number == numbers[0] for number in numbers):
            values[name] = Value(numbers[0], None, len(numbers))
        elif numbers:
            deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
            values[name] = Value(statistics.fmean(numbers), deviation, len(numbers))
    return values
