# SPDX-License-Identifier: Apache-2.0
import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.objectives import (
    ObjectiveSettings,
    blankable_regions,
    document_level_span,
    sample_level,
    sample_span_lengths,
    sentence_level_spans,
    text_regions,
    token_level_spans,
)
from transformers_glm.blanking.placement import in_random_order


SHARED = Path(__file__).parents[3] / "shared"
GOLDEN = SHARED / "golden" / "open"
golden = pytest.mark.skipif(
    not GOLDEN.exists(), reason="recorded outputs of the original code are not beside the repository"
)
stats = pytest.importorskip("scipy.stats", reason="the chi-square test is SciPy's")

CLS, EOS = 1, 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixture": {"token": 0.5, "document": 0.4}}, "add up to 0.9"),
        ({"mixture": {"token": 1.5, "document": -0.5}}, "at least 0"),
        ({"mixture": {"token": math.nan}}, "add up to nan"),
        ({"mixture": {}}, "add up to 0"),
        ({"mixture": {"token": 0.5, "word": 0.5}}, r"\['word'\], but the objectives are token, sentence, document"),
        ({"mask_ratio": 0}, "mask_ratio is 0"),
        ({"mask_ratio": 1}, "mask_ratio is 1"),
        ({"mask_ratio": -0.1}, "mask_ratio is -0.1"),
        ({"mask_ratio": math.nan}, "mask_ratio is nan"),
        ({"mean_span_length": 0.5}, "mean_span_length is 0.5"),
        ({"mean_span_length": 50}, "mean_span_length is 50 and max_span_length 39"),
        ({"max_span_length": 0}, "max_span_length 0"),
        ({"document_span": (0.9, 0.5)}, r"document_span is \(0.9, 0.5\)"),
        ({"document_span": (0.0, 0.5)}, r"document_span is \(0.0, 0.5\)"),
        ({"document_span": (0.5, 1.1)}, r"document_span is \(0.5, 1.1\)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ObjectiveSettings(**settings)


def test_regions_are_the_text_between_special_tokens():
    assert text_regions([1, 11, 12, 2, 1, 13, 2], (CLS, EOS)) == [(1, 3), (5, 6)]
    assert text_regions([11, 12], (CLS, EOS)) == [(0, 2)]
    assert text_regions([1, 2], (CLS, EOS)) == []
    assert text_regions([1, 1, 11, 2, 2], (CLS, EOS)) == [(2, 3)]


def test_the_last_token_of_a_sample_is_not_blankable():
    assert blankable_regions([(1, 3), (5, 6)], 7) == [(1, 3), (5, 6)]
    assert blankable_regions([(1, 3), (5, 7)], 7) == [(1, 3), (5, 6)]
    assert blankable_regions([(1, 3), (5, 6)], 6) == [(1, 3)]


def test_levels_are_drawn_by_their_shares():
    settings = ObjectiveSettings(mixture={"token": 0.5, "sentence": 0.2, "document": 0.3})
    rng = random.Random(0)
    counts = Counter(sample_level(settings, rng) for _ in range(10_000))
    assert stats.chisquare([counts["token"], counts["sentence"], counts["document"]], [5000, 2000, 3000]).pvalue > 1e-3


@pytest.mark.parametrize(("mean", "longest"), [(3.0, 39), (1.0, 4), (20.0, 39)])
def test_span_lengths_are_poisson_within_their_bounds(mean, longest):
    settings, rng = ObjectiveSettings(mean_span_length=mean, max_span_length=longest), random.Random(0)
    # the last length of each draw is likelier to be long, so one long draw
    counts = Counter(sample_span_lengths(60_000, settings, rng))
    weights = {k: mean**k * math.exp(-mean) / math.factorial(k) for k in range(1, longest + 1)}
    scale = counts.total() / sum(weights.values())
    expected = {k: weight * scale for k, weight in weights.items() if weight * scale > 8}
    observed = [counts[k] for k in expected]
    rest = [counts.total() - sum(observed), counts.total() - sum(expected.values())]
    pvalue = stats.chisquare([*observed, rest[0] + 1], [*expected.values(), rest[1] + 1]).pvalue
    assert pvalue > 1e-3
    assert set(counts) <= set(range(1, longest + 1))


@pytest.mark.parametrize("ratio", [0.01, 0.15, 0.5, 0.95])
@pytest.mark.parametrize("length", [4, 5, 17, 200])
def test_every_sample_has_a_blank_and_the_ratio_is_reached_where_it_can_be(ratio, length):
    settings, rng = ObjectiveSettings(mask_ratio=ratio), random.Random(0)
    for _ in range(50):
        spans = token_level_spans([(1, length - 1)], length, settings, rng)
        blanked = sum(end - start for start, end in spans)
        assert blanked >= 1
        if ratio <= 0.15:
            assert int(ratio * length) <= blanked
        if ratio == 0.95 and length == 200:
            assert blanked > 0.6 * length  # one token between any two spans stays


def test_sentences_are_blanked_whole_until_the_ratio_is_covered():
    # sentences (1, 4) (4, 6) | (8, 10) (10, 12), the last without a mark
    settings, seen = ObjectiveSettings(mask_ratio=0.3), set()
    for seed in range(200):
        spans = sentence_level_spans([(1, 6), (8, 12)], [4, 6, 7, 10], 13, settings, random.Random(seed))
        assert set(spans) <= {(1, 4), (4, 6), (8, 10), (10, 12)}
        assert sum(end - start for start, end in spans) >= 3
        seen.add(tuple(spans))
    assert ((1, 4),) in seen
    assert ((8, 10), (10, 12)) in seen
    assert len(seen) == 1 + 6  # one alone covers 3 of 13 tokens; of the pairs, each


def test_a_document_level_span_leaves_cls_and_a_token():
    settings = ObjectiveSettings(document_span=(0.5, 1.0))
    spans = {document_level_span([(1, 9)], 10, settings, random.Random(seed)) for seed in range(500)}
    assert {end - start for start, end in spans} == {5, 6, 7, 8}
    assert {start for start, end in spans if end == 10} == {2, 3, 4, 5}  # to be continued
    assert {(start, end) for start, end in spans if end < 10} == {
        (start, start + length) for length in (5, 6, 7, 8) for start in range(1, 10 - length)
    }


def test_several_documents_are_always_to_be_continued():
    settings = ObjectiveSettings()
    assert {document_level_span([(1, 4), (6, 9)], 10, settings, random.Random(seed))[1] for seed in range(50)} == {10}


@pytest.mark.parametrize("length", [3, 4, 5])
def test_tiny_documents_have_a_document_level_span(length):
    for seed in range(20):
        start, end = document_level_span([(1, length - 1)], length, ObjectiveSettings(), random.Random(seed))
        assert 1 <= start < end <= length


def load_golden(name):
    reference = json.loads((GOLDEN / "span" / f"stats_{name}.json").read_text())
    return reference, np.load(GOLDEN / "span" / f"stats_{name}_inputs.npz")["text"].tolist()


def histograms(samples):
    """The statistics the original was recorded with; a sample is its length and its spans in the order of the pieces."""
    counts = {
        name: Counter() for name in ("n_spans", "span_length", "masked_tokens", "gap_between", "gap_before_first")
    }
    counts |= {name: Counter() for name in ("gap_after_last", "first_presented_rank_of_k", "sep", "loss_tokens")}
    permutations = {3: Counter(), 4: Counter()}
    for length, presented in samples:
        spans = sorted(presented)
        blanked = sum(end - start for start, end in spans)
        counts["n_spans"][len(spans)] += 1
        counts["span_length"].update(end - start for start, end in spans)
        counts["masked_tokens"][blanked] += 1
        counts["gap_between"].update(b[0] - a[1] for a, b in zip(spans, spans[1:], strict=False))
        counts["gap_before_first"][spans[0][0]] += 1
        counts["gap_after_last"][length - spans[-1][1]] += 1
        if len(spans) > 1:
            counts["first_presented_rank_of_k"][f"{spans.index(presented[0])}/{len(spans)}"] += 1
        counts["sep"][length - blanked + len(spans)] += 1
        counts["loss_tokens"][blanked + len(spans)] += 1
        if len(spans) in permutations:
            permutations[len(spans)]["".join(str(spans.index(span)) for span in presented)] += 1
    return counts, permutations


def agreement(left, right):
    """p of the two-sample chi-square test, neighbouring cells pooled until 16 counts are in each."""
    left, right = ({str(key): count for key, count in side.items()} for side in (left, right))
    cells, pooled = [], np.zeros(2)
    for key in sorted({*left, *right}, key=lambda key: (len(key), key)):
        pooled += (left.get(key, 0), right.get(key, 0))
        if pooled.sum() >= 16:
            cells.append(pooled)
            pooled = np.zeros(2)
    cells[-1] += pooled
    return 1.0 if len(cells) < 2 else stats.chi2_contingency(np.array(cells).T, correction=False).pvalue


def check_against(reference, samples, *, leave_out=()):
    counts, permutations = histograms(samples)
    p_values = {name: agreement(reference["hist"][name], counts[name]) for name in counts if name not in leave_out}
    for k in (3, 4):
        if reference["permutations"][str(k)]:
            p_values[f"permutations of {k}"] = agreement(reference["permutations"][str(k)], permutations[k])
    assert min(p_values.values()) > 1e-4, p_values


PLACEMENT = ("gap_between", "gap_before_first", "gap_after_last")


@golden
@pytest.mark.parametrize("original_placement", [True, False], ids=["parity switch", "uniform"])
@pytest.mark.parametrize(
    ("name", "separators", "settings"),
    [
        ("bert_seq64", (50259, 50256), {}),
        ("bert_seq128", (101, 0), {}),
        ("bert_seq512", (101, 0), {}),
        ("bert_ratio25_avg5_seq256", (101, 0), {"mask_ratio": 0.25, "mean_span_length": 5.0}),
        ("bert_multidoc512", (50259, 50256), {}),
    ],
)
def test_token_level_statistics_are_those_of_the_original(name, separators, settings, original_placement):
    reference, pool = load_golden(name)
    settings = ObjectiveSettings(original_placement=original_placement, **settings)
    rng, samples = random.Random(0), []
    for _ in range(20_000):
        tokens = rng.choice(pool)
        regions = blankable_regions(text_regions(tokens, separators), len(tokens))
        samples.append((len(tokens), in_random_order(token_level_spans(regions, len(tokens), settings, rng), rng)))
    # uniform placement is a fix: there all that does not depend on the place must agree
    check_against(reference, samples, leave_out=() if original_placement else PLACEMENT)


@golden
def test_uniform_placement_is_not_the_originals():
    reference, pool = load_golden("bert_seq128")
    rng, samples = random.Random(0), []
    for _ in range(20_000):
        spans = token_level_spans([(1, 127)], 128, ObjectiveSettings(), rng)
        samples.append((128, in_random_order(spans, rng)))
    assert agreement(reference["hist"]["gap_between"], histograms(samples)[0]["gap_between"]) < 1e-6


@golden
def test_sentence_level_statistics_are_those_of_the_original():
    reference, pool = load_golden("sentence_seq256")
    tokenizer = GLMTokenizer.from_pretrained(GOLDEN / "bert" / "ckpt")

    def ends_of_original(tokens):
        """Each token with a mark in it, decimals and the middle of words included: ours are better, the law is the same."""
        pieces = tokenizer.convert_ids_to_tokens(tokens)
        return [i for i, piece in enumerate(pieces, start=1) if any(mark in piece for mark in ".?!;:\n。？！；…")]

    ends = {tuple(tokens): ends_of_original(tokens) for tokens in pool}
    rng, samples = random.Random(0), []
    for _ in range(20_000):
        tokens = rng.choice(pool)
        up_to_the_last_mark = [(1, ends[tuple(tokens)][-1])]  # the original never blanks what follows it
        spans = sentence_level_spans(up_to_the_last_mark, ends[tuple(tokens)], 256, ObjectiveSettings(), rng)
        samples.append((len(tokens), in_random_order(spans, rng)))
    check_against(reference, samples)


@golden
def test_document_level_statistics_are_those_of_the_original():
    reference, pool = load_golden("gpt_seq256")
    settings = ObjectiveSettings(document_span=(0.25, 1.0))
    rng, lengths, starts, infilled = random.Random(0), Counter(), Counter(), Counter()
    for _ in range(20_000):
        tokens = rng.choice(pool)
        start, end = document_level_span(text_regions(tokens, (50259, 50256)), len(tokens), settings, rng)
        lengths[end - start + (end < len(tokens))] += 1  # recorded with eop, which a piece to be continued has not
        if end < len(tokens):
            starts[start] += 1
            infilled[end - start] += 1
    p_values = {
        "lengths": agreement(reference["hist"]["gen_length"], lengths),
        "infilled": agreement(reference["hist"]["gen_span_length"], infilled),
        "starts": agreement(reference["hist"]["gen_span_start"], starts),
        "half": stats.binomtest(infilled.total(), 20_000).pvalue,
    }
    assert min(p_values.values()) > 1e-4, p_values
    assert min(infilled) >= 64
    assert max(infilled) <= 254
