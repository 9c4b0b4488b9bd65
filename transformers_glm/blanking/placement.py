# SPDX-License-Identifier: Apache-2.0
"""Where spans of given lengths go in a text: uniformly among all placements, or by the law of the original code."""

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np


Span = tuple[int, int]  # half-open (start, end)


def in_random_order(items: Sequence, rng: random.Random) -> list:
    """Return the items in an order drawn uniformly."""
    return sorted(items, key=lambda _: rng.random())


def place_spans(regions: Sequence[Span], lengths: Sequence[int], rng: random.Random) -> list[Span]:
    """
    Place spans of these lengths, in this order, uniformly among all ways that keep a token between two spans.

    Of lengths that do not all fit, the first ones that fit together are placed.
    """
    spans: list[Span] = []
    for region, part in zip(regions, _share_out(regions, lengths, rng), strict=True):
        spans += _place_in_region(region, part, rng)
    return spans


def _place_in_region(region: Span, lengths: Sequence[int], rng: random.Random) -> list[Span]:
    """Spans with a gap after each, and the tokens left: which of these places hold the spans is a uniform subset."""
    start, end = region
    places = end - start - sum(lengths) + 1
    chosen: set[int] = set()
    while len(chosen) < len(lengths):
        chosen.add(int(rng.random() * places))
    spans = []
    for place, length in zip(sorted(chosen), lengths, strict=True):
        spans.append((start + place, start + place + length))
        start += length
    return spans


def _share_out(regions: Sequence[Span], lengths: Sequence[int], rng: random.Random) -> list[Sequence[int]]:
    """
    How many of the spans, in their order, go into each region: by the number of placements that each choice leaves.

    `ways[r][i, j]` is the log of the number of placements of the spans i..j-1 in region r, `before[r][j]` that of the spans
    0..j-1 in the regions before r.
    """
    if len(regions) == 1:
        return [lengths[: _number_that_fits(regions[0], lengths)]]
    ways = _log_placements([end - start for start, end in regions], lengths)
    before = [np.where(np.arange(len(lengths) + 1) == 0, 0.0, -np.inf)]
    for ways_of_region in ways:
        before.append(np.logaddexp.reduce(before[-1][:, None] + ways_of_region, axis=0))
    last = int(np.flatnonzero(before[-1] > -np.inf)[-1])
    parts = []
    for total, ways_of_region in zip(before[-2::-1], ways[::-1], strict=True):
        weights = total + ways_of_region[:, last]
        cumulative = np.exp(weights - weights.max()).cumsum()
        first = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
        parts.append(lengths[first:last])
        last = first
    return parts[::-1]


def _number_that_fits(region: Span, lengths: Sequence[int]) -> int:
    room = region[1] - region[0] + 1
    for number, length in enumerate(lengths):
        room -= length + 1
        if room < 0:
            return number
    return len(lengths)


def _log_placements(sizes: Sequence[int], lengths: Sequence[int]) -> list[np.ndarray]:
    """For each region `[i, j]`: log of the number of ways to place the spans i..j-1 in it, a gap between two of them."""
    tokens = np.concatenate([[0], np.cumsum(lengths)])
    count = np.arange(len(tokens))
    of_places, of_number = _log_factorials(1 << int(2 * (max(sizes) + tokens[-1] + len(tokens) + 1)).bit_length())
    number = count - count[:, None]
    taken = tokens - tokens[:, None] - 1
    orders = of_number[number]
    return [of_places[size - taken] - orders - of_number[size - taken - number] for size in sizes]


@lru_cache
def _log_factorials(count: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Two tables of log(n!) for n up to count/2. At a negative n, which stands for no placement at all, the first has 0 and
    the second infinity, so that their difference is the log of none.
    """
    table = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count // 2)))])
    return np.append(table, np.zeros(count // 2)), np.append(table, np.full(count // 2, np.inf))


def place_spans_as_original(
    regions: Sequence[Span], lengths: Sequence[int], mask_ratio: float, rng: random.Random
) -> list[Span]:
    """
    Place spans by the law of the original code: placements with all gaps different are the likelier ones.

    Regions are filled from the shortest to the longest: each takes spans in their order up to `mask_ratio` of its tokens,
    the longest all that are left and fit.
    """
    waiting, spans = list(lengths), []
    *shorter, longest = sorted(regions, key=lambda region: region[1] - region[0])
    for start, end in shorter:
        number = sum(total <= int(mask_ratio * (end - start)) for total in accumulate(waiting))
        spans += _place_as_original((start, end), waiting[:number], rng)
        waiting = waiting[number:]
    return sorted(spans + _place_as_original(longest, waiting[: _number_that_fits(longest, waiting)], rng))


def _place_as_original(region: Span, lengths: Sequence[int], rng: random.Random) -> list[Span]:
    start, end = region
    spare = end - start - sum(lengths) - len(lengths) + 1
    spans = []
    for place, length in zip(sorted(rng.randint(0, spare) for _ in lengths), lengths, strict=True):
        spans.append((start + place, start + place + length))
        start += length + 1
    return spans
