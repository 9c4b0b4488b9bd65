# SPDX-License-Identifier: Apache-2.0
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from transformers_glm.cloze.data import draw, task_rows
from transformers_glm.cloze.labels import check_labels, kept_rows, warn_of_numbers
from transformers_glm.cloze.task import ClozeTask


TASK = ClozeTask("{{ text }} [MASK]", {"0": "bad", "1": "good"})


def table(*rows, features=None):
    return Dataset.from_list(list(rows), features=features)


def classes(names, *labels):
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return table(*({"text": "a", "label": label} for label in labels), features=features)


def test_labels_are_named_by_the_user():
    made = task_rows(
        TASK,
        table({"text": "fine", "label": "pos"}, {"text": "poor", "label": "neg"}),
        label_map={"pos": "1", "neg": "0"},
    )
    assert [(row["text"], row["label"], row["idx"]) for row in made] == [("fine", "1", 0), ("poor", "0", 1)]
    assert check_labels(TASK, made, "data", required=True)


def test_labels_that_the_task_does_not_know_are_refused_with_their_rows():
    made = task_rows(TASK, table(*({"text": "a", "label": label} for label in (1, 0, 2, 2, 3))))
    words = (
        r"labels that the task cloze has no answer for: '2' \(2 rows, the first is row 2\), '3' \(1 rows, .* row 4\)"
    )
    with pytest.raises(ValueError, match=words):
        check_labels(TASK, made, "training data", required=True)


def test_rows_without_labels_are_for_prediction_only():
    made = task_rows(TASK, table({"text": "a"}, {"text": "b"}))
    assert check_labels(TASK, made, "evaluation data", required=False) is False
    with pytest.raises(ValueError, match="Row 0 of the training data has no label .* 'label'"):
        check_labels(TASK, made, "training data", required=True)
    mixed = task_rows(TASK, table({"text": "a", "label": "1"}, {"text": "b", "label": None}))
    with pytest.raises(ValueError, match=r"Row 1 of the evaluation data has no label \(1 rows of 2"):
        check_labels(TASK, mixed, "evaluation data", required=False)


@pytest.mark.parametrize(
    ("names", "verbalizer", "expected"),
    [
        (["no", "yes"], {"yes": "Yes", "no": "No"}, ["yes", "no"]),
        (["no", "yes"], {1: "Yes", 0: "No"}, [1, 0]),
        (["False", "True"], {True: "Yes", False: "No"}, ["True", "False"]),
        (["no", "yes"], None, ["yes", "no"]),
    ],
)
def test_class_labels_of_the_hub_are_names_where_the_task_knows_them(names, verbalizer, expected):
    task = ClozeTask("{{ text }} [MASK]", verbalizer)
    made = task_rows(task, classes(names, 1, 0))
    assert [row["label"] for row in made] == expected
    if verbalizer is not None:
        assert check_labels(task, made, "data", required=True)


def test_rows_are_left_out_by_their_label():
    data = table(*({"label": label} for label in ("1", "-", "", "0")))
    for label_map, kept in (({}, [0, 1, 2, 3]), ({"-": None}, [0, 2, 3]), ({"-": None, "": None}, [0, 3])):
        assert kept_rows(TASK, data, label_map) == kept
    with pytest.raises(ValueError, match="No row of 4 is left"):
        kept_rows(TASK, data, dict.fromkeys(("1", "-", "", "0")))
    with pytest.raises(ValueError, match="no column label for label_map. The columns: text"):
        kept_rows(TASK, table({"text": "a"}), {"-": None})
    drawn = draw(data, [0, 3], 1, None, "label", 0) + draw(data, [0, 3], None, 1, "label", 0)
    assert set(drawn) <= {0, 3} and drawn[1:] == [0, 3]


def test_the_unknown_class_and_an_empty_text_are_no_labels():
    data = classes(["0", "1"], -1, 1)
    assert [row["label"] for row in task_rows(TASK, data)] == [None, "1"]
    assert kept_rows(TASK, data, {"": None}) == kept_rows(TASK, data, {"-1": None}) == [1]
    made = task_rows(TASK, table({"text": "a", "label": " "}, {"text": "b", "label": "1"}))
    with pytest.raises(ValueError, match="Row 0 of the data has no label .* leave such rows out by label_map"):
        check_labels(TASK, made, "data", required=True)


@pytest.mark.parametrize("task", [TASK, ClozeTask("{{ text }} [MASK]", candidates="options")])
def test_rows_of_several_labels_are_refused(task):
    made = task_rows(task, table({"text": "a", "label": [1]}, {"text": "b", "label": [0, 1]}))
    with pytest.raises(ValueError, match="Row 0 of the data has several labels in the field 'label'"):
        check_labels(task, made, "data", required=True)


@pytest.mark.parametrize("scores", [[3.75, 5.0], ["3.750", "5.000"]])
def test_scores_are_no_classes_whose_names_could_be_answers(scores):
    with pytest.raises(ValueError, match=r"holds numbers, 3.75.*, 5.0.*: they are scores, not classes"):
        ClozeTask("{{ text }} [MASK]").with_labels(scores)


def test_the_log_says_which_class_got_which_answer_by_its_number(caplog):
    data = classes(["positive", "negative"], 0)
    warn_of_numbers(TASK, data)
    assert "'positive' is 0, answered by ['bad']; 'negative' is 1, answered by ['good']" in caplog.text
    caplog.clear()
    warn_of_numbers(TASK, data, {"positive": "1", "negative": "0"})
    assert not caplog.text


def test_rows_are_drawn_by_the_seed():
    data, every = table(*({"label": str(index % 3)} for index in range(60))), list(range(60))
    assert draw(data, every, None, None, "label", 0) == every
    assert draw(data, every, 5, None, "label", 1) == draw(data, every, 5, None, "label", 1)
    assert draw(data, every, 5, None, "label", 1) != draw(data, every, 5, None, "label", 2)
    assert len(set(draw(data, every, 5, None, "label", 1))) == 5
    of_each = draw(data, every, None, 4, "label", 1)
    assert sorted(data[index]["label"] for index in of_each) == ["0"] * 4 + ["1"] * 4 + ["2"] * 4
    for number, per_label, words in ((61, None, "61 rows .* has 60"), (None, 21, "21 rows .* label '0': it has 20")):
        with pytest.raises(ValueError, match=words):
            draw(data, every, number, per_label, "label", 0)
    with pytest.raises(ValueError, match="no column mood"):
        draw(data, every, None, 1, "mood", 0)
