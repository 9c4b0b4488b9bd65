# SPDX-License-Identifier: Apache-2.0
import gzip
import json

import pytest
from datasets import Dataset, DatasetDict

from transformers_glm.data.task_rows import RowSource, draw_rows, load_rows
from transformers_glm.seq2seq.dialogue import DialogueFormat, responses


ROWS = [{"en": 'He said "hi"', "zh": "他说，你好"}, {"en": "a\tb" and "a, b", "zh": "丙"}]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_kind_of_file_gives_the_same_rows(tmp_path):
    files = [
        written(tmp_path / "a.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n"),
        written(tmp_path / "a.json", json.dumps(ROWS)),
        written(tmp_path / "lines.json", "\n".join(map(json.dumps, ROWS))),
        written(tmp_path / "a.csv", 'en,zh\n"He said ""hi""",他说，你好\n"a, b",丙\n'),
        written(tmp_path / "a.tsv", 'en\tzh\nHe said "hi"\t他说，你好\na, b\t丙\n'),
    ]
    Dataset.from_list(ROWS).to_parquet(tmp_path / "a.parquet")
    for file in [*files, str(tmp_path / "a.parquet")]:
        assert list(load_rows(RowSource([file]))) == ROWS, file


def test_a_table_without_a_header_takes_its_names_from_the_settings(tmp_path):
    file = written(tmp_path / "a.tsv", "Hi.\t嗨。\tCC-BY\n")
    assert load_rows(RowSource([file], columns=["en", "zh", "licence"])) == [
        {"en": "Hi.", "zh": "嗨。", "licence": "CC-BY"}
    ]


def test_parallel_files_go_together_line_by_line(tmp_path):
    # a line separator of Unicode is part of a line
    files = [written(tmp_path / "a.en", "one\u2028more\ntwo\n"), written(tmp_path / "a.de", "eins\nzwei")]
    assert load_rows(RowSource(files)) == [
        {"source": "one\u2028more", "target": "eins"},
        {"source": "two", "target": "zwei"},
    ]


def test_rows_within_an_object_are_found_by_their_key(tmp_path):
    file = written(tmp_path / "a.json", json.dumps({"version": 1, "data": ROWS}))
    assert load_rows(RowSource([file], rows_at="data")) == [{"version": 1, **row} for row in ROWS]


def test_rows_deep_in_an_object_bring_along_what_stands_beside_them(tmp_path):
    asked = [{"question": "q1", "answers": [{"text": "a"}]}, {"question": "q2", "answers": [{"text": "b"}]}]
    paragraphs = [{"context": "c1", "qas": asked}, {"context": "c2", "qas": asked[:1]}]
    file = written(tmp_path / "a.json", json.dumps({"version": 1, "data": [{"title": "t", "paragraphs": paragraphs}]}))
    rows = load_rows(RowSource([file], rows_at="data.paragraphs.qas"))
    assert [(row["context"], row["question"]) for row in rows] == [("c1", "q1"), ("c1", "q2"), ("c2", "q1")]
    assert rows[1] == {"version": 1, "title": "t", "context": "c1", **asked[1]}


def test_several_tables_are_read_one_after_the_other(tmp_path):
    """Two shards are no parallel files, of which the lines of one would be sources of the other's."""
    shards = [written(tmp_path / f"{n}.jsonl", json.dumps(row) + "\n") for n, row in enumerate(ROWS)]
    Dataset.from_list(ROWS).to_parquet(tmp_path / "a.parquet")
    assert load_rows(RowSource([*shards, str(tmp_path / "a.parquet")])) == ROWS * 2


def test_compressed_files_are_what_stands_before_gz(tmp_path):
    text = "\n".join(map(json.dumps, ROWS))
    for name, content in (("a.jsonl.gz", text), ("a.en.gz", "one\ntwo\n"), ("a.de.gz", "eins\nzwei\n")):
        (tmp_path / name).write_bytes(gzip.compress(content.encode()))
    assert load_rows(RowSource([str(tmp_path / "a.jsonl.gz")])) == ROWS
    [first, _] = load_rows(RowSource([str(tmp_path / "a.en.gz"), str(tmp_path / "a.de.gz")]))
    assert first == {"source": "one", "target": "eins"}


