# SPDX-License-Identifier: Apache-2.0
import gzip
import json
import logging

import pytest
from datasets import Dataset, DatasetDict, IterableDataset
from hypothesis import given
from hypothesis import strategies as st

from transformers_glm.data.documents import (
    cut_at_sentences,
    hold_out,
    join_pieces,
    load_documents,
    tokenize_documents,
)
from transformers_glm.data.reader import TableSource


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def texts_of(documents):
    return [row["text"] for row in documents]


def documents_of(path, streaming=False, document="file", **settings):
    return load_documents(TableSource([str(path)], document=document, **settings), streaming=streaming)


TEXTS = ["Ada wrote. It ran!", "机器能思考吗？图灵问。", "A moth 🦋 in the relay."]


def write_jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))


WRITERS = {
    "a.jsonl": lambda path: write_jsonl(path, [{"text": text} for text in TEXTS]),
    "a.parquet": lambda path: Dataset.from_dict({"text": TEXTS}).to_parquet(path),
    "a.csv": lambda path: Dataset.from_dict({"text": TEXTS}).to_csv(path),
    "a.txt": lambda path: path.write_text("\n".join(TEXTS)),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_its_texts(tmp_path, name, streaming):
    WRITERS[name](tmp_path / name)
    documents = documents_of(tmp_path / name, document="line", streaming=streaming)
    assert isinstance(documents, IterableDataset if streaming else Dataset)
    assert list(documents) == [{"text": text} for text in TEXTS]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("file", ["a\nb\n\nc\n"]),
        ("line", ["a", "b", "c"]),
        ("paragraph", ["a\nb", "c\n"]),
    ],
)
def test_a_text_file_is_read_by_file_line_or_paragraph(tmp_path, document, expected):
    (tmp_path / "a.txt").write_text("a\nb\n\nc\n")
    assert texts_of(documents_of(tmp_path / "a.txt", document=document)) == expected


@pytest.mark.parametrize("streaming", [False, True])
def test_a_line_of_spaces_ends_a_paragraph_as_an_empty_one_does(tmp_path, caplog, streaming):
    (tmp_path / "wiki.train.tokens").write_text(
        " \n = Ada = \n \n She wrote . \n  It ran ! \n \t\n \n\n = = Notes = = \n\nOne\n \n"
    )
    with caplog.at_level(logging.WARNING):
        texts = texts_of(documents_of(tmp_path / "wiki.train.tokens", streaming, "paragraph"))
    assert texts == [" \n = Ada = ", " She wrote . \n  It ran ! ", " = = Notes = = ", "One"]
    assert "dropped" not in caplog.text


@pytest.mark.parametrize("streaming", [False, True])
def test_compressed_files_saved_datasets_and_files_without_an_ending_are_read(tmp_path, streaming):
    rows = [{"text": "one\ntwo", "url": "u"}, {"text": "NA", "url": "u"}]
    (tmp_path / "c4.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (tmp_path / "rows.csv").write_text('text,url\n"one\ntwo",u\nNA,u\n')
    DatasetDict(test=Dataset.from_list(rows)).save_to_disk(tmp_path / "saved")
    for name in ("c4.json.gz", "rows.csv", "saved"):
        documents = documents_of(tmp_path / name, split="test", streaming=streaming)
        assert texts_of(documents) == ["one\ntwo", "NA"], name
    (tmp_path / "enwik8").write_text("\ufeff<page>\n", encoding="utf-8")  # the mark of its encoding is no text
    assert texts_of(documents_of(tmp_path / "enwik8", streaming=streaming)) == ["<page>\n"]


def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(tmp_path):
    (tmp_path / "a.txt.gz").write_text("text")
    with pytest.raises(ValueError, match=r"a\.txt\.gz cannot be read as text: Not a gzipped file"):
        documents_of(tmp_path / "a.txt.gz")


def test_a_folder_is_read_to_the_bottom_in_the_order_of_names(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "picture.png").write_bytes(b"\0")
    assert texts_of(documents_of(tmp_path)) == ["first", "second"]


def test_another_column_can_hold_the_text(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"body": "x", "id": 1}])
    assert list(documents_of(tmp_path / "a.jsonl", columns={"text": "body"})) == [{"text": "x"}]


