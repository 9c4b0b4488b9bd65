# SPDX-License-Identifier: Apache-2.0
"""The metrics of a run on a ClozeTask, and its predictions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..metrics import metric
from .labels import known_labels
from .questions import label_key
from .rows import ROW_NUMBER
from .task import ClozeTask


METRIC_FIELDS = {"multirc": "group", "record": "answers"}  # what they need of a row besides its label


def evaluate_predictions(task: ClozeTask, rows: Sequence[Mapping], predictions: Sequence[str]) -> dict[str, float]:
    """
    The metrics of the task.

    Args:
        task (`ClozeTask`): names the metrics.
        rows (`Sequence[Mapping]`): the rows, with labels.
        predictions (`Sequence[str]`): the predicted label of each row.

    Raises:
        `ValueError`: there is no metric of that name.
    """
    found = {}
    for name in task.metrics:
        found |= metric(name).compute(**_metric_inputs(task, name, rows, predictions))
    return found


def check_metrics(task: ClozeTask, rows: Sequence[Mapping]) -> None:
    """
    See before training that the metrics of labelled rows can be computed: those of the labels themselves.

    Raises:
        `ValueError`: there is no metric of that name, or it does not fit the rows.
    """
    for name in task.metrics:
        field = METRIC_FIELDS.get(name)
        if field and (without := [row[ROW_NUMBER] for row in rows if row.get(field) is None]):
            raise ValueError(f"The metric {name!r} wants a field {field!r} in each row; row {without[0]} has none.")
    right = [task.right_answer(row) for row in rows] if task.decision == "best" else []
    labels = [label_key(list(task.texts_of(row))[number]) for number, row in zip(right, rows, strict=False)]
    evaluate_predictions(task, rows, labels or [label_key(row[task.label_field]) for row in rows])


def _metric_inputs(task: ClozeTask, name: str, rows: Sequence[Mapping], predictions: Sequence[str]) -> dict[str, list]:
    labels = [task.label_name(row[task.label_field]) for row in rows]
    if name == "multirc":
        judged = [{"group": row["group"], "label": int(one)} for row, one in zip(rows, predictions, strict=True)]
        return {"predictions": judged, "references": list(map(int, labels))}
    if name == "record" or task.label_is == "text":
        predictions = [text_of(task, row, one) for row, one in zip(rows, predictions, strict=True)]
    return {
        "predictions": list(predictions),
        "references": [list(row["answers"]) for row in rows] if name == "record" else labels,
    }


def text_of(task: ClozeTask, row: Mapping, label: str) -> str:
    """What the candidate of a label is in words."""
    return {label_key(one): texts for one, texts in task.texts_of(row).items()}[label][0]


def majority_accuracy(task: ClozeTask, rows: Sequence[Mapping], of_training: Iterable[Any]) -> dict[str, float]:
    """
    The accuracy of always the same label: of the most frequent one in training (`majority_accuracy`), and of the most frequent
    one among the rows themselves, which no such guess exceeds (`evaluation_majority_accuracy`). Nothing where rows have
    candidates of their own.
    """
    labels = Counter(label_key(row[task.label_field]) for row in rows)
    if not (labels and known_labels(task)):
        return {}
    found = {"evaluation_majority_accuracy": labels.most_common(1)[0][1] / len(rows)}
    for most, _ in Counter(map(label_key, of_training)).most_common(1):
        found = {"majority_accuracy": labels[most] / len(rows), **found}
    return found


def prediction_lines(
    task: ClozeTask, rows: Sequence[Mapping], scores: Sequence[Mapping[Any, float]], predictions: Sequence[str]
) -> list[dict[str, Any]]:
    """
    One line for each row: its id, the score of each candidate, what is predicted, and the label, if there is one.

    Where labels are texts (`label_is`) the prediction is a text too. Of candidates of its own a row has the text beside it.
    """
    lines = []
    for row, of_row, prediction in zip(rows, scores, predictions, strict=True):
        line = {"id": row[task.id_field], "scores": {label_key(label): value for label, value in of_row.items()}}
        if task.labels is None and task.decision == "best":
            line["text"] = text_of(task, row, prediction)
        if task.label_is == "text":
            prediction = text_of(task, row, prediction)
        label = row.get(task.label_field)
        lines.append({**line, "prediction": prediction, "label": None if label is None else task.label_name(label)})
    return lines