def test_what_save_to_disk_wrote_is_read_by_its_split(tmp_path):
    DatasetDict(train=Dataset.from_list(ROWS), test=Dataset.from_list(ROWS[:1])).save_to_disk(tmp_path / "both")
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    assert list(load_rows(RowSource([str(tmp_path / "one")]))) == ROWS
    assert list(load_rows(RowSource([str(tmp_path / "both")], split="test"))) == ROWS[:1]
    refused(r"both has no split 'validation'\. It has train, test", tmp_path / "both", split="validation")


def test_a_text_file_with_columns_has_them_apart_by_tabs(tmp_path):
    file = written(tmp_path / "deu.txt", 'Go "on".\tGeh\r weiter.\r\n')  # quotes and lone line ends are text
    assert load_rows(RowSource([file], columns=["en", "de"])) == [{"en": 'Go "on".', "de": "Geh\r weiter."}]


def test_any_key_leads_to_rows_that_are_named_by_their_keys(tmp_path):
    file = written(tmp_path / "a.json", json.dumps({"d1": {"log": ROWS[:1], "n": 1}, "d2": {"log": ROWS[1:], "n": 2}}))
    assert load_rows(RowSource([file], rows_at="*.log")) == [{"n": 1, **ROWS[0]}, {"n": 2, **ROWS[1]}]
    lines = written(tmp_path / "a.jsonl", json.dumps({"context": "c", "qas": ROWS}) + "\n")
    assert load_rows(RowSource([lines], rows_at="qas")) == [{"context": "c", **row} for row in ROWS]


def test_a_csv_file_that_would_lose_rows_or_columns_is_refused(tmp_path):
    opened = 'a,b\none,"it fell\ntwo,stood\nthree,late\n'  # the rest of the file would be one field
    refused(r"o\.csv, line 4: unexpected end of data", written(tmp_path / "o.csv", opened))
    refused(r"t\.csv: a column's name occurs twice in a, b, b", written(tmp_path / "t.csv", "a,b,b\n1,2,3\n"))
    refused(r"r\.csv, line 1: new-line character", written(tmp_path / "r.csv", "a,b\r1,2\r"))


def test_files_that_do_not_go_together_and_broken_ones_are_refused(tmp_path):
    lines = [written(tmp_path / name, "a\n") for name in ("a.en", "a.de", "a.fr")]
    refused("3 files: .*a.en and 1 more|3 files: .*one after the other", *lines)
    refused("2 files: ", written(tmp_path / "a.jsonl", "{}"), lines[0])
    refused(r"b\.parquet cannot be read as parquet", written(tmp_path / "b.parquet", "PAR1"))
    refused(r"b\.en\.gz cannot be decompressed", written(tmp_path / "b.en.gz", "text"), lines[0])
    refused(r"is no file.*folder/\*\.parquet", tmp_path)


def refused(match, *paths, **settings):
    with pytest.raises(ValueError, match=match):
        load_rows(RowSource(list(map(str, paths)), **settings))


def test_bad_files_are_refused_with_their_name_and_line(tmp_path):
    one, two = written(tmp_path / "a.en", "a\nb\n"), written(tmp_path / "a.de", "a\n")
    refused(r"a\.en has 2 lines and .*a\.de has 1", one, two)
    refused(r"3 files", one, two, two)
    refused(r"missing\.jsonl is no file", tmp_path / "missing.jsonl")
    refused(r"missing does not exist", tmp_path / "missing", two)
    refused(r"a\.en ends with '\.en'.*of two parallel files give both", one)
    refused(r"line 2 is no JSON", written(tmp_path / "b.jsonl", '{"a": 1}\n{"a":\n'))
    refused(r"line 1 holds list", written(tmp_path / "c.jsonl", "[1]\n"))
    refused(r"line 3: 1 fields, but 2 columns \(en, zh\)", written(tmp_path / "d.tsv", "en\tzh\na\tb\nc\n"))
    nested = written(tmp_path / "e.json", '{"data": [{"rows": [1]}]}')
    refused(r"e\.json is one object with the keys \['data'\].*--rows_at", nested)
    refused(r"e\.json, data, 1 has no key 'row' of --rows_at, only \['rows'\]", nested, rows_at="data.row")
    refused(r"e\.json, data, 1, rows, 1 is int, not an object", nested, rows_at="data.rows")
    refused(r"holds no row", written(tmp_path / "f.jsonl", "\n"))
    (tmp_path / "g.txt").write_bytes(b"\xff\xfe")
    refused(r"g\.txt is not UTF-8", tmp_path / "g.txt")


