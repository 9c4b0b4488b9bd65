# SPDX-License-Identifier: Apache-2.0
"""Count-based language models to compare a GLM with: unigram, and interpolated trigram."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from .base import Scored


Context = tuple[int, int]
OUTSIDE = -1  # stands for the tokens before the first one


def contexts(row: Sequence[int]) -> list[Context]:
    """The two tokens to the left of each token of a row."""
    padded = [OUTSIDE, OUTSIDE, *row]
    return list(zip(padded, padded[1:-1], strict=False))


class Unigram:
    """
    Token frequencies with add-one smoothing.

    Args:
        rows (`Iterable[Sequence[int]]`): the text.
        tokens (`Sequence[int]`): the ids that can be predicted; others are neither counted nor given a probability.
        vocab_size (`int`): length of the distributions.
    """

    def __init__(self, rows: Iterable[Sequence[int]], tokens: Sequence[int], vocab_size: int):
        counts = np.bincount(np.fromiter((token for row in rows for token in row), int), minlength=vocab_size)
        self.chances = np.zeros(vocab_size)
        self.chances[list(tokens)] = counts[list(tokens)] + 1
        self.chances /= self.chances.sum()

    def distribution(self, context: Context) -> np.ndarray:
        """The probability of each token, shape `(V,)`, whatever the context."""
        return self.chances


class Trigram(Unigram):
    """
    Interpolated trigram: the frequencies after two tokens, mixed with those after one, mixed with those anywhere.

    The mixing is that of Witten and Bell: what followed a context `n` times with `k` different tokens gets the weight
    `n / (n + k)`, the shorter context the rest.

        p(c | a b) = n / (n + k) * count(a b c) / n + k / (n + k) * p(c | b)        n = count(a b), k = kinds after a b

    It is made as [`Unigram`] is; tokens that cannot be predicted are context only.
    """

    def __init__(self, rows: Sequence[Sequence[int]], tokens: Sequence[int], vocab_size: int):
        super().__init__(rows, tokens, vocab_size)
        self.after: dict[Context | int, Counter] = defaultdict(Counter)
        predictable = set(tokens)
        for row in rows:
            for context, token in zip(contexts(row), row, strict=True):
                if token in predictable:
                    self.after[context][token] += 1
                    self.after[context[1]][token] += 1

    def distribution(self, context: Context) -> np.ndarray:
        """The probability of each token after `context`, shape `(V,)`."""
        chances = super().distribution(context)
        for known in (context[1], context):
            if known in self.after:
                counts = self.after[known]
                times, kinds = sum(counts.values()), len(counts)
                chances = chances * kinds / (times + kinds)
                chances[list(counts)] += np.fromiter(counts.values(), float) / (times + kinds)
        return chances


def score_left_to_right(
    model: Unigram, rows: Iterable[Sequence[int]], places: Iterable[Iterable[int]]
) -> Iterator[Scored]:
    """The tokens at the given places of each row, each given the two before it."""
    distribution = lru_cache(maxsize=512)(model.distribution)  # each is as long as the vocabulary
    for row, of_row in zip(rows, places, strict=True):
        before, scored = contexts(row), Scored([], [])
        for place in of_row:
            chances = distribution(before[place])
            scored.log_probabilities.append(math.log(chances[row[place]]))
            scored.hits.append(int(chances.argmax()) == row[place])
        yield scored
