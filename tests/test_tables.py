# SPDX-License-Identifier: Apache-2.0
import json

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from transformers_glm.cloze import ClozeTask
from transformers_glm.cloze_data import check_labels, draw, task_rows
from transformers_glm.tables import TableSource, load_table


TASK = ClozeTask("{text} [MASK]", {"0": "bad", "1": "good"})


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def rows_of(tmp_path, name, text, **settings):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_table(TableSource(str(path), **settings)).to_list()


ROWS = [{"text": 'He said "no', "label": "007"}, {"text": "NA", "label": "1"}]


@pytest.mark.parametrize(
    ("name", "text", "settings"),
    [
        ("a.tsv", 'text\tlabel\nHe said "no\t007\nNA\t1\n', {}),
        ("a.csv", 'text,label\n"He said ""no",007\nNA,1\n', {}),
        ("a.csv", '\ufefftext,label\n"He said ""no",007\nNA,1\n', {}),
        ("a.txt", 'He said "no\t007\nNA\t1\n', {"data_format": "tsv", "column_names": ["text", "label"]}),
        ("a.csv", 'He said "no|007\nNA|1\n', {"delimiter": "|", "column_names": ["text", "label"], "quoting": False}),
        ("a.tsv", 'text\tlabel\n"He said ""no"\t007\nNA\t1\n', {"quoting": True}),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS)), {}),
        ("a.json", "\n".join(map(json.dumps, ROWS)), {}),
        ("a.json", json.dumps(ROWS), {}),
        ("a.json", json.dumps({"data": ROWS}), {"json_field": "data"}),
        ("a.dat", json.dumps(ROWS), {"data_format": "json"}),
    ],
)
def test_rows_are_read_as_they_stand_there(name, text, settings, tmp_path):
    if "data_format" in settings:
        settings["format"] = settings.pop("data_format")
    assert rows_of(tmp_path, name, text, **settings) == ROWS


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "", "is empty"),
        ("a.xyz", "a", "ends with '.xyz'"),
        ("a.csv", "text,text\na,b\n", "occurs twice"),
        ("a.csv", "text,label\n", "cannot be read as csv: .*no data"),
        ("a.csv", "text,label\na,1\nb,1,2\n", "row 1 has 3 fields, and the columns are text, label"),
        ("a.tsv", "text\tlabel\nfine\t1\n\nshort\n", "row 1 has 1 fields"),
        ("a.json", "{", "cannot be read as json"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name, text, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        rows_of(tmp_path, name, text)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no file"):
        load_table(TableSource(str(tmp_path / "none.csv")))


def table(*rows, features=None):
    return Dataset.from_list(list(rows), features=features)


def test_columns_and_labels_are_named_by_the_user():
    data = table({"review": "fine", "mood": "pos"}, {"review": "poor", "mood": "neg"})
    columns, labels = {"text": "review", "label": "mood"}, {"pos": "1", "neg": "0"}
    made = task_rows(TASK, data, training=True, columns=columns, label_map=labels)
    assert [(row["text"], row["label"], row["idx"]) for row in made] == [("fine", "1", 0), ("poor", "0", 1)]
    assert check_labels(TASK, made, "data", required=True)
    with pytest.raises(ValueError, match="There is no column stars. The columns: review, mood"):
        task_rows(TASK, data, training=True, columns={"label": "stars"})


def test_labels_that_the_task_does_not_know_are_refused_with_their_rows():
    made = task_rows(TASK, table(*({"text": "a", "label": label} for label in (1, 0, 2, 2, 3))), training=True)
    words = (
        r"labels that the task cloze has no answer for: '2' \(2 rows, the first is row 2\), '3' \(1 rows, .* row 4\)"
    )
    with pytest.raises(ValueError, match=words):
        check_labels(TASK, made, "training data", required=True)


def test_rows_without_labels_are_for_prediction_only():
    made = task_rows(TASK, table({"text": "a"}, {"text": "b"}), training=False)
    assert check_labels(TASK, made, "evaluation data", required=False) is False
    with pytest.raises(ValueError, match="Row 0 of the training data has no label .* 'label'"):
        check_labels(TASK, made, "training data", required=True)
    mixed = task_rows(TASK, table({"text": "a", "label": "1"}, {"text": "b", "label": None}), training=False)
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
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    data = table({"text": "a", "label": 1}, {"text": "b", "label": 0}, features=features)
    task = ClozeTask("{text} [MASK]", verbalizer)
    made = task_rows(task, data, training=True)
    assert [row["label"] for row in made] == expected
    if verbalizer is not None:
        assert check_labels(task, made, "data", required=True)


def test_rows_are_drawn_by_the_seed():
    data = table(*({"label": str(index % 3)} for index in range(60)))
    assert draw(data, None, None, "label", 0) is None
    assert draw(data, 5, None, "label", 1) == draw(data, 5, None, "label", 1) != draw(data, 5, None, "label", 2)
    assert len(set(draw(data, 5, None, "label", 1))) == 5
    of_each = draw(data, None, 4, "label", 1)
    assert sorted(data[index]["label"] for index in of_each) == ["0"] * 4 + ["1"] * 4 + ["2"] * 4
    for number, per_label, words in ((61, None, "61 rows .* has 60"), (None, 21, "21 rows .* label '0': it has 20")):
        with pytest.raises(ValueError, match=words):
            draw(data, number, per_label, "label", 0)
    with pytest.raises(ValueError, match="no column 'mood'"):
        draw(data, None, 1, "mood", 0)
