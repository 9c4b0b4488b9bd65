# SPDX-License-Identifier: Apache-2.0
"""Rows for the model's tests, drawn by Hypothesis and laid out by the naive twin; padded or packed into batches."""

import torch
from conftest import CLS, EOS, GMASK, MASK, PAD, SMASK, SOP
from hypothesis import strategies as st
from naive_glm import naive_row


MASKS = (MASK, SMASK, GMASK)
words = st.integers(3, 89)


@st.composite
def part_as(draw, min_blanks=0, max_words=8):
    """A corrupted text: [CLS], words with mask tokens among them, the end of the text."""
    tokens = draw(st.lists(words, min_size=1, max_size=max_words))
    for _ in range(draw(st.integers(min_blanks, 3))):
        tokens.insert(draw(st.integers(0, len(tokens))), draw(st.sampled_from(MASKS)))
    return [CLS, *tokens, EOS]


def blanks_of(part_a):
    return [index for index, token in enumerate(part_a) if token in MASKS]


@st.composite
def rows(draw, shuffled=True, min_blanks=0):
    """A laid out example (tokens, position 1, position 2), its pieces in any order or in that of the blanks."""
    part_a = draw(part_as(min_blanks))
    blanks = blanks_of(part_a)
    if shuffled:
        blanks = draw(st.permutations(blanks))
    written = blanks[: draw(st.integers(min(min_blanks, len(blanks)), len(blanks)))]
    pieces = [(blank, draw(st.lists(words, max_size=4))) for blank in written]
    return naive_row(part_a, pieces, SOP)


batches = st.lists(rows(), min_size=1, max_size=3)
sides = st.sampled_from(["left", "right"])


def padded(lists, side="right", extra=0, value=0):
    """A (B, T) tensor of lists of different lengths, `extra` columns wider than the longest."""
    width = max(map(len, lists)) + extra
    rows = [[*one, *[value] * (width - len(one))] for one in lists]
    if side == "left":
        rows = [[*[value] * (width - len(one)), *one] for one in lists]
    return torch.tensor(rows)


def padded_batch(examples, side="right", extra=0):
    """The model's inputs for laid out examples."""
    tokens, position_1, position_2 = zip(*examples, strict=True)
    return {
        "input_ids": padded(tokens, side, extra, PAD),
        "attention_mask": padded([[1] * len(one) for one in tokens], side, extra),
        "position_ids": padded(position_1, side, extra),
        "block_position_ids": padded(position_2, side, extra),
    }


def packed_row(examples):
    """Laid out examples one after the other: tokens, position 1, position 2 and the number of the document."""
    joined = [[value for example in examples for value in example[part]] for part in range(3)]
    return (*joined, [number for number, example in enumerate(examples, 1) for _ in example[0]])


def packed_batch(packed, side="right", extra=0):
    """The model's inputs for packed rows."""
    inputs = padded_batch([row[:3] for row in packed], side, extra)
    return {**inputs, "document_ids": padded([row[3] for row in packed], side, extra)}


def picture(mask):
    """`1` where a key is seen, `.` where it is not: a line a query."""
    return ["".join("1" if seen else "." for seen in row) for row in mask]
