# SPDX-License-Identifier: Apache-2.0
import gzip
import json

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset

from transformers_glm.data.prepare import find_function
from transformers_glm.data.reader import TableSource, load_table


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


def rows_of(*paths, **settings):
    return load_table(TableSource([str(path) for path in paths], **settings)).to_list()


ROWS = [{"text": 'He said "no', "label": "007"}, {"text": "NA", "label": "1"}]
LINES = "\n".join(map(json.dumps, ROWS))
NAMES = {"names": ["text", "label"]}
# file, what is in it, what --data_kwargs says of it
FORMS = [
    ("a.tsv", 'text\tlabel\nHe said "no\t007\nNA\t1\n', {}),
    ("a.csv", 'text,label\n"He said ""no",007\nNA,1\n', {}),
    ("a.csv", '\ufefftext,label\r\n"He said ""no",007\r\nNA,1\r\n\r\n', {}),
    ("a.txt", 'He said "no\t007\nNA\t1\n', {"path": "csv", "sep": "\t", "quoting": 3, **NAMES}),
    ("a.csv", 'He said "no|007\nNA|1\n', {"sep": "|", "quoting": 3, **NAMES}),
    ("a.tsv", 'text\tlabel\n"He said ""no"\t007\nNA\t1\n', {"quoting": 0}),
    ("a.csv.gz", 'text,label\n"He said ""no",007\nNA,1\n', {}),
    ("a.jsonl", LINES, {}),
    ("a.jsonl", "\ufeff" + LINES.replace("\n", "\r\n\r\n") + "\r\n\r\n", {}),
    ("a.jsonl.gz", LINES, {}),
    ("a.json", LINES, {}),
    ("a.json", "\n" + LINES, {}),
    ("a.json", json.dumps(ROWS), {}),
    ("a.json", json.dumps(ROWS, indent=1), {}),
    ("a.json", json.dumps({"data": ROWS}), {"field": "data"}),
    ("a.json", json.dumps({"data": {"rows": ROWS}}, indent=1), {"field": "data.rows"}),
    ("a.json", json.dumps({"train": ROWS, "val": []}), {}),
    ("a.json", json.dumps([list(row.values()) for row in ROWS]), NAMES),
    ("a.dat", json.dumps(ROWS), {"path": "json", "name": "of a Hub dataset, which this is not"}),
]


@pytest.mark.parametrize(("name", "text", "data_kwargs"), FORMS)
def test_rows_are_read_as_they_stand_there(name, text, data_kwargs, tmp_path):
    assert rows_of(written(tmp_path / name, text), data_kwargs=data_kwargs) == ROWS


def test_parquet_and_what_save_to_disk_wrote_keep_their_types(tmp_path):
    features = Features({"label": ClassLabel(names=["no", "yes"])})
    splits = {name: Dataset.from_dict({"label": [n]}, features=features) for n, name in enumerate(("train", "test"))}
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    for number in (0, 1):
        (tmp_path / "hub" / "data").mkdir(parents=True, exist_ok=True)
        splits["test"].to_parquet(tmp_path / "hub" / "data" / f"test-0000{number}-of-00002.parquet")
    for path, split, rows in (("saved", "test", 1), ("saved/test", "train", 1), ("hub", "test", 2)):
        table = load_table(TableSource([str(tmp_path / path)], split=split))
        assert table.to_list() == rows * [{"label": 1}] and table.features == features


def test_files_are_read_one_after_the_other_and_folders_by_their_splits(tmp_path):
    names = ["train.jsonl", "train-00001-of-00002.jsonl", "validation/a.jsonl"]
    files = [written(tmp_path / "d" / name, json.dumps({"n": n})) for n, name in enumerate(names)]
    assert rows_of(*files) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert rows_of(tmp_path / "d") == [{"n": 1}, {"n": 0}]
    assert rows_of(tmp_path / "d", split="validation") == [{"n": 2}]
    with pytest.raises(ValueError, match=r"no file of the split 'test'; it holds train-00001.*Give one of them, or"):
        rows_of(tmp_path / "d", split="test")


def test_lines_of_text_are_rows_and_empty_ones_are_counted(tmp_path, caplog):
    # a line separator of Unicode is part of a line
    assert rows_of(written(tmp_path / "a.txt", "one\u2028more\r\n \ntwo")) == [
        {"text": "one\u2028more"},
        {"text": "two"},
    ]
    assert "a.txt: 1 rows without text were dropped" in caplog.text


