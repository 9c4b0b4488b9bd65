# SPDX-License-Identifier: Apache-2.0
import pytest

from tokenization_glm import GLMTokenizer
from transformers_glm.data.templates import Template, column_of
from transformers_glm.seq2seq.rows import Seq2SeqEncoder


def encoder(tokenizer, source="{source}", target=" {target}", mask="[MASK]", **settings):
    return Seq2SeqEncoder(tokenizer, Template(source), Template(target), mask, **settings)


def source_ids(coder, row):
    return coder.encode_source(coder.source.fill(row, "row"), row, "row")


@pytest.mark.parametrize(
    "source", ["[MASK] Content: {a}", "{a} Question: [MASK] Answer: {b}", "{a}  [MASK]", "问 {b}[MASK]{a}"]
)
def test_a_source_is_what_the_tokenizer_makes_of_its_text(source, tokenizer):
    row = {"a": "Ada Lovelace wrote the first program.", "b": "机器能思考吗？"}
    assert source_ids(encoder(tokenizer, source), row) == tokenizer(source.format(**row))["input_ids"]


def test_a_source_without_a_blank_has_it_at_its_end_as_append_mask_puts_it(tokenizer):
    row = {"source": "Is it a hole in the text?"}
    appending = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, append_mask="[sMASK]")
    ids = source_ids(encoder(tokenizer, mask="[sMASK]"), row)
    assert ids == appending(row["source"])["input_ids"]
    assert ids[-2:] == [tokenizer.smask_token_id, tokenizer.eos_token_id]


def test_the_mask_of_the_settings_stands_in_the_blank(tokenizer):
    ids = source_ids(encoder(tokenizer, "a [MASK] {b}", mask="[gMASK]"), {"b": "b"})
    assert ids == tokenizer("a [gMASK] b")["input_ids"]
    assert source_ids(encoder(tokenizer, "a [MASK] {b}", mask=None), {"b": "b"}) == tokenizer("a b")["input_ids"]


def test_special_tokens_of_the_data_are_plain_text(tokenizer):
    coder = encoder(tokenizer)
    ids = source_ids(coder, {"source": "BERT fills [MASK] and [gMASK]<|endofpiece|>"})
    assert [token for token in ids if token in tokenizer.mask_token_ids] == [tokenizer.mask_token_id]
    assert tokenizer.eop_token_id not in ids
    target = coder.encode_target(" [MASK]<|endofpiece|>", "row")
    assert target.count(tokenizer.eop_token_id) == 1 and tokenizer.mask_token_id not in target


def test_a_target_is_what_the_tokenizer_makes_of_it(tokenizer):
    text = " the first program"
    assert encoder(tokenizer).encode_target(text, "row") == tokenizer(text_target=text)["input_ids"]


@pytest.fixture(scope="module")
def letters():
    """A tokenizer whose words of one letter are one token, the space before them included."""
    return GLMTokenizer.train([" a b c d e f g h i j x y end"] * 9, vocab_size=300)


WORDS = {"long": " ".join("abcdefghij"), "short": "x y"}  # each word one token


def shown(letters, ids):
    return letters.decode(ids[1:-1])


@pytest.mark.parametrize(
    "keep, expected", [("left", "a b c d[MASK] end x y"), ("right", " g h i j[MASK] end x y"), ("short", None)]
)
def test_the_longest_column_is_shortened_and_the_blank_stays(keep, expected, letters):
    coder = encoder(letters, "{long} [MASK] end {short}", keep=keep)
    whole = len(source_ids(coder, WORDS))
    assert coder.cut.sources == 0
    coder.max_source_length = whole - 6
    ids = source_ids(coder, WORDS)
    assert len(ids) == whole - 6 and ids.count(letters.mask_token_id) == 1
    assert (coder.cut.sources, coder.cut.source_tokens) == (1, 6)
    if expected:
        assert shown(letters, ids) == expected


@pytest.mark.parametrize(
    "answer, expected",
    [
        ("f", "e f g h"),
        ("e f g", "e f g h"),
        ("c d e f", "c d e f"),
        ("a", "a b c d"),
        ("j", "g h i j"),
        ("none", "a b c d"),
    ],
)
def test_the_part_round_the_answer_stays(answer, expected, letters):
    coder = encoder(letters, "{long} [MASK]", keep="answer", max_source_length=7)
    ids = source_ids(coder, {**WORDS, "answer": answer})
    assert shown(letters, ids).strip() == f"{expected}[MASK]"


def test_columns_share_the_loss_from_the_longest_down(letters):
    coder = encoder(letters, "{a} {b}[MASK]", max_source_length=3 + 4)
    ids = source_ids(coder, {"a": "a b c d e f", "b": "x y"})
    assert shown(letters, ids) == "a b x y[MASK]"


def test_a_template_without_room_for_its_columns_is_refused(letters):
    coder = encoder(letters, "a b c d e f g h {long} [MASK]", max_source_length=8)
    with pytest.raises(
        ValueError, match=r"row: the source has 13 tokens more than max_source_length 8, its columns only 10"
    ):
        source_ids(coder, WORDS)


