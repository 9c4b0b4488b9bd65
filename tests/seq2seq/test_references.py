# SPDX-License-Identifier: Apache-2.0
import pytest

from transformers_glm.data.templates import Template
from transformers_glm.seq2seq.references import join_same_sources, references_of


SOURCE, TARGET = Template("{a} [MASK]"), Template(" {b}")


def test_the_references_are_the_target_a_text_or_texts():
    row = {"a": "x", "b": "y ", "one": " z", "many": ["v", "w"], "deep": [{"t": "v"}, {"t": "w"}]}
    found = [references_of(row, TARGET, column, "row") for column in (None, "one", "many", "deep[*][t]")]
    assert found == [["y"], ["z"], ["v", "w"], ["v", "w"]]
    for empty in ({"many": []}, {"many": ["v", ""]}, {"many": None}, {"many": 3}):
        with pytest.raises(ValueError, match="row 7: the references"):
            references_of(empty, TARGET, "many", "row 7")


def test_rows_with_the_same_source_are_scored_once_against_all_their_targets():
    rows = [{"a": a, "b": b} for a, b in (("x", "1"), ("y", "2"), ("x", "3"), ("x", "1"), ("x", ""))]
    joined = join_same_sources(rows, SOURCE, TARGET, None, "rows")
    assert [(row["a"], row["b"]) for row in joined] == [("x", "1"), ("y", "2"), ("x", "")]  # the last is refused later
    assert [references_of(row, TARGET, None, "row") for row in joined[:2]] == [["1", "3"], ["2"]]


def test_lists_of_references_are_joined_too():
    rows = [{"a": "x", "b": "1", "c": ["1", "2"]}, {"a": "x", "b": "2", "c": ["2", "3"]}]
    [row] = join_same_sources(rows, SOURCE, TARGET, "c", "rows")
    assert references_of(row, TARGET, "c", "row") == ["1", "2", "3"]
