# SPDX-License-Identifier: Apache-2.0
"""Labels of rows as those of a ClozeTask: renamed, left out, checked."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset

from .questions import label_key
from .rows import ROW_NUMBER
from .task import ClozeTask


logger = logging.getLogger(__name__)


class LabelNames:
    """
    What the task calls the labels of a table.

    Classes of the Hub are called by their names where the task knows them, and by their numbers where its labels are
    numbers, as those of candidates are. None, an empty text and the -1 of a class that is not known are no label.
    """

    def __init__(self, task: ClozeTask, table: Dataset, label_map: Mapping[str, str | None] | None = None):
        self.field, feature = task.label_field, table.features.get(task.label_field)
        self.classes = feature.names if isinstance(feature, ClassLabel) else None
        self.map = {
            "" if label == "-1" and self.classes else label_key(label): ours if ours is None else label_key(ours)
            for label, ours in (label_map or {}).items()
        }
        known = {*known_labels(task), *self.map} - {""}
        takes_names = (not known and task.candidates is None) or {*map(label_key, self.classes or ())} <= known
        self.names = self.classes if takes_names else None

    def label(self, row: dict) -> dict:
        """The row with its label renamed, or None; one that has no label, or several, as it is."""
        label = row.get(self.field)
        if self.field not in row or isinstance(label, list | dict):
            return row
        return row | {self.field: self.map.get(self._key(label), self._named(label))}

    def left_out(self, label: Any) -> bool:
        """Whether rows of a label are not used."""
        return not isinstance(label, list | dict) and self.map.get(self._key(label), "") is None

    def _named(self, label: Any) -> Any:
        if (isinstance(label, str) and not label.strip()) or (self.classes and label == -1):
            return None
        return self.names[label] if self.names and isinstance(label, int) else label

    def _key(self, label: Any) -> str:
        named = self._named(label)
        return "" if named is None else label_key(named)


def known_labels(task: ClozeTask) -> list[str]:
    """The labels that every row of the task may have; empty where they are each row's own, or not yet known."""
    return ["false", "true"] if task.decision == "first" else task.labels or []


def check_labels(task: ClozeTask, rows: Sequence[Mapping], what: str, required: bool) -> bool:
    """
    Refuse labels that the task does not know, before anything is trained, and rows without labels where they are required.

    Returns:
        `bool`: whether the rows have labels.

    Raises:
        `ValueError`: names the labels, how often each occurs, and the first row of each; `what` is what it calls the data.
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


def kept_rows(task: ClozeTask, table: Dataset, label_map: Mapping[str, str | None] | None = None) -> list[int]:
    """
    The numbers of the rows whose label is not mapped to null.

    Raises:
        `ValueError`: there is no column of labels to map, or no row is left.
    """
    if None not in (label_map or {}).values():
        return list(range(len(table)))
    if task.label_field not in table.column_names:
        raise ValueError(
            f"There is no column {task.label_field} for label_map. The columns: {', '.join(table.column_names)}."
        )
    left_out = LabelNames(task, table, label_map).left_out
    numbers = [number for number, label in enumerate(table[task.label_field]) if not left_out(label)]
    if not numbers:
        raise ValueError(f"No row of {len(table)} is left: label_map leaves all of them out.")
    return numbers


def warn_of_numbers(task: ClozeTask, table: Dataset, label_map: Mapping[str, str | None] | None = None) -> None:
    """Log which answer each named class got by its number alone: nothing else would reveal that the order is another one."""
    names = LabelNames(task, table, label_map)
    if task.labels and names.classes and names.names is None:
        answers = {label_key(label): answer for label, answer in task.texts_of({}).items()}
        told = (
            f"{name!r} is {number}, answered by {answers.get(str(number))}"
            for number, name in enumerate(names.classes)
        )
        logger.warning(
            "%s: labels are taken by their number: %s. If that is not what they mean, map the names by label_map.",
            task.name,
            "; ".join(told),
        )
