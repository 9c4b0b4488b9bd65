# SPDX-License-Identifier: Apache-2.0
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenization_glm import GLMTokenizer
from transformers_glm.data.shorten import Shortener


def length_of(tokenizer):
    """How many tokens a row's two fields have together, with five of a template."""
    settings = {"add_special_tokens": False, "split_special_tokens": True}
    return lambda row: 5 + sum(len(tokenizer(row[name], **settings)["input_ids"]) for name in ("a", "b"))


@pytest.fixture(scope="session")
def letters():
    """A token for each byte."""
    return GLMTokenizer.train(["ab"], vocab_size=270)


LETTERS = "abcdefghij"


@pytest.mark.parametrize(
    ("keep", "around", "kept"),
    [
        ("left", None, "abcd"),
        ("right", None, "ghij"),
        ("around", "ef", "defg"),
        ("around", "ab", "abcd"),
        ("around", "ij", "ghij"),
        ("around", "cdefgh", "cdef"),
        ("around", "not there", "abcd"),
        ("around", None, "abcd"),
    ],
)
def test_the_part_that_is_asked_for_stays(keep, around, kept, letters):
    shortener = Shortener(letters, ["a"], keep)
    assert shortener.fit({"a": LETTERS, "b": "xyz"}, length_of(letters), 12, around) == {"a": kept, "b": "xyz"}
    assert (shortener.rows, shortener.tokens) == (1, {"a": 6})


def test_the_longest_field_loses_a_token_first(letters):
    shortener = Shortener(letters)
    row = {"a": LETTERS, "b": "xyzuvw", "n": 7}
    assert shortener.fit(row, length_of(letters), 15) == {"a": "abcde", "b": "xyzuv", "n": 7}
    assert shortener.fit(row, length_of(letters), 19) == {"a": "abcdefgh", "b": "xyzuvw", "n": 7}
    assert shortener.fit(row, length_of(letters), 21) == row and row["a"] == LETTERS
    assert (shortener.rows, shortener.tokens) == (2, {"a": 7, "b": 1})


def test_nothing_left_to_cut_is_refused(letters):
    for fields, words in ((["b"], "fields b"), ([], r"fields \(none\)"), (["n"], r"fields \(none\)")):
        with pytest.raises(
            ValueError, match=rf"13 tokens more than the 5 that it may have, .* left to cut in the {words}"
        ):
            Shortener(letters, fields).fit({"a": LETTERS, "b": "xyz", "n": 1}, length_of(letters), 5)
    with pytest.raises(ValueError, match="keep='middle' is not known: left, right or around"):
        Shortener(letters, keep="middle")


@pytest.mark.parametrize("keep", ["left", "right", "around"])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), room=st.integers(0, 12))
def test_no_character_is_cut_in_two(letters, keep, text, room):
    """A token is a byte here, and most characters have several."""
    [kept] = [Shortener(letters, ["a"], keep).fit({"a": text, "b": ""}, length_of(letters), 5 + room, text[-1:])["a"]]
    assert kept in text and len(letters(kept, add_special_tokens=False)["input_ids"]) <= room


def test_a_text_that_looks_like_a_special_token_is_cut_as_text(letters):
    row = Shortener(letters, ["a"]).fit({"a": "x[MASK] y", "b": ""}, length_of(letters), 8)
    assert len(row["a"]) <= 3 and "x[MASK] y".startswith(row["a"])


def test_what_was_cut_is_counted_and_said_once(letters, caplog):
    shortener = Shortener(letters)
    for text in (LETTERS, LETTERS, "ab"):
        shortener.fit({"a": text, "b": ""}, length_of(letters), 10)
    with caplog.at_level(logging.WARNING):
        shortener.report(3, "train.jsonl")
        shortener.report(3, "train.jsonl")
    assert caplog.messages == ["train.jsonl: 2 of 3 rows were too long and lost 10 tokens of 'a'. Their blanks stay."]