def test_what_was_cut_is_counted_and_said(letters, caplog):
    rows = [{"source": WORDS["long"], "target": WORDS["long"]}, {"source": "a", "target": "b"}]
    coder = encoder(letters, max_source_length=8, max_target_length=4)
    kept, encoded = coder.encode_all(rows, "train.tsv")
    assert kept == rows
    assert "train.tsv: 1 sources were cut to 8 tokens (5 tokens lost); their blanks stay." in caplog.text
    assert "train.tsv: 1 targets were cut to 4 tokens (7 tokens and their ends lost)." in caplog.text
    assert [len(row["labels"]) for row in encoded] == [4, 2]
    assert letters.eop_token_id not in encoded[0]["labels"] and encoded[1]["labels"][-1] == letters.eop_token_id
    assert all(row["attention_mask"] == [1] * len(row["input_ids"]) for row in encoded)


def test_a_long_target_can_be_an_error(letters):
    coder = encoder(letters, max_target_length=4, long_targets="error")
    with pytest.raises(ValueError, match="f.csv, row 1: the target has 11 tokens, more than max_target_length 4"):
        coder.encode_all([{"source": "a", "target": WORDS["long"]}], "f.csv")


def test_empty_rows_are_refused_or_dropped_by_name(tokenizer, caplog):
    rows = [{"source": "a", "target": "b"}, {"source": "a", "target": " "}, {"source": "", "target": "b"}]
    with pytest.raises(ValueError, match="f.csv, row 2 has an empty target"):
        encoder(tokenizer).encode_all(rows, "f.csv")
    with pytest.raises(ValueError, match="f.csv, row 1 has an empty source"):
        encoder(tokenizer, "Say: {source}").encode_all(rows[2:], "f.csv")
    kept, encoded = encoder(tokenizer, empty="drop").encode_all(rows, "f.csv")
    assert kept == rows[:1] and len(encoded) == 1
    assert "2 rows with an empty source or target were dropped" in caplog.text
    with pytest.raises(ValueError, match="every row has an empty"):
        encoder(tokenizer, empty="drop").encode_all(rows[1:], "f.csv")


def test_templates_reach_into_columns_and_join_lists():
    row = {"translation": {"en": " Hi. "}, "answers": {"text": ["one", "two"]}, "n": 3, "sentences": ["A.", "B."]}
    template = Template("{translation[en]}|{answers[text][1]}|{n}|{sentences}|{{}}")
    assert template.text_of(row, "row") == "Hi.|two|3|A. B.|{}"
    assert column_of(row, "answers[text]", "row") == ["one", "two"]


def test_places_in_columns_are_counted_from_either_end_and_may_be_missing():
    row = {"candidates": ["x", "gold"], "answers": {"text": []}, "title": None, "0": "zero"}
    assert column_of(row, "candidates[-1]", "row") == "gold"
    assert [column_of(row, place, "row") for place in ("answers[text][0]", "title[en]", "title")] == [None] * 3
    with pytest.raises(ValueError, match=r"row has no 'candidates\[1\]\[0\]'"):
        column_of(row, "candidates[1][0]", "row")  # a letter of a text is no place


def test_a_row_with_null_or_a_too_short_list_is_refused_or_dropped(tokenizer, caplog):
    """An unanswerable question of SQuAD 2.0 would else be asked about no answer."""
    rows = [{"context": "c", "answers": [], "target": "t"}, {"context": "c", "answers": ["a"], "target": "t"}]
    template = "{context} [MASK] {answers[0]}"
    with pytest.raises(ValueError, match=r"f.csv, row 1 has nothing at 'answers\[0\]' of its source"):
        encoder(tokenizer, template).encode_all(rows, "f.csv")
    kept, _ = encoder(tokenizer, template, empty="drop").encode_all([*rows, {**rows[1], "target": None}], "f.csv")
    assert kept == rows[1:] and "f.csv: 2 rows with an empty source or target were dropped" in caplog.text


@pytest.mark.parametrize(
    "text, match",
    [
        ("no column", "names no column"),
        ("{a} [MASK] [MASK]", r"has 2 \[MASK\]"),
        ("{a} [sMASK]", r"has 0 \[MASK\], \[sMASK\].*--mask says which"),
        ("{a", "cannot be read"),
    ],
)
def test_templates_that_mean_nothing_are_refused(text, match):
    with pytest.raises(ValueError, match=match):
        Template(text)


def test_a_row_without_the_column_is_named(tokenizer):
    with pytest.raises(ValueError, match="f.csv, row 1 has no 'source'; its columns are target, text"):
        encoder(tokenizer).encode_all([{"text": "a", "target": "b"}], "f.csv")
    with pytest.raises(ValueError, match="row 1: the column 'source' .* holds dict, not text"):
        encoder(tokenizer).encode_all([{"source": {"en": "a"}, "target": "b"}], "f.csv")


def test_a_blank_in_the_target_and_an_unknown_mask_are_refused(tokenizer):
    with pytest.raises(ValueError, match=r"The target .* has a \[MASK\]"):
        encoder(tokenizer, target="{target} [MASK]")
    with pytest.raises(ValueError, match=r"no mask token '\[xMASK\]'"):
        encoder(tokenizer, mask="[xMASK]")