def test_files_of_lines_stand_side_by_side(tmp_path):
    english, german = written(tmp_path / "a.en", "one\n\nthree\n"), written(tmp_path / "a.de.gz", "eins\nzwei\ndrei")
    named = [f"en={english}", f"de={german}"]
    expected = [{"en": "one", "de": "eins"}, {"en": "", "de": "zwei"}, {"en": "three", "de": "drei"}]
    assert rows_of(*named) == rows_of(*named, data_kwargs={"path": "text"}) == expected
    with pytest.raises(ValueError, match=r"differ in number: .*a\.en 3, .*b\.de 1"):
        rows_of(named[0], "de=" + written(tmp_path / "b.de", "eins\n"))
    with pytest.raises(ValueError, match="either all files are given as name=file, or none"):
        rows_of(named[0], german.replace("a.de", "no"))


def test_texts_of_json_stay_texts_though_they_look_like_dates_or_numbers(tmp_path):
    rows = [{"text": "2020-01-01", "id": "007"}, {"text": "2020-01-02", "id": "008", "more": 1}]
    assert rows_of(written(tmp_path / "a.json", json.dumps(rows))) == [rows[0] | {"more": None}, rows[1]]
    mixed = written(tmp_path / "b.json", '[{"a": 1}, {"a": "1"}, {"a": null}]')
    assert rows_of(mixed) == [{"a": "1"}, {"a": "1"}, {"a": None}]
    # an object a line is a row, whatever is within it
    assert rows_of(written(tmp_path / "a.jsonl", '{"data": [{"a": 1}]}')) == [{"data": [{"a": 1}]}]


def test_text_has_the_encoding_that_is_said(tmp_path):
    file = written(tmp_path / "a.tsv", "text\ncafé\n".encode("latin-1"))
    assert rows_of(file, data_kwargs={"encoding": "latin-1"}) == [{"text": "café"}]
    for encoding, words in (({}, "utf-8"), ({"encoding": "nope"}, "unknown encoding: nope")):
        with pytest.raises(ValueError, match=f"cannot be read as csv: .*{words}"):
            rows_of(file, data_kwargs=encoding)


