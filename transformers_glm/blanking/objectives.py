# SPDX-License-Identifier: Apache-2.0
"""Which tokens of a sample become blanks: token-, sentence- and document-level spans (Du et al., ACL 2022, sections 2.1-2.2)."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import accumulate
from operator import or_

import numpy as np

from .placement import Span, in_random_order, place_spans, place_spans_as_original


LEVELS = ("token", "sentence", "document")


@dataclass(frozen=True)
class ObjectiveSettings:
    """
    What the spans are drawn by; [`DataCollatorForBlankInfilling`] describes each.

    Raises:
        `ValueError`: a share, a length or a level that cannot be.
    """

    mixture: Mapping[str, float] = field(default_factory=lambda: {"token": 1.0})
    mask_ratio: float = 0.15
    mean_span_length: float = 3.0
    max_span_length: int = 39
    document_span: tuple[float, float] = (0.5, 1.0)
    shuffle_blanks: bool = True
    original_placement: bool = False

    def __post_init__(self):
        _check_mixture(self.mixture)
        if not 0 < self.mask_ratio < 1:
            raise ValueError(
                f"mask_ratio is {self.mask_ratio}, but a text needs tokens to predict and tokens to predict them from. "
                "Give a share between 0 and 1, both excluded; GLM has 0.15."
            )
        if not 1 <= self.mean_span_length <= self.max_span_length:
            raise ValueError(
                f"mean_span_length is {self.mean_span_length} and max_span_length {self.max_span_length}, but a span has "
                "at least one token and the mean is no longer than the longest. GLM has 3.0 and 39."
            )
        least, greatest = self.document_span
        if not 0 < least <= greatest <= 1:
            raise ValueError(
                f"document_span is {self.document_span}, but it is the least and the greatest share of a sample, two "
                "numbers over 0 and up to 1 in this order. GLM has (0.5, 1.0), its large models (0.25, 1.0)."
            )


def _check_mixture(mixture: Mapping[str, float]) -> None:
    unknown = set(mixture) - set(LEVELS)
    if unknown:
        raise ValueError(f"mixture has shares of {sorted(unknown)}, but the objectives are {', '.join(LEVELS)}.")
    if any(not share >= 0 for share in mixture.values()) or not math.isclose(sum(mixture.values()), 1, abs_tol=1e-6):
        raise ValueError(
            f"The shares of mixture {dict(mixture)} add up to {sum(mixture.values())}. Give shares of at least 0 that add "
            'up to 1, for example {"token": 0.5, "document": 0.5}.'
        )


def sample_level(settings: ObjectiveSettings, rng: random.Random) -> str:
    """Draw `"token"`, `"sentence"` or `"document"` by the shares of the mixture."""
    return rng.choices(list(settings.mixture), list(settings.mixture.values()))[0]


def text_regions(tokens: Sequence[int], separators: Sequence[int]) -> list[Span]:
    """
    The stretches of text between `separators`, the ids of [CLS] and eos.

        tokens   [CLS] x1 x2 x3 eos [CLS] x4 x5 eos      regions  (1, 4), (6, 8)
    """
    ids = np.asarray(tokens)
    is_separator = reduce(or_, [ids == separator for separator in separators])
    cuts = [-1, *is_separator.nonzero()[0].tolist(), len(ids)]
    return [(before + 1, after) for before, after in zip(cuts, cuts[1:], strict=False) if before + 1 < after]


def blankable_regions(regions: Sequence[Span], length: int) -> list[Span]:
    """The regions of a sample of `length` tokens without its last token, which the original never blanks."""
    shortened = [(start, min(end, length - 1)) for start, end in regions]
    return [(start, end) for start, end in shortened if start < end]


def token_level_spans(
    regions: Sequence[Span], length: int, settings: ObjectiveSettings, rng: random.Random
) -> list[Span]:
    """
    Short spans all over a sample.

    0. `regions` are those of [`blankable_regions`], `length` is the length of the sample with all its special tokens.
    1. Lengths are drawn from the Poisson distribution until they cover `mask_ratio` of the sample; the last may cover more.
    2. They are put into random order.
    3. They are placed with at least one token between two of them ([`place_spans`]).

    What does not fit is left out, never the sample: a length over the longest region is cut to it, and of the lengths in
    their random order the first ones that fit together are placed. At least one is.
    """
    longest = max(end - start for start, end in regions)
    lengths = [min(drawn, longest) for drawn in sample_span_lengths(_tokens_to_cover(length, settings), settings, rng)]
    lengths = in_random_order(lengths, rng)
    if settings.original_placement:
        return place_spans_as_original(regions, lengths, settings.mask_ratio, rng)
    return place_spans(regions, lengths, rng)


def sentence_level_spans(
    regions: Sequence[Span], ends: Sequence[int], length: int, settings: ObjectiveSettings, rng: random.Random
) -> list[Span]:
    """
    Whole sentences, drawn uniformly until they cover `mask_ratio` of a sample of `length` tokens.

    `regions` are those of [`text_regions`] and `ends` those of [`sentence_ends`]; text after the last end is a sentence too.
    """
    sentences = []
    for start, end in regions:
        cuts = [start, *(cut for cut in ends if start < cut < end), end]
        sentences += zip(cuts, cuts[1:], strict=False)
    chosen, missing = [], _tokens_to_cover(length, settings)
    for start, end in in_random_order(sentences, rng):
        chosen.append((start, end))
        missing -= end - start
        if missing <= 0:
            break
    return sorted(chosen)


def document_level_span(regions: Sequence[Span], length: int, settings: ObjectiveSettings, rng: random.Random) -> Span:
    """
    One long span, its length uniform in `document_span` of a sample of `length` tokens.

    Half of the samples, and all of several documents, are to be continued: the span runs to the end of the sample. In the
    others the span is placed uniformly within the text. At least [CLS] and one more token stay outside of it.
    `regions` are those of [`text_regions`].
    """
    least, greatest = (int(share * length) for share in settings.document_span)
    greatest = max(1, min(greatest, length - 2))
    span_length = rng.randint(max(1, min(least, greatest)), greatest)
    if len(regions) > 1 or rng.random() < 0.5:
        return length - span_length, length
    [(start, end)] = blankable_regions(regions, length)
    return place_spans([(start, end)], [min(span_length, end - start)], rng)[0]


def sample_span_lengths(missing: int, settings: ObjectiveSettings, rng: random.Random) -> list[int]:
    """Draw span lengths until they sum up to `missing` at least."""
    cumulative = _cumulative_poisson(settings.mean_span_length, settings.max_span_length)
    possible = range(1, settings.max_span_length + 1)
    lengths: list[int] = []
    while missing > 0:
        for drawn in rng.choices(possible, cum_weights=cumulative, k=int(missing / settings.mean_span_length) + 1):
            lengths.append(drawn)
            missing -= drawn
            if missing <= 0:
                break
    return lengths


def _tokens_to_cover(length: int, settings: ObjectiveSettings) -> int:
    return max(1, int(settings.mask_ratio * length))


@lru_cache
def _cumulative_poisson(mean: float, longest: int) -> list[float]:
    return list(accumulate(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(1, longest + 1)))
