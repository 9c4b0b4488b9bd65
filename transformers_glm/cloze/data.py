# SPDX-License-Identifier: Apache-2.0
"""Rows of files and Hub datasets as rows of a ClozeTask: columns and labels named, prepared, checked."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from datasets import Dataset

from ..data.patterns import fields_of
from ..data.tables import add_labels, load_table
from .arguments import FinetuningModelArguments, TaskDataArguments
from .evaluation import METRIC_FIELDS
from .labels import Labels, check_labels, column_of, kept_rows, labels_of, warn_of_numbers
from .questions import label_key
from .rows import ROW_NUMBER, naming_row
from .task import ClozeTask


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
    evaluation_table, of_evaluation = _load(task, data_args, "eval")
    train_table, numbers = None, None
    if not model_args.zero_shot:
        train_table, of_training = _load(task, data_args, "train")
        label_column = (data_args.columns or {}).get(task.label_field, task.label_field)
        numbers = draw(
            train_table, data_args.train_rows, data_args.rows_per_label, label_column, seed, among=of_training
        )
    if task.verbalizer is None and task.candidates is None:
        # all of the table, however few rows are drawn
        whole = (evaluation_table, of_evaluation) if train_table is None else (train_table, of_training)
        task = task.with_labels(
            labels_of(task, task_rows(task, whole[0], training=False, numbers=whole[1], **mapping))
        )
    warn_of_numbers(task, evaluation_table, **mapping)
    # the head judges pronouns in wrong rows too, which a cloze question does not learn from
    training = model_args.method == "cloze" or task.decision != "first"
    train, all_rows = [], []
    if train_table is not None:
        all_rows = task_rows(task, train_table, training=False, numbers=numbers, **mapping)
        check_labels(task, all_rows, "training data", required=True)
        train = task_rows(task, train_table, training=training, numbers=numbers, **mapping)
    some = draw(evaluation_table, data_args.eval_rows, None, task.label_field, EVALUATION_SEED, among=of_evaluation)
    evaluation = task_rows(task, evaluation_table, training=False, numbers=some, **mapping)
    labelled = check_labels(task, evaluation, "evaluation data", required=False)
    drawn = 0 if train_table is None else len(numbers)
    return task, TaskData(train, [row[task.label_field] for row in all_rows], evaluation, drawn, labelled)


def _load(task: ClozeTask, data_args: TaskDataArguments, which: Literal["train", "eval"]) -> tuple[Dataset, list[int]]:
    """The table of a run, and the numbers of the rows that are used."""
    path, split = (getattr(data_args, f"{which}_{what}") for what in ("data", "split"))
    where, labels = (getattr(data_args, f"{which}_{what}") for what in ("where", "labels"))
    table = load_table(data_args.source(path, split))
    column = (data_args.columns or {}).get(task.label_field, task.label_field)
    if labels is not None:
        table = add_labels(table, labels, column, data_args.encoding)
    return table, kept_rows(task, table, column, data_args.label_map, where)


def check_columns(task: ClozeTask, columns: Mapping[str, str]) -> None:
    """
    Refuse columns for fields that the task does not read; what a function of the task reads is not known.

    Raises:
        `ValueError`: names them, and the fields of the task.
    """
    if task.prepare is not None or callable(task.pattern) or callable(task.verbalizer):
        return
    of_row = fields_of(f"{{{task.candidates}}}") if isinstance(task.candidates, str) else []
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
        label_map (`Mapping[str, str]`, *optional*): for a label of the data, that of the task; rows of those mapped to None
            are left out by [`kept_rows`].
        numbers (`Sequence[int]`, *optional*): which rows of the table; all by default.

    Raises:
        `ValueError`: a column is missing, or a row cannot be prepared; names it.
    """
    columns = dict(columns or {})
    values = {field: column_of(table, column) for field, column in columns.items()}
    renamed = Labels(task, table, columns.get(task.label_field, task.label_field), label_map)
    rows = []
    numbers = range(len(table)) if numbers is None else numbers
    for number, raw in zip(numbers, table.select(numbers), strict=True):
        with naming_row(number):
            row = raw | {field: of_field[number] for field, of_field in values.items()}
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


def draw(
    table: Dataset,
    number: int | None,
    per_label: int | None,
    label_column: str,
    seed: int,
    among: Sequence[int] | None = None,
) -> list[int]:
    """Which rows of a table are used, drawn with `seed` among some or all of it: so many, so many of each label, or all."""
    rng, among = random.Random(seed), range(len(table)) if among is None else among
    if per_label is not None:
        try:
            labels = column_of(table, label_column)
        except ValueError as error:
            raise ValueError(f"{per_label} rows of each label cannot be drawn: {error}") from error
        groups: dict[str, list[int]] = defaultdict(list)
        for index in among:
            groups[label_key(labels[index])].append(index)
        drawn = (_sample(rng, groups[label], per_label, f"label {label!r}") for label in sorted(groups))
        return sorted(index for of_label in drawn for index in of_label)
    return list(among) if number is None else sorted(_sample(rng, among, number, "the data"))


def _sample(rng: random.Random, indices: Sequence[int], number: int, what: str) -> list[int]:
    if not 0 < number <= len(indices):
        raise ValueError(f"{number} rows cannot be drawn of {what}: it has {len(indices)}.")
    return rng.sample(indices, number)
