# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_span import naive_example

from blank_infilling_glm import Blank, blank_out, derive_documents, lay_out, stack
from transformers_glm.blanking.layout import lay_out_spans


MASK, SOP, EOP = 2, 3, 4
TEXT = [11, 12, 13, 14, 15, 16]  # the paper's x1 ... x6


@st.composite
def blanked_texts(draw):
    """A text and disjoint spans of it in any order."""
    tokens = draw(st.lists(st.integers(5, 99), min_size=1, max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=12)))
    return tokens, draw(st.permutations(list(zip(cuts[::2], cuts[1::2], strict=False))))


def test_the_papers_figure_2():
    part_a, blanks = blank_out(TEXT, [(4, 6), (2, 3)], MASK)
    assert part_a == [11, 12, MASK, 14, MASK]
    assert blanks == [Blank(4, [15, 16]), Blank(2, [13])]
    assert lay_out(part_a, blanks, sop=SOP, eop=EOP) == {
        "input_ids": [11, 12, MASK, 14, MASK, SOP, 15, 16, SOP, 13],
        "labels": [-100, -100, -100, -100, -100, 15, 16, EOP, 13, EOP],
        "position_ids": [0, 1, 2, 3, 4, 4, 4, 4, 2, 2],
        "block_position_ids": [0, 0, 0, 0, 0, 1, 2, 3, 1, 2],
    }


@given(blanked_texts())
def test_a_layout_is_the_naive_twins(example):
    tokens, spans = example
    laid_out = lay_out(*blank_out(tokens, spans, MASK), sop=SOP, eop=EOP)
    assert laid_out == naive_example(tokens, spans, MASK, {"sop": SOP, "eop": EOP})


@given(blanked_texts())
def test_the_layout_in_numpy_is_the_same(example):
    tokens, spans = example
    if not spans:
        return
    fast = lay_out_spans(np.array(tokens), spans, mask=MASK, sop=SOP, eop=EOP)
    assert {name: values.tolist() for name, values in fast.items()} == lay_out(
        *blank_out(tokens, spans, MASK), sop=SOP, eop=EOP
    )
    assert {values.dtype for values in fast.values()} == {np.dtype(np.int64)}


def test_a_prompt_is_a_lone_sop():
    example = lay_out([11, MASK], [Blank(1, [])], sop=SOP, eop=EOP)
    assert example["input_ids"] == [11, MASK, SOP]
    assert example["position_ids"] == [0, 1, 1]
    assert example["block_position_ids"] == [0, 0, 1]


def test_labels_of_its_own_leave_out_eop_and_what_is_not_predicted():
    example = lay_out([11, MASK], [Blank(1, [12, 13], labels=[-100, 13])], sop=SOP, eop=EOP)
    assert example["input_ids"] == [11, MASK, SOP, 12]
    assert example["labels"] == [-100, -100, -100, 13]


@pytest.mark.parametrize("spans", [[(1, 1)], [(2, 1)], [(0, 2), (1, 3)], [(1, 3), (1, 3)], [(5, 7)], [(-1, 2)]])
def test_spans_that_are_no_spans_are_refused(spans):
    with pytest.raises(ValueError, match="is empty, overlaps another or leaves the text of 6 tokens"):
        blank_out(TEXT, spans, MASK)
    with pytest.raises(ValueError, match="is empty, overlaps another or leaves the text of 6 tokens"):
        lay_out_spans(np.array(TEXT), spans, mask=MASK, sop=SOP, eop=EOP)


@pytest.mark.parametrize("position", [-1, 2])
def test_a_blank_outside_of_part_a_is_refused(position):
    with pytest.raises(ValueError, match=f"A blank stands at position {position} of a Part A of 2 tokens"):
        lay_out([11, MASK], [Blank(position, [12])], sop=SOP, eop=EOP)


@pytest.mark.parametrize(
    "tokens, positions, documents",
    [
        ([11, 12, 13, 14], [0, 0, 1, 0], [1, 2, 2, 3]),  # documents of one token
        ([MASK, SOP, 11, 12, 13], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]),  # a piece on position 0
        ([11, MASK, SOP, 12, MASK, SOP, 13], [0, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 2, 2, 2]),
        ([SOP, 11, 12, 13], [0, 0, 1, 0], [1, 1, 1, 2]),
    ],
)
def test_position_0_begins_a_document_except_for_a_piece_that_stands_there(tokens, positions, documents):
    derived = derive_documents(torch.tensor([tokens]), torch.tensor([positions]), SOP)[1]
    assert derived.tolist() == [documents]


def test_choices_are_filled_up_to_the_most_and_the_longest():
    assert stack([[[1, 2, 3], [4]], [[5]]]).tolist() == [[[1, 2, 3], [4, -100, -100]], [[5, -100, -100], [-100] * 3]]
