# SPDX-License-Identifier: Apache-2.0
"""Rows of files and Hub datasets as rows of a ClozeTask: columns and labels named, prepared, checked."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from datasets import ClassLabel, Dataset

from .cloze import ClozeTask, label_key
from .cloze_arguments import FinetuningModelArguments, TaskDataArguments
from .cloze_evaluation import METRIC_FIELDS
from .cloze_rows import ROW_NUMBER, naming_row
from .patterns import fields_of
from .tables import load_table


EVALUATION_SEED = 0  # which rows --eval_rows are


@dataclass
class TaskData:
    """The rows of a run; `drawn` is how many rows of the training file are used, `train_labels` are theirs."""

    train: list[dict]
    train_labels: list
    evaluation: list[dict]
    drawn: int
    labelled: bool


def load_data(
    task: ClozeTask, data_args: TaskDataArguments, model_args: FinetuningModelArguments, seed: int
) -> tuple[ClozeTask, TaskData]:
    """The rows, checked; and the task, with its labels where it takes them from the data."""
    check_columns(task, data_args.columns or {})
    mapping = {"columns": data_args.columns, "label_map": data_args.label_map}
    evaluation_table = load_table(data_args.source(data_args.eval_data, data_args.eval_split))
    train_table, numbers = None, None
    if not model_args.zero_shot:
        train_table = load_table(data_args.source(data_args.train_data, data_args.train_split))
        label_column = (data_args.columns or {}).get(task.label_field, task.label_field)
        numbers = draw(train_table, data_args.train_rows, data_args.rows_per_label, label_column, seed)
    if task.verbalizer is None and task.candidates is None:
        table = evaluation_table if train_table is None else train_table  # all of it, however few rows are drawn
        task = task.with_labels(labels_of(task, task_rows(task, table, training=False, **mapping)))
    # the head judges pronouns in wrong rows too, which a cloze question does not learn from
    training = model_args.method == "cloze" or task.decision != "first"
    train, all_rows = [], []
    if train_table is not None:
        all_rows = task_rows(task, train_table, training=False, numbers=numbers, **mapping)
        check_labels(task, all_rows, "training data", required=True)
        train = task_rows(task, train_table, training=training, numbers=numbers, **mapping)
    some = draw(evaluation_table, data_args.eval_rows, None, task.label_field, EVALUATION_SEED)
    evaluation = task_rows(task, evaluation_table, training=False, numbers=some, **mapping)
    labelled = check_labels(task, evaluation, "evaluation data", required=False)
    drawn = 0 if train_table is None else len(train_table) if numbers is None else len(numbers)
    return task, TaskData(train, [row[task.label_field] for row in all_rows], evaluation, drawn, labelled)


def check_columns(task: ClozeTask, columns: Mapping[str, str]) -> None:
    """
    Refuse columns for fields that the task does not read; what a function of the task reads is not known.

    Raises:
        `ValueError`: names them, and the fields of the task.
    """
    if task.prepare is not None or callable(task.pattern) or callable(task.verbalizer):
        return
    of_row = [task.candidates] if isinstance(task.candidates, str) else []
    patterns = [task.pattern, task.answer, *(task.texts or ()), task.scoring.domain or ""]
    patterns += [] if of_row else task.candidates or ()
    named = [name for pattern in patterns for name in fields_of(pattern) if name != "candidate"]
    of_metrics = [METRIC_FIELDS[name] for name in task.metrics if name in METRIC_FIELDS]
    known = list(dict.fromkeys([*named, *of_row, *of_metrics, task.label_field, task.id_field]))
    if unknown := [name for name in columns if name not in known]:
        raise ValueError(
            f"--columns names {', '.join(unknown)}, which the task {task.name} does not read. Its fields: "
            f"{', '.join(known)}. Give for a field of the task the column that holds it."
        )


def task_rows(
    task: ClozeTask,
    table: Dataset,
    *,
    training: bool,
    columns: Mapping[str, str] | None = None,
    label_map: Mapping[str, str] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[dict]:
    """
    The rows of a task, with the fields that its pattern names.

    Args:
        task (`ClozeTask`): the task.
        table (`Dataset`): the rows as they were loaded.
        training (`bool`): whether to train on them.
        columns (`Mapping[str, str]`, *optional*): for a field of the task, the column that holds it.
        label_map (`Mapping[str, str]`, *optional*): for a label of the data, that of the task.
        numbers (`Sequence[int]`, *optional*): which rows of the table; all by default.

    Raises:
        `ValueError`: a column is missing, or a row cannot be prepared; names it.
    """
    columns = dict(columns or {})
    if absent := [column for column in columns.values() if column not in table.column_names]:
        raise ValueError(f"There is no column {', '.join(absent)}. The columns: {', '.join(table.column_names)}.")
    renamed = _Labels(task, table, columns.get(task.label_field, task.label_field), label_map)
    rows = []
    numbers = range(len(table)) if numbers is None else numbers
    for number, raw in zip(numbers, table.select(numbers), strict=True):
        with naming_row(number):
            row = raw | {field: raw[column] for field, column in columns.items()}
            row = renamed(row) if task.label_field in row else row
            for made in _prepared(task, row, training):
                made = renamed(made) if task.label_field not in row else made
                rows.append({**made, task.id_field: made.get(task.id_field, number), ROW_NUMBER: number})
    return rows


def _prepared(task: ClozeTask, row: dict, training: bool) -> list[dict]:
    if task.prepare is None:
        return [row]
    try:
        return list(task.prepare(row, training))
    except KeyError as error:
        raise ValueError(
            f"It has no field {error}, which the task {task.name} wants; it has {sorted(row)}."
        ) from error
    except TypeError as error:
        raise ValueError(f"It cannot be prepared for the task {task.name}: {error}. Is a field empty?") from error


class _Labels:
    """Gives a row the label that the task knows."""

    def __init__(self, task: ClozeTask, table: Dataset, column: str, label_map: Mapping[str, str] | None):
        self.field = task.label_field
        self.map = {label_key(label): label_key(ours) for label, ours in (label_map or {}).items()}
        feature = table.features.get(column)
        self.names = None
        if isinstance(feature, ClassLabel):
            known = {*known_labels(task), *self.map}
            named_by_data = not known and task.candidates is None
            # numbers where the task's labels are numbers, as those of candidates are
            self.names = feature.names if named_by_data or {*map(label_key, feature.names)} <= known else None

    def __call__(self, row: dict) -> dict:
        label = row.get(self.field)
        if label is None or isinstance(label, list | dict):
            return row
        if self.names is not None and isinstance(label, int) and label >= 0:
            label = self.names[label]
        label = self.map.get(label_key(label), label)
        return row | {self.field: label}


def known_labels(task: ClozeTask) -> list[str]:
    """The labels that every row of the task may have; empty where they are each row's own, or not yet known."""
    return ["false", "true"] if task.decision == "first" else task.labels or []


