# SPDX-License-Identifier: Apache-2.0

import pytest

from transformers_glm.cloze.evaluation import (
    check_metrics,
    evaluate_predictions,
    majority_accuracy,
    prediction_lines,
)
from transformers_glm.cloze.task import ClozeTask
from transformers_glm.cloze.tasks import load_task


def test_each_metric_gets_what_it_wants():
    rows = [{"group": "q", "label": 1}, {"group": "q", "label": 0}]
    assert evaluate_predictions(load_task("multirc"), rows, ["1", "1"]) == {
        "f1_a": pytest.approx(2 / 3),
        "exact_match": 0.0,
    }
    rows = [{"entities": ["Ada", "Bob"], "answers": ["Bob"], "label": "Bob"}]
    assert evaluate_predictions(load_task("record"), rows, ["1"]) == {"exact_match": 1.0, "f1": 1.0}
    task = ClozeTask("[MASK]", candidates="options", label_is="text")
    rows = [{"options": ["x", "True"], "label": "True"}, {"options": ["True", "z"], "label": "True"}]
    assert [task.right_answer(row) for row in rows] == [1, 0]
    assert evaluate_predictions(task, rows, ["1", "1"]) == {"accuracy": 0.5}
    task = ClozeTask("[MASK]", {True: "Yes", False: "No"}, metrics=["accuracy", "f1"])
    assert evaluate_predictions(task, [{"label": "True"}, {"label": False}], ["true", "true"]) == {
        "accuracy": 0.5,
        "f1": pytest.approx(1 / 3),
    }


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="No metric is called 'auc'. There are accuracy, "):
        evaluate_predictions(ClozeTask("[MASK]", {"a": "a"}, metrics=["auc"]), [{"label": "a"}], ["a"])


def test_the_majorities_of_training_and_of_the_rows_themselves():
    """Row 32."""
    rows = [{"label": label} for label in (1, 0, 0, 0)]
    task = ClozeTask("[MASK]", {1: "a", 0: "b"})
    of_rows = {"evaluation_majority_accuracy": 0.75}
    assert majority_accuracy(task, rows, of_training=["1", "1", "0"]) == {"majority_accuracy": 0.25, **of_rows}
    assert majority_accuracy(task, rows, of_training=[]) == of_rows
    assert majority_accuracy(ClozeTask("[MASK]", candidates="c"), rows, of_training=["1", "1", "0"]) == {}


def test_the_line_of_a_row_has_its_id_scores_prediction_and_label():
    task = ClozeTask("[MASK]", candidates="options")
    rows = [{"options": ["x", "y"], "label": 1, "idx": 7}, {"options": ["z"], "idx": 8}]
    assert prediction_lines(task, rows, [{0: -1.5, 1: -1.0}, {0: -2.0}], ["1", "0"]) == [
        {"id": 7, "scores": {"0": -1.5, "1": -1.0}, "text": "y", "prediction": "1", "label": "1"},
        {"id": 8, "scores": {"0": -2.0}, "text": "z", "prediction": "0", "label": None},
    ]
    [line] = prediction_lines(
        load_task("record"), [{"entities": ["Ada"], "label": "Ada", "idx": 1}], [{0: -1.0}], ["0"]
    )
    assert line["prediction"] == line["label"] == line["text"] == "Ada"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (ClozeTask("[MASK]", {"a": "a"}, metrics=["auc"]), "No metric is called 'auc'"),
        (ClozeTask("[MASK]", {"a": "a"}, metrics=["multirc"]), "wants a field 'group' in each row; row 3 has none"),
    ],
)
def test_metrics_that_cannot_be_computed_are_known_before_there_are_predictions(task, words):
    with pytest.raises(ValueError, match=words):
        check_metrics(task, [{"label": "a", "row_number": 3}])


def test_metrics_of_rows_with_their_own_candidates_are_checked_too():
    rows = [{"entities": ["Ada", "Bob"], "answers": ["Bob"], "label": "Bob", "row_number": 0}]
    check_metrics(load_task("record"), rows)
    check_metrics(ClozeTask("[MASK]", candidates="options"), [{"options": ["x", "y"], "label": "1", "row_number": 0}])
    check_metrics(load_task("wsc"), [{"choices": ["x"], "label": "true", "row_number": 0}])