def test_empty_documents_are_dropped_and_counted(tmp_path, caplog):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}, {"text": " \n"}, {"text": None}, {"text": "y"}])
    with caplog.at_level(logging.WARNING):
        assert texts_of(documents_of(tmp_path / "a.jsonl")) == ["x", "y"]
    assert "2 rows without text were dropped" in caplog.text


def test_empty_documents_of_a_stream_are_dropped_and_counted(tmp_path, caplog, tokenizer):
    write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}, {"text": " \n"}, {"text": None}, {"text": "y"}])
    stream = documents_of(tmp_path / "a.jsonl", streaming=True)
    with caplog.at_level(logging.WARNING):
        rows = list(tokenize_documents(stream, tokenizer, 16))
    assert [tokenizer.decode(row["input_ids"]) for row in rows] == ["[CLS]x<|endoftext|>[CLS]y<|endoftext|>"]
    assert "2 rows without text were dropped" in caplog.text


def write_unreadable_parquet(path):
    path.write_bytes(b"PAR1 but nothing else")


BAD_SOURCES = {
    "empty file": ("a.txt", lambda path: path.write_text(" \n"), {}, "is empty"),
    "binary file": ("a.txt", lambda path: path.write_bytes(b"text\0\xff"), {}, "binary file"),
    "not UTF-8": ("a.txt", lambda path: path.write_bytes(b"caf\xe9 au lait"), {}, "UTF-8"),
    "broken jsonl": ("a.jsonl", lambda path: path.write_text('{"text": '), {}, "cannot be read as json"),
    "broken parquet": ("a.parquet", write_unreadable_parquet, {}, "cannot be read as parquet"),
    "missing column": (
        "a.jsonl",
        lambda path: write_jsonl(path, [{"body": "x", "title": "y"}]),
        {},
        "no column 'text'. Its columns: body, title",
    ),
    "column of numbers": ("a.jsonl", lambda path: write_jsonl(path, [{"text": 1}]), {}, "holds 1, not text"),
    "no document left": ("a.jsonl", lambda path: write_jsonl(path, [{"text": " "}]), {}, "no document with text"),
    "unknown ending": ("a.docx", lambda path: path.write_text("x"), {}, "ends with '.docx'"),
    "no such file": ("a.txt", lambda path: None, {}, "does not exist"),
    "folder without text": ("a.png", lambda path: path.write_bytes(b"x"), {"folder": True}, "holds no file that ends"),
    "folder of two kinds": (
        "a.txt",
        lambda path: (path.write_text("x"), path.with_suffix(".csv").write_text("text\nx")),
        {"folder": True},
        "csv and text files",
    ),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("case", BAD_SOURCES)
def test_a_bad_source_is_refused_before_any_work(tmp_path, case, streaming):
    name, write, options, message = BAD_SOURCES[case]
    folder = tmp_path / "source"
    folder.mkdir()
    write(folder / name)
    path = folder if options.get("folder") else folder / name
    with pytest.raises(ValueError, match=message):
        documents_of(path, streaming)


def test_held_out_documents_are_not_trained_on():
    documents = Dataset.from_dict({"text": [str(i) for i in range(10)]})
    train, held_out = hold_out(documents, 3, seed=1)
    assert len(held_out) == 3
    assert sorted(texts_of(train) + texts_of(held_out)) == texts_of(documents)
    assert texts_of(held_out) == texts_of(hold_out(documents, 3, seed=1)[1])
    stream = documents.to_iterable_dataset()
    assert [texts_of(part) for part in hold_out(stream, 3)] == [list("3456789"), list("012")]


def test_more_documents_cannot_be_held_out_than_there_are():
    with pytest.raises(ValueError, match="1 documents cannot be held out of 1"):
        hold_out(Dataset.from_dict({"text": ["x"]}), 1)
    with pytest.raises(ValueError, match="2 documents cannot be held out of a stream of no more"):
        hold_out(Dataset.from_dict({"text": ["x", "y"]}).to_iterable_dataset(), 2)


def test_long_texts_are_cut_behind_the_last_sentence_that_fits():
    text = list(range(10))
    assert cut_at_sentences(text, [3, 5, 8], room=6) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert cut_at_sentences(text, [3, 5, 8], room=10) == [text]
    # a sentence end in the first half of the room would leave the row half empty
    assert cut_at_sentences(text, [2], room=6) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]
    assert cut_at_sentences(text, [], room=4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@given(st.integers(0, 60), st.sets(st.integers(1, 60)), st.integers(1, 20))
def test_cutting_loses_nothing_and_never_exceeds_the_room(length, ends, room):
    text = list(range(length))
    parts = cut_at_sentences(text, sorted(end for end in ends if end <= length), room)
    assert sum(parts, []) == text
    assert all(len(part) <= room for part in parts)
    assert all(len(part) >= room / 2 for part in parts[:-1])


def test_whole_documents_share_a_row_and_a_part_ends_its_row():
    # every piece begins with 1, a document ends with 2
    pieces = [[1, 5, 2], [1, 6, 2], [1, 7, 7, 7, 7, 7], [1, 7, 2], [1, 8, 2]]
    assert join_pieces(pieces, max_length=6, eos=2) == [[1, 5, 2, 1, 6, 2], [1, 7, 7, 7, 7, 7], [1, 7, 2, 1, 8, 2]]
    assert join_pieces([[1, 7], [1, 8, 2]], max_length=9, eos=2) == [[1, 7], [1, 8, 2]]


ENGLISH = "The machine was never built. Ada wrote for it anyway! Why? Nobody knows; it is a long story. "
LONG = [
    ENGLISH * 9,
    "short one.",
    "机器能思考吗？图灵提出了这个问题。" * 12,
    "🦋" * 50,
    "[MASK] <|startofpiece|> stays text",
]


def without_special(tokens, tokenizer):
    return [token for token in tokens if token not in (tokenizer.cls_token_id, tokenizer.eos_token_id)]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("max_length", [5, 16, 40, 1000])
def test_no_token_is_lost_and_no_row_is_too_long(tokenizer, max_length, streaming):
    documents = Dataset.from_dict({"text": LONG})
    documents = documents.to_iterable_dataset() if streaming else documents
    rows = [row["input_ids"] for row in tokenize_documents(documents, tokenizer, max_length)]
    expected = [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in LONG]
    assert sum((without_special(row, tokenizer) for row in rows), []) == sum(expected, [])
    assert all(row[0] == tokenizer.cls_token_id and len(row) <= max_length for row in rows)
    assert sum(row.count(tokenizer.eos_token_id) for row in rows) == len(LONG)


def test_long_documents_are_cut_at_sentence_ends(tokenizer):
    rows = tokenize_documents(Dataset.from_dict({"text": [ENGLISH * 9]}), tokenizer, 64)
    texts = [tokenizer.decode(without_special(row["input_ids"], tokenizer)).rstrip() for row in rows]
    assert len(texts) > 5
    assert {text[-1] for text in texts} <= set(".!?;")


def test_special_tokens_in_a_text_are_plain_text(tokenizer):
    documents = Dataset.from_dict({"text": ["a [MASK] b <|startofpiece|>"]})
    row = tokenize_documents(documents, tokenizer, 64)[0]["input_ids"]
    assert not set(row) & {*tokenizer.mask_token_ids, tokenizer.sop_token_id}
    assert tokenizer.decode(without_special(row, tokenizer)) == "a [MASK] b <|startofpiece|>"


def test_a_second_run_reads_the_tokens_from_the_cache(tmp_path, tokenizer, monkeypatch):
    (tmp_path / "a.txt").write_text("One text. " * 50)

    def rows_of(max_length):
        documents = documents_of(tmp_path / "a.txt")
        return tokenize_documents(documents, tokenizer, max_length)[:]

    first = rows_of(32)
    tokenizer(["padded to the longest", "as another user does"], padding=True)  # changes the state of the backend

    def refuse(*_):
        raise AssertionError("tokenized again")

    monkeypatch.setattr("transformers_glm.data.documents.cut_at_sentences", refuse)
    assert rows_of(32) == first
    with pytest.raises(AssertionError, match="tokenized again"):
        rows_of(40)


def test_a_row_has_room_for_some_text(tokenizer):
    with pytest.raises(ValueError, match="max_length is 3"):
        tokenize_documents(Dataset.from_dict({"text": ["x"]}), tokenizer, 3)


def test_a_tokenizer_without_the_ends_of_a_document_is_refused(tokenizer):
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, cls_token="[CLS]")
    with pytest.raises(ValueError, match="has no eos_token"):
        tokenize_documents(Dataset.from_dict({"text": ["x"]}), plain, 16)