def check_labels(task: ClozeTask, rows: Sequence[Mapping], what: str, required: bool) -> bool:
    """
    Refuse labels that the task does not know, before anything is trained.

    Args:
        task (`ClozeTask`): the task.
        rows (`Sequence[Mapping]`): its rows.
        what (`str`): what the error calls the data.
        required (`bool`): whether rows without labels are an error.

    Returns:
        `bool`: whether the rows have labels.

    Raises:
        `ValueError`: names the labels, how often each occurs, and the first row of each.
    """
    if not rows:
        raise ValueError(f"The {what} has no rows for the task {task.name}.")
    without = [row[ROW_NUMBER] for row in rows if row.get(task.label_field) is None]
    if without and (required or len(without) < len(rows)):
        raise ValueError(
            f"Row {without[0]} of the {what} has no label ({len(without)} rows of {len(rows)} have none). The label is looked "
            f"for in the field {task.label_field!r}: say which column that is by label_field or columns."
        )
    known = known_labels(task)
    if known and not without:
        found = Counter(label_key(row[task.label_field]) for row in rows)
        first = {label_key(row[task.label_field]): row[ROW_NUMBER] for row in reversed(rows)}
        if unknown := sorted(set(found) - set(known)):
            listed = ", ".join(
                f"{label!r} ({found[label]} rows, the first is row {first[label]})" for label in unknown[:10]
            )
            raise ValueError(
                f"The {what} has labels that the task {task.name} has no answer for: {listed}. It knows {known}. Map them by "
                "label_map, or give a verbalizer."
            )
    return not without


def draw(table: Dataset, number: int | None, per_label: int | None, label_column: str, seed: int) -> list[int] | None:
    """Which rows of a table are used, drawn with `seed`: so many of all, or of each label; None for all."""
    rng = random.Random(seed)
    if per_label is not None:
        if label_column not in table.column_names:
            raise ValueError(f"There is no column {label_column!r} to draw {per_label} rows of each label by.")
        groups: dict[str, list[int]] = defaultdict(list)
        for index, label in enumerate(table[label_column]):
            groups[label_key(label)].append(index)
        drawn = (_sample(rng, groups[label], per_label, f"label {label!r}") for label in sorted(groups))
        return sorted(index for of_label in drawn for index in of_label)
    return None if number is None else sorted(_sample(rng, range(len(table)), number, "the data"))


def _sample(rng: random.Random, indices: Sequence[int], number: int, what: str) -> list[int]:
    if not 0 < number <= len(indices):
        raise ValueError(f"{number} rows cannot be drawn of {what}: it has {len(indices)}.")
    return rng.sample(indices, number)


def labels_of(task: ClozeTask, rows: Iterable[Mapping]) -> set[str]:
    """The labels that occur in rows."""
    return {label_key(row[task.label_field]) for row in rows if row.get(task.label_field) is not None}
