# SPDX-License-Identifier: Apache-2.0
"""Labels of rows as those of a ClozeTask: renamed, left out, checked."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset

from ..data.patterns import fields_of, lookup
from .questions import label_key
from .rows import ROW_NUMBER
from .task import ClozeTask


logger = logging.getLogger(__name__)


class Labels:
    """Gives a row the label that the task knows."""

    def __init__(self, task: ClozeTask, table: Dataset, column: str, label_map: Mapping[str, str | None] | None):
        self.field = task.label_field
        self.map = {
            label_key(label): ours if ours is None else label_key(ours) for label, ours in (label_map or {}).items()
        }
        feature = table.features.get(column)
        self.classes = isinstance(feature, ClassLabel)
        self.names = None
        if self.classes:
            known = {*known_labels(task), *self.map} - {"", "-1"}
            named_by_data = not known and task.candidates is None
            # numbers where the task's labels are numbers, as those of candidates are
            self.names = feature.names if named_by_data or {*map(label_key, feature.names)} <= known else None

    def __call__(self, row: dict) -> dict:
        """The row with its label renamed, or None."""
        label = row.get(self.field)
        if isinstance(label, list | dict):
            return row
        return row | {self.field: self.map.get(self._key(label), self._named(label))}

    def left_out(self, label: Any) -> bool:
        """Whether rows of a label are not used."""
        return not isinstance(label, list | dict) and self.map.get(self._key(label), "") is None

    def _named(self, label: Any) -> Any:
        """The name of a class; None where a row has no label: nothing, an empty text, the -1 of a class that is not known."""
        if (isinstance(label, str) and not label.strip()) or (self.classes and label == -1):
            return None
        return self.names[label] if self.names is not None and isinstance(label, int) else label

    def _key(self, label: Any) -> str:
        if self.classes and label == -1 and "-1" in self.map:
            return "-1"
        named = self._named(label)
        return "" if named is None else label_key(named)


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
            f"for in the field {task.label_field!r}: say which column that is by label_field or columns; or leave such rows out "
            "by label_map, '{\"\": null}'."
        )
    several = [row[ROW_NUMBER] for row in rows if isinstance(row.get(task.label_field), list | dict)]
    if several:
        raise ValueError(
            f"Row {several[0]} of the {what} has several labels in the field {task.label_field!r} ({len(several)} rows of "
            f"{len(rows)}). A cloze question has one right answer: give rows with one label each."
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
                "label_map (to null, to leave their rows out), or give a verbalizer."
            )
    return not without


def kept_rows(
    task: ClozeTask,
    table: Dataset,
    label_column: str,
    label_map: Mapping[str, str | None] | None = None,
    where: Mapping[str, Any] | None = None,
) -> list[int]:
    """
    The numbers of the rows whose label is not mapped to null, and whose columns have the values of `where`.

    Raises:
        `ValueError`: there is no such column, or no row is left.
    """
    wanted = {
        column: {*map(label_key, value if isinstance(value, list) else [value])}
        for column, value in (where or {}).items()
    }
    numbers = range(len(table))
    for column, values in wanted.items():
        of_column = column_of(table, column)
        numbers = [number for number in numbers if label_key(of_column[number]) in values]
    if None in (label_map or {}).values():
        left_out = Labels(task, table, label_column, label_map).left_out
        of_column = column_of(table, label_column)
        numbers = [number for number in numbers if not left_out(of_column[number])]
    if not len(numbers):
        raise ValueError(
            f"No row of {len(table)} is left: none has the values {dict(where or {})} and a label that label_map keeps."
        )
    return list(numbers)


def warn_of_numbers(
    task: ClozeTask,
    table: Dataset,
    columns: Mapping[str, str] | None = None,
    label_map: Mapping[str, str | None] | None = None,
) -> None:
    """Say which answer a named class has got by its number alone: nothing else tells that their order is another one."""
    column = (columns or {}).get(task.label_field, task.label_field)
    feature = table.features.get(column)
    if task.labels and isinstance(feature, ClassLabel) and Labels(task, table, column, label_map).names is None:
        answers = {label_key(label): answer for label, answer in task.texts_of({}).items()}
        told = (
            f"{name!r} is {number}, answered by {answers.get(str(number))}"
            for number, name in enumerate(feature.names)
        )
        logger.warning(
            "%s: labels are taken by their number: %s. If that is not what they mean, map the names by label_map.",
            task.name,
            "; ".join(told),
        )


def labels_of(task: ClozeTask, rows: Iterable[Mapping]) -> set[str]:
    """The labels that occur in rows."""
    return {label_key(row[task.label_field]) for row in rows if row.get(task.label_field) is not None}


def column_of(table: Dataset, column: str) -> Sequence:
    """The values of a column, or of a field in one: `question[stem]`."""
    if column in table.column_names:
        return table[column][:]
    root = fields_of(f"{{{column}}}")
    if root and root[0] in table.column_names:
        return [lookup(column, {root[0]: value}) for value in table[root[0]]]
    raise ValueError(f"There is no column {column}. The columns: {', '.join(table.column_names)}.")
