# SPDX-License-Identifier: Apache-2.0
"""Text infilling (paper, section 3.3): words of a text are blanked, all blanks are filled from left to right."""

import random
import re
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import Blank, lay_out

from ..metrics.texts import Units


WORDS = {"english": r"\S+", "words": r"\S+", "characters": r"[A-Za-z0-9]+|\S"}


class Blanked(NamedTuple):
    """A text with [MASK] in the place of each run of blanked words, and what stood there."""

    text: str
    answers: list[str]


def blank_words(text: str, ratio: float, rng: random.Random, units: Units = "english") -> Blanked:
    """
    Blank `int(words * ratio)` words of a text, one at least, drawn uniformly; neighbours share a blank.

        a b c d e     b, c, e         a [MASK] d [MASK]         [" b c", " e"]

    Args:
        text (`str`): the text.
        ratio (`float`): the share of its words.
        rng (`random.Random`): draws them.
        units (`str`, *optional*, defaults to `"english"`): what a word is: for `"characters"`, each but those of Latin words.
    """
    words = [match.span() for match in re.finditer(WORDS[units], text)]
    drawn = sorted(rng.sample(range(len(words)), max(1, int(len(words) * ratio))))
    runs: list[list[int]] = []
    for index in drawn:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    blanked, answers, end_of_last = "", [], 0
    for run in runs:
        start, end = words[run[0]][0], words[run[-1]][1]
        before = words[run[0] - 1][1] if run[0] else 0
        answers.append(text[before:end])  # with the space before it, which the mask token takes
        blanked += text[end_of_last:start] + "[MASK]"
        end_of_last = end
    return Blanked(blanked + text[end_of_last:], answers)


def lay_out_blanked(blanked: Blanked, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """The row of a blanked text: its pieces stand in the order of the text, each on its own blank."""
    part_a = tokenizer(blanked.text, truncation=False, verbose=False)["input_ids"]
    masks = set(tokenizer.mask_token_ids)
    positions = [position for position, token in enumerate(part_a) if token in masks]
    spans = [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in blanked.answers]
    blanks = [Blank(position, span) for position, span in zip(positions, spans, strict=True)]
    return lay_out(part_a, blanks, sop=tokenizer.sop_token_id, eop=tokenizer.eop_token_id)


def row_rng(seed: int, row: int, ratio: float) -> random.Random:
    """The generator of a row: its blanks depend on the seed, its number and the ratio."""
    return random.Random(f"{seed} {row} {ratio}")
