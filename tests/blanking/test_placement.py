# SPDX-License-Identifier: Apache-2.0
import math
import random
from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_span import naive_spans

from transformers_glm.blanking.objectives import text_regions
from transformers_glm.blanking.placement import in_random_order, place_spans, place_spans_as_original


stats = pytest.importorskip("scipy.stats", reason="the chi-square test is SciPy's")


def all_placements(regions, lengths):
    """Every way to place spans of these lengths, in this order, with a token between two of one region."""
    places = [i for start, end in regions for i in range(start, end)]
    found = []
    for starts in combinations(places, len(lengths)):
        spans = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        inside = all(any(a <= start and end <= b for a, b in regions) for start, end in spans)
        if inside and all(a[1] < b[0] for a, b in zip(spans, spans[1:], strict=False)):
            found.append(tuple(spans))
    return found


def p_value(counts, expected):
    assert set(counts) <= set(expected)
    total = sum(counts.values()) / sum(expected.values())
    return stats.chisquare([counts[key] for key in expected], [expected[key] * total for key in expected]).pvalue


@pytest.mark.parametrize(
    ("regions", "lengths", "number"),
    [
        ([(1, 6)], [1, 1], 6),
        ([(1, 9)], [2, 1, 2], 4),
        ([(0, 10)], [1, 3], 21),
        ([(1, 5), (7, 10)], [1, 2], 9),
        ([(1, 4), (5, 8), (10, 14)], [2, 1, 1], 38),
        ([(1, 3), (4, 6), (8, 10)], [2, 2, 2], 1),
    ],
)
def test_every_placement_is_equally_likely(regions, lengths, number):
    placements = all_placements(regions, lengths)
    assert len(placements) == number
    rng = random.Random(0)
    counts = Counter(tuple(place_spans(regions, lengths, rng)) for _ in range(300 * number))
    assert number == 1 or p_value(counts, dict.fromkeys(placements, 1)) > 1e-3


def original_law(region, lengths):
    """Probability of each placement when k integers are drawn independently and sorted."""
    start, end = region
    spare = end - start - sum(lengths) - len(lengths) + 1
    law = Counter()
    for places in product(range(spare + 1), repeat=len(lengths)):
        spans, offset = [], start
        for place, length in zip(sorted(places), lengths, strict=True):
            spans.append((offset + place, offset + place + length))
            offset += length + 1
        law[tuple(spans)] += 1
    return law


@pytest.mark.parametrize(("region", "lengths"), [((1, 6), [1, 1]), ((1, 9), [2, 1, 1]), ((3, 12), [1, 4])])
def test_the_parity_switch_has_the_law_of_the_original(region, lengths):
    law, rng = original_law(region, lengths), random.Random(0)
    counts = Counter(tuple(place_spans_as_original([region], lengths, 0.15, rng)) for _ in range(8000))
    assert p_value(counts, law) > 1e-3


def test_two_single_tokens_in_five_are_as_the_notes_on_the_original_say():
    law = original_law((1, 6), [1, 1])
    assert sorted(law.values()) == [1, 1, 1, 2, 2, 2]


def test_the_original_fills_short_documents_up_to_the_ratio_and_the_longest_with_the_rest():
    regions, lengths = [(1, 21), (23, 63)], [3, 2, 2, 5]  # 0.15 of 20 tokens is 3
    spans = place_spans_as_original(regions, lengths, 0.15, random.Random(0))
    assert [(end - start) for start, end in spans] == [3, 2, 2, 5]
    assert [start < 21 for start, _ in spans] == [True, False, False, False]


def test_of_spans_that_do_not_all_fit_the_first_ones_are_placed():
    assert place_spans([(1, 6)], [3, 2, 1], random.Random(0)) in ([(1, 4)], [(2, 5)], [(3, 6)])
    assert place_spans([(1, 4), (5, 8)], [3, 3, 1], random.Random(0)) == [(1, 4), (5, 8)]
    spans = place_spans([(1, 4), (5, 8), (9, 10)], [3, 3, 1, 1], random.Random(0))
    assert spans == [(1, 4), (5, 8), (9, 10)]
    assert place_spans_as_original([(1, 4)], [3, 1], 0.15, random.Random(0)) == [(1, 4)]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    seed=st.integers(0, 99),
    as_original=st.booleans(),
)
def test_spans_stay_inside_their_regions_and_apart(sizes, lengths, seed, as_original):
    regions, start = [], 1
    for size in sizes:
        regions.append((start, start + size))
        start += size + 2
    lengths = [min(length, max(sizes)) for length in lengths]
    rng = random.Random(seed)
    spans = place_spans_as_original(regions, lengths, 0.15, rng) if as_original else place_spans(regions, lengths, rng)
    assert spans
    assert all(any(a <= start < end <= b for a, b in regions) for start, end in spans)
    assert all(a[1] < b[0] for a, b in zip(spans, spans[1:], strict=False))
    if not as_original:
        assert [end - start for start, end in spans] == lengths[: len(spans)]


def test_hundreds_of_spans_in_thousands_of_tokens_do_not_overflow():
    regions = [(1, 5000), (5002, 9000)]
    spans = place_spans(regions, [3] * 900, random.Random(0))
    assert len(spans) == 900
    shares = sum(start < 5000 for start, _ in spans) / 900
    assert math.isclose(shares, 5000 / 9000, abs_tol=0.05)


@pytest.mark.parametrize(
    ("tokens", "longest"),
    [([1, *[9] * 14, 2], 3), ([1, *[9] * 10, 2, 1, *[9] * 6, 2], 1)],
    ids=["one document, lengths up to 3", "two documents, single tokens"],
)
def test_placement_equals_the_naive_twin_that_throws_until_it_fits(tokens, longest):
    naive, fast = random.Random(0), random.Random(1)
    draws = [naive_spans(tokens, {"cls": 1, "eos": 2}, 0.2, 1.5, longest, naive) for _ in range(5000)]
    regions = text_regions(tokens, (1, 2))
    twins = [place_spans(regions, [end - start for start, end in spans], fast) for spans in draws]
    for summary in (min, max, lambda spans: sum(start for start, _ in spans)):
        left, right = (Counter(summary(spans) for spans in many) for many in (draws, twins))
        table = [[side[key] for key in left | right] for side in (left, right)]
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_random_order_is_uniform():
    rng = random.Random(0)
    counts = Counter(tuple(in_random_order("abc", rng)) for _ in range(6000))
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3