BAD = {
    "an empty file": ("a.csv", " \n", {}, r"a\.csv is empty"),
    "a file of bytes": ("a.txt", b"text\0\xff", {}, "is a binary file"),
    "an unknown ending": ("a.xyz", "a", {}, r"ends with '\.xyz'.*--data_kwargs '{\"path\": \"text\"}'"),
    "a repeated column": ("a.csv", "text,text\na,b\n", {}, "cannot be read as csv: a column's name occurs twice"),
    "a header alone": ("a.csv", "text,label\n", {}, "its only row is a header line"),
    "an open quote": ("a.csv", 'a,b\nb,1\nno,"2\nc,3\nd,4\n', {}, "cannot be read as csv: .*EOF inside string"),
    "a field too many": ("a.csv", "text,label\na,1\nb,1,2\n", {}, "row that ends in line 3 has 3 fields, .* text, label"),
    "a field too few": ("a.tsv", "text\tlabel\nfine\t1\n\nshort\n", {}, "row that ends in line 4 has 1 fields"),
    "names beside a header": ("a.csv", "text,label\na,1\n", NAMES, "first row is a header line, .* leave out the names"),
    "a separator of two letters": ("a.csv", "a||b\n1||2\n", {"sep": "||"}, r"separator '\|\|' is not one character"),
    "a setting of no reader": ("a.csv", "a,b\n1,2\n", {"sepp": ";"}, "cannot be read as csv: .*sepp"),
    "a setting of no builder": ("a.dat", "a", {"path": "txt"}, "names the path 'txt'. Files are read as text, json, csv"),
    "a broken line": ("a.json", '{"a": 1}\n{"a": 2\n', {}, r"a\.json cannot be read as json: line 2 is not JSON"),
    "a broken file": ("a.json", "{", {}, "cannot be read as json: it is not JSON"),
    "deep json": ("a.json", "[" * 100_000, {}, "cannot be read as json: it is not JSON"),
    "a list in a list": ("a.json", '[["a", "b"]]', {}, r"row 0 is \['a', 'b'\], not an object; --data_kwargs names the fields"),
    "a missing field": ("a.json", '{"rows": []}', {"field": "data"}, "it has no field 'data'; it has rows"),
    "values of several kinds": ("a.json", '[{"a": [1]}, {"a": {"b": 1}}]', {}, "in the column 'a' that a table cannot hold"),
    "a number over 64 bits": ("a.jsonl", '{"a": 123456789012345678901234567890}', {}, "in the column 'a' that a table"),
    "a lone surrogate": ("a.jsonl", '{"a": "\\ud800"}', {}, "in the column 'a' that a table"),
    "broken parquet": ("a.parquet", b"PAR1 and nothing else", {}, "cannot be read as parquet"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_refused(case, tmp_path):
    name, content, data_kwargs, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        rows_of(written(tmp_path / name, content), data_kwargs=data_kwargs)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.txt.gz"])
def test_a_file_that_is_cut_or_not_compressed_is_named(name, tmp_path):
    whole = gzip.compress(b"text\n" + bytes(range(97, 123)) * 3000 + b"\n")
    for content in (whole[: len(whole) // 2], whole[:12] + b"\xff" * 20 + whole[32:], b"text"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read as \w+"):
            rows_of(tmp_path / name)


def test_what_is_not_there_or_of_two_kinds_is_refused(tmp_path):
    for path in ("none.csv", "d/none", "./none"):
        with pytest.raises(ValueError, match=f"{path} does not exist. Give a file, a folder or the name of a dataset"):
            rows_of(tmp_path / "x" / path if path.startswith("none") else f"{tmp_path}/{path}")
    text, table = written(tmp_path / "k" / "a.txt", "a"), written(tmp_path / "k" / "a.csv", "a\n1\n")
    for paths in ([text, table], [tmp_path / "k"]):
        with pytest.raises(ValueError, match="has csv and text files. Give files of one kind"):
            rows_of(*paths)
    with pytest.raises(ValueError, match="holds no file that ends with .txt"):
        rows_of((tmp_path / "empty").mkdir() or tmp_path / "empty")


def test_a_name_is_that_of_a_dataset_on_the_hub(monkeypatch):
    asked = []

    def load(*names, **options):
        asked.append((names, options))
        return Dataset.from_dict({"text": ["x"], "id": [1]})

    monkeypatch.setattr("transformers_glm.data.reader.load_dataset", load)
    assert rows_of("some/texts", split="test", data_kwargs={"name": "en"}) == [{"text": "x", "id": 1}]
    assert asked == [(("some/texts",), {"split": "test", "streaming": False, "name": "en"})]

    def fail(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr("transformers_glm.data.reader.load_dataset", fail)
    with pytest.raises(ValueError, match="my-texts is neither a file or folder here nor .*: no network"):
        rows_of("my-texts")


def test_fields_are_columns_of_other_names(tmp_path):
    file = written(tmp_path / "a.jsonl", '{"body": "x", "text": "title", "n": 1}')
    assert rows_of(file, columns={"text": "body"}) == [{"text": "x", "n": 1}]
    assert rows_of(file, columns={"text": "body", "body": "text"}) == [{"text": "x", "body": "title", "n": 1}]
    assert rows_of(file, columns={"text": "body", "title": "text"}) == [{"text": "x", "title": "title", "n": 1}]
    with pytest.raises(ValueError, match=r"a\.jsonl has no column stars\. Its columns: body, text, n"):
        rows_of(file, columns={"label": "stars"})
    with pytest.raises(ValueError, match="gives one column to two fields"):
        rows_of(file, columns={"label": "n", "number": "n"})


def test_the_one_column_that_is_wanted_holds_texts(tmp_path):
    lines = '{"text": "x", "n": {"any": 1}}\n{"text": null, "n": [2]}\n'
    source = TableSource([written(tmp_path / "a.jsonl", lines)])
    assert load_table(source, text="text").to_list() == [{"text": "x"}, {"text": None}]
    stream = load_table(source, text="text", streaming=True)
    assert isinstance(stream, IterableDataset) and list(stream) == [{"text": "x"}, {"text": None}]
    for bad, words in (('{"text": 5}', "row 2: 'text' holds 5, not text"), ("{}", "row 2 has no column 'text'")):
        with pytest.raises(ValueError, match=rf"b\.jsonl, {words}"):
            load_table(TableSource([written(tmp_path / "b.jsonl", lines + bad)]), text="text")


OWN = """
def double(table):
    return [row for row in table for _ in range(2)]

def of_split(table, split):
    yield {"split": split}

def none(table):
    return []

def broken(table):
    return table["no such column"]
"""


def test_rows_are_prepared_by_a_function_of_the_users_own(tmp_path):
    file, own = written(tmp_path / "a.jsonl", '{"a": "x"}'), written(tmp_path / "own.py", OWN)
    assert rows_of(file, prepare=f"{own}:double") == 2 * [{"a": "x"}]
    assert rows_of(file, prepare=f"{own}:of_split", split="dev", columns={"part": "split"}) == [{"part": "dev"}]
    assert rows_of(file, prepare=lambda table: table.add_column("b", ["y"])) == [{"a": "x", "b": "y"}]
    for prepare, words in (
        (f"{own}:none", r"--prepare .*own\.py:none returned \[\]. It is given rows and returns rows"),
        (f"{own}:broken", r"--prepare .*own\.py:broken failed with .*no such column"),
        (f"{own}:more", r"own\.py:more cannot be loaded: AttributeError"),
        ("nowhere.py:double", r"there is no file nowhere\.py"),
        ("no_recipe:rows", "there is no recipe 'no_recipe'. There are .*squad.*; a file ends with .py"),
        ("double", "names no function. Write it as my_file.py:function"),
    ):
        with pytest.raises(ValueError, match=words):
            rows_of(file, prepare=prepare)


def test_a_function_of_a_module_is_found():
    assert find_function("json:dumps") is json.dumps
