# SPDX-License-Identifier: Apache-2.0
"""Rows of files and Hub datasets as rows of a ClozeTask: labels named, prepared, checked, drawn."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from datasets import Dataset

from ..data.reader import load_table
from ..data.templates import template
from .arguments import ClozeArguments, ClozeDataArguments
from .evaluation import METRIC_FIELDS
from .labels import LabelNames, check_labels, kept_rows, warn_of_numbers
from .questions import label_key
from .rows import ROW_NUMBER, naming_row
from .task import ClozeTask


EVALUATION_SEED = 0  # decides which rows --evaluation_rows takes


@dataclass
class TaskData:
    """The rows of a run; `drawn` is how many rows of the training file are used, `train_labels` are theirs."""

    train: list[dict]
    train_labels: list
    evaluation: list[dict]
    drawn: int
    labelled: bool


def load_data(
    task: ClozeTask, data_args: ClozeDataArguments, model_args: ClozeArguments, seed: int
) -> tuple[ClozeTask, TaskData]:
    """The rows, checked; and the task, with its labels where it takes them from the data."""
    check_columns(task, data_args.columns)
    label_map, parts = data_args.label_map, ["evaluation"] if model_args.zero_shot else ["evaluation", "train"]
    tables = {part: load_table(data_args.source(part, columns=data_args.columns)) for part in parts}
    kept = {part: kept_rows(task, table, label_map) for part, table in tables.items()}
    if task.verbalizer is None and task.candidates is None:
        # all of the table, however few rows are drawn
        whole = task_rows(task, tables[parts[-1]], label_map=label_map, numbers=kept[parts[-1]])
        labels = (row.get(task.label_field) for row in whole)
        task = task.with_labels(label for label in labels if label is not None)
    warn_of_numbers(task, tables["evaluation"], label_map)
    train, all_rows, numbers = [], [], []
    if "train" in tables:
        table = tables["train"]
        numbers = draw(table, kept["train"], data_args.train_rows, data_args.rows_per_label, task.label_field, seed)
        all_rows = task_rows(task, table, label_map=label_map, numbers=numbers)
        check_labels(task, all_rows, "training data", required=True)
        # the classifier's head learns from wrong rows of WSC too, a cloze question only from right ones
        training = model_args.method == "cloze" or task.decision != "first"
        train = task_rows(task, table, training=training, label_map=label_map, numbers=numbers)
    table = tables["evaluation"]
    some = draw(table, kept["evaluation"], data_args.evaluation_rows, None, task.label_field, EVALUATION_SEED)
    evaluation = task_rows(task, table, label_map=label_map, numbers=some)
    labelled = check_labels(task, evaluation, "evaluation data", required=False)
    return task, TaskData(train, [row[task.label_field] for row in all_rows], evaluation, len(numbers), labelled)


def check_columns(task: ClozeTask, columns: Iterable[str]) -> None:
    """
    Refuse columns for fields that the task does not read; what a function of the task reads is not known.

    Raises:
        `ValueError`: names them, and the fields of the task.
    """
    if task.prepare is not None or callable(task.pattern) or callable(task.verbalizer):
        return
    named = [name for text in task.templates for name in template(text).fields if name != "candidate"]
    of_metrics = [METRIC_FIELDS[name] for name in task.metrics if name in METRIC_FIELDS]
    known = list(dict.fromkeys([*named, *of_metrics, task.label_field, task.id_field]))
    if unknown := [name for name in columns if name not in known]:
        raise ValueError(
            f"--columns names {', '.join(unknown)}, which the task {task.name} does not read. Its fields: "
            f"{', '.join(known)}. Give for a field of the task the column that holds it."
        )


def task_rows(
    task: ClozeTask,
    table: Dataset,
    *,
    training: bool = False,
    label_map: Mapping[str, str | None] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[dict]:
    """
    The rows of a task, with the fields that its pattern names: those of the table that `numbers` counts, all by default.

    Raises:
        `ValueError`: a row cannot be prepared; names it.
    """
    name_of, rows = LabelNames(task, table, label_map), []
    numbers = range(len(table)) if numbers is None else numbers
    for number, row in zip(numbers, table.select(numbers), strict=True):
        with naming_row(number):
            known = task.label_field in row
            row = name_of.label(row)
            for made in _prepared(task, row, training):
                made = made if known else name_of.label(made)
                rows.append({**made, task.id_field: made.get(task.id_field, number), ROW_NUMBER: number})
    return rows


def _prepared(task: ClozeTask, row: dict, training: bool) -> list[dict]:
    if task.prepare is None:
        return [row]
    try:
        made = list(task.prepare(row, training))
    except ValueError:
        raise
    except KeyError as error:
        raise ValueError(
            f"It has no field {error}, which the task {task.name} wants; it has {sorted(row)}."
        ) from error
    except Exception as error:  # whatever a function of the user's raises
        raise ValueError(f"It cannot be prepared for the task {task.name}: {error}. Is a field empty?") from error
    if not all(isinstance(one, dict) for one in made):
        raise ValueError(
            f"It cannot be prepared for the task {task.name}: its function returned {made!r:.80}, not a list of rows."
        )
    return made


def draw(
    table: Dataset, among: Sequence[int], number: int | None, per_label: int | None, label_field: str, seed: int
) -> list[int]:
    """Which rows of a table are used, drawn with `seed` among some of it: this many, this many of each label, or all."""
    rng = random.Random(seed)
    if per_label is None:
        return list(among) if number is None else sorted(_sample(rng, among, number, "the data"))
    if label_field not in table.column_names:
        raise ValueError(
            f"{per_label} rows of each label cannot be drawn: there is no column {label_field}. The columns: "
            f"{', '.join(table.column_names)}."
        )
    labels, groups = table[label_field][:], defaultdict(list)
    for index in among:
        groups[label_key(labels[index])].append(index)
    drawn = (_sample(rng, groups[label], per_label, f"label {label!r}") for label in sorted(groups))
    return sorted(index for of_label in drawn for index in of_label)


def _sample(rng: random.Random, indices: Sequence[int], number: int, what: str) -> list[int]:
    if not 0 < number <= len(indices):
        raise ValueError(f"{number} rows cannot be drawn of {what}: it has {len(indices)}.")
    return rng.sample(indices, number)
