# SPDX-License-Identifier: Apache-2.0
import gzip
import json

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features

from transformers_glm.data.tables import TableSource, add_labels, load_table


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
        ("a.json", json.dumps({"train": ROWS, "val": []}), {}),
        ("a.json", json.dumps({"train": [], "val": ROWS}), {"split": "val"}),
        ("a.json", json.dumps([list(row.values()) for row in ROWS]), {"column_names": ["text", "label"]}),
        ("a.jsonl", "\ufeff" + "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n", {}),
        ("a.dat", json.dumps(ROWS), {"data_format": "json"}),
        ("a.txt", '007 He said "no\n1 NA\n', {"line_pattern": r"(?P<label>\d+) (?P<text>.*)"}),
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
        ("a.csv", 'text,label\nb,1\n"no,2\nc,3\n', "a quote that opens in the row of line 3 is never closed"),
        ("a.json", '{"a": 1}\n{"a": 2\n', "cannot be read as json: line 2: "),
        ("a.json", '[["a", "b"]]', "row 0 is ..a., .b.., no object; name the fields of a list by column_names"),
        ("a.json", '[{"a": [1]}, {"a": {"b": 1}}]', "values of several kinds in the column 'a'"),
        ("a.csv", "text,label\na,1\nb,1,2\n", "row 1 has 3 fields, and the columns are text, label"),
        ("a.tsv", "text\tlabel\nfine\t1\n\nshort\n", "row 1 has 1 fields"),
        ("a.json", "{", "cannot be read as json"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name, text, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        rows_of(tmp_path, name, text)


def test_texts_of_json_stay_texts_though_they_look_like_dates_or_numbers(tmp_path):
    rows = [{"text": "2020-01-01", "id": "007"}, {"text": "2020-01-02", "id": "008", "more": 1}]
    expected = [rows[0] | {"more": None}, rows[1]]
    assert rows_of(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows))) == expected
    assert rows_of(tmp_path, "b.json", json.dumps({"data": rows}), json_field="data") == expected


def test_numbers_and_texts_in_one_column_are_texts(tmp_path):
    assert rows_of(tmp_path, "a.json", '[{"a": 1}, {"a": "1"}, {"a": null}]') == [{"a": "1"}, {"a": "1"}, {"a": None}]


def test_text_has_the_encoding_that_is_said(tmp_path):
    (tmp_path / "a.tsv").write_bytes("text\ncafé\n".encode("latin-1"))
    assert load_table(TableSource(str(tmp_path / "a.tsv"), encoding="latin-1")).to_list() == [{"text": "café"}]
    for encoding, words in ((None, "utf-8"), ("nope", "unknown encoding: nope")):
        with pytest.raises(ValueError, match=f"cannot be read as tsv: .*{words}"):
            load_table(TableSource(str(tmp_path / "a.tsv"), encoding=encoding))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(", "no regular expression"), ("(a) b", "names no column"), ("(?P<a>b)", "row 0 does not match .*'a b'")],
)
def test_line_patterns_that_do_not_fit_are_refused(pattern, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        rows_of(tmp_path, "a.txt", "a b\n", line_pattern=pattern)


def test_a_header_line_is_no_row_though_columns_are_named(tmp_path):
    with pytest.raises(ValueError, match="row 0 is a header line, .*, so leave out column_names"):
        rows_of(tmp_path, "a.csv", "text,label\na,1\n", column_names=["text", "label"])


def test_compressed_files_and_folders_are_read(tmp_path):
    with gzip.open(tmp_path / "train.tsv.gz", "wt") as file:
        file.write("text\tlabel\nNA\t007\n")
    (tmp_path / "dev.jsonl").write_text('{"text": "a", "label": "b"}')
    expected = [{"text": "NA", "label": "007"}]
    assert load_table(TableSource(str(tmp_path / "train.tsv.gz"))).to_list() == expected
    assert load_table(TableSource(str(tmp_path))).to_list() == expected
    with pytest.raises(ValueError, match="0 files for the split 'validation'; it holds dev.jsonl, train.tsv.gz"):
        load_table(TableSource(str(tmp_path), split="validation"))


def test_folders_of_datasets_are_read(tmp_path):
    features = Features({"label": ClassLabel(names=["no", "yes"])})
    splits = {name: table({"label": label}, features=features) for name, label in (("train", 0), ("test", 1))}
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    for path, split in (("saved", "test"), ("saved/test", "train")):
        loaded = load_table(TableSource(str(tmp_path / path), split=split))
        assert loaded.to_list() == [{"label": 1}] and loaded.features == features
    with pytest.raises(ValueError, match="has no split 'validation'. It has train, test"):
        load_table(TableSource(str(tmp_path / "saved"), split="validation"))
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for number in (0, 1):
        splits["test"].to_parquet(tmp_path / "hub" / "data" / f"test-0000{number}-of-00002.parquet")
    loaded = load_table(TableSource(str(tmp_path / "hub"), split="test"))
    assert loaded.to_list() == 2 * [{"label": 1}] and loaded.features == features


def test_labels_may_stand_in_a_file_of_their_own(tmp_path):
    (tmp_path / "labels.lst").write_text("1\n0\n\n")
    data = table({"text": "a"}, {"text": "b"})
    assert add_labels(data, str(tmp_path / "labels.lst"), "label")["label"] == ["1", "0"]
    for rows, words in (
        (data.select([0]), "has 2 lines for 1 rows"),
        (data.add_column("label", ["1", "1"]), "The rows have a column 'label'"),
    ):
        with pytest.raises(ValueError, match=words):
            add_labels(rows, str(tmp_path / "labels.lst"), "label")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no file"):
        load_table(TableSource(str(tmp_path / "none.csv")))


def table(*rows, features=None):
    return Dataset.from_list(list(rows), features=features)
