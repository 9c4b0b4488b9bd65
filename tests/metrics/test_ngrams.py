# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformers_glm.metrics.ngrams import OUTSIDE, Trigram, Unigram, contexts


def test_a_context_is_the_two_tokens_to_the_left():
    assert contexts([5, 6, 7]) == [(OUTSIDE, OUTSIDE), (OUTSIDE, 5), (5, 6)]


def test_the_unigram_counts_every_token_once_more():
    # 3 is no token of the text, 2 never occurs
    chances = Unigram([[0, 1, 1], [1, 3]], tokens=[0, 1, 2], vocab_size=4).distribution((0, 0))
    assert chances.tolist() == pytest.approx([2 / 7, 4 / 7, 1 / 7, 0])


def test_the_trigram_mixes_by_witten_and_bell():
    rows = [[0, 1, 2], [0, 1, 2], [0, 1, 1], [2, 1, 0]]
    chances = Trigram(rows, tokens=[0, 1, 2], vocab_size=3).distribution((0, 1))
    # anywhere: 0 four times, 1 five times, 2 three times, each once more
    unigram = np.array([5, 6, 4]) / 15
    # after 1: 0, 1 once each, 2 twice; four times, three kinds
    bigram = (np.array([1, 1, 2]) + 3 * unigram) / (4 + 3)
    # after 0 1: 1 once, 2 twice; three times, two kinds
    trigram = (np.array([0, 1, 2]) + 2 * bigram) / (3 + 2)
    assert chances.tolist() == pytest.approx(trigram.tolist())


def test_a_context_that_never_occurred_falls_back_to_the_shorter_one():
    model = Trigram([[0, 1, 2], [2, 2, 2]], tokens=[0, 1, 2], vocab_size=3)
    assert model.distribution((2, 1)).tolist() == model.distribution((OUTSIDE, 1)).tolist()
    assert model.distribution((9, 9)).tolist() == model.chances.tolist()


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=9), min_size=1, max_size=9), st.integers(-1, 6))
def test_every_distribution_adds_up_to_one_over_the_tokens_of_the_text(rows, before):
    tokens = [1, 2, 3, 4, 5]
    for model in (Unigram(rows, tokens, 7), Trigram(rows, tokens, 7)):
        chances = model.distribution((before, 2))
        assert chances.sum() == pytest.approx(1)
        assert (chances[tokens] > 0).all() and chances[[0, 6]].tolist() == [0, 0]