def test_rows_are_drawn_by_the_seed_in_their_own_order():
    rows = [{"n": n} for n in range(100)]
    drawn = [row["n"] for row in draw_rows(rows, 10, seed=1)]
    assert drawn == sorted(drawn) and len(set(drawn)) == 10
    assert drawn == [row["n"] for row in draw_rows(Dataset.from_list(rows), 10, seed=1)]
    assert drawn != [row["n"] for row in draw_rows(rows, 10, seed=2)]
    with pytest.raises(ValueError, match="101 rows were asked for, there are 100"):
        draw_rows(rows, 101, seed=0)


PAIRS = [["USER", "Any trains?"], ["SYSTEM", "Two."], ["USER", "Thanks."], ["SYSTEM", "Bye."]]


def test_each_turn_of_the_speaker_becomes_a_row():
    rows = list(responses([{"id": 7, "turns": PAIRS}], DialogueFormat("turns", respond_as="SYSTEM"), "file"))
    assert rows == [
        {"id": 7, "history": "USER: Any trains?", "speaker": "SYSTEM", "response": "Two."},
        {
            "id": 7,
            "history": "USER: Any trains?\nSYSTEM: Two.\nUSER: Thanks.",
            "speaker": "SYSTEM",
            "response": "Bye.",
        },
    ]


def test_turns_may_be_objects_or_plain_texts():
    objects = [{"who": who, "said": said, "act": 1} for who, said in PAIRS]
    form = DialogueFormat("turns", speaker="who", text="said", respond_as="SYSTEM")
    assert [row["response"] for row in responses([{"turns": objects}], form, "file")] == ["Two.", "Bye."]
    nameless = [{"text": said} for _, said in PAIRS]
    [first, *_] = responses([{"log": nameless}], DialogueFormat("log", speaker=""), "file")
    assert first == {"history": "Any trains?", "speaker": None, "response": "Two."}
    plain = list(responses([{"dialog": ["a", "b", "c"]}], DialogueFormat("dialog"), "file"))
    assert [(row["history"], row["response"]) for row in plain] == [("a", "b"), ("a\nb", "c")]


def test_turns_may_be_an_object_of_lists_or_one_text_with_separators():
    lists = {"speaker": [0, 1, 0], "utterance": ["a", "b", "c"]}  # as datasets keeps a list of objects
    rows = list(responses([{"turns": lists}], DialogueFormat("turns", text="utterance", respond_as="1"), "file"))
    assert rows == [{"history": "0: a", "speaker": "1", "response": "b"}]
    [row] = responses([{"text": "a . __eou__ b ? __eou__"}], DialogueFormat("text", separator="__eou__"), "file")
    assert row == {"history": "a .", "speaker": None, "response": "b ?"}


def test_a_turn_of_which_nothing_is_said_is_refused():
    form = DialogueFormat("turns")
    for turn in (["A", None], {"speaker": "A", "text": None}):
        with pytest.raises(ValueError, match="row 1: the turn"):
            list(responses([{"turns": [turn, ["B", "x"]]}], form, "file"))


def test_dialogues_of_another_form_are_refused():
    for rows, form, match in (
        (
            [{"id": 1}],
            DialogueFormat("turns"),
            r"file, row 1: no list of turns in a column 'turns'; there are \['id'\]",
        ),
        ([{"turns": [["A", "x", "y"]]}], DialogueFormat("turns"), r"row 1: the turn \['A', 'x', 'y'\]"),
        ([{"turns": PAIRS}], DialogueFormat("turns", respond_as="BOT"), r"no response of 'BOT'.*\['SYSTEM', 'USER'\]"),
    ):
        with pytest.raises(ValueError, match=match):
            list(responses(rows, form, "file"))
