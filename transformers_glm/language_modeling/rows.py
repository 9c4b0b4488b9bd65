# SPDX-License-Identifier: Apache-2.0
"""How GLM reads a text as a language model (paper, section 3.4): windows, and texts without their last word."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE, Blank, lay_out


Context = Literal["bidirectional", "unidirectional"]


class Window(NamedTuple):
    """
    A stretch of a text whose tokens from `scored` on are scored; those before are context.

    Args:
        start, stop (`int`): the stretch, half-open, in tokens of the text.
        scored (`int`): the first token that is scored.
    """

    start: int
    stop: int
    scored: int


def windows(length: int, width: int, stride: int) -> Iterator[Window]:
    """
    Windows in which each token of a text but the first is scored exactly once.

        length 10, width 6, stride 2      0 [1 2 3 4 5]
                                          2  3 4 5 [6 7]
                                          4  5 6 7 [8 9]

    Args:
        length (`int`): tokens of the text.
        width (`int`): the most tokens of a window.
        stride (`int`): tokens that each window but the first scores; less than `width`.
    """
    if not 0 < stride < width:
        raise ValueError(f"The stride {stride} is not between 0 and the window's width {width}: choose one that is.")
    stop = min(width, length)
    if length > 1:
        yield Window(0, stop, 1)
    while stop < length:
        start = stop - width + stride
        stop, scored = min(start + width, length), stop
        yield Window(start, stop, scored)


def lay_out_window(
    tokens: Sequence[int], window: Window, context: Context, tokenizer: PreTrainedTokenizerBase, mask: int
) -> dict[str, list[int]]:
    """
    One window as the model reads it, x4 and x5 being scored.

        bidirectional     [CLS] x1 x2 x3 [M] | S  x4          -100 ...            labels x4 x5
        unidirectional    [CLS] x1 [M]       | S  x2 x3 x4    labels -100 -100 x4 x5

    No eos stands in Part A and no eop is scored: the text goes on.

    Args:
        tokens (`Sequence[int]`): the text.
        window ([`Window`]): which of it.
        context (`str`):
            `"bidirectional"`: Part A holds all that is not scored; `"unidirectional"`: the first token only.
        tokenizer ([`GLMTokenizer`]): has [CLS] and sop.
        mask (`int`): id of the mask token of the blank.
    """
    begin = window.scored if context == "bidirectional" else window.start + 1
    part_a = [tokenizer.cls_token_id, *tokens[window.start : begin], mask]
    text = list(tokens[begin : window.stop])
    labels = [IGNORE] * (window.scored - begin) + text[window.scored - begin :]
    blank = Blank(len(part_a) - 1, text, labels)
    return lay_out(part_a, [blank], sop=tokenizer.sop_token_id, eop=tokenizer.eop_token_id)


def last_word(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens before the last word of a text, and those of the word, a space before it."""
    words = text.split()
    start = text.rfind(words[-1])
    return text_ids(text[:start].strip(), tokenizer), text_ids(f" {words[-1]}", tokenizer)


def lay_out_last_word(
    before: Sequence[int],
    word: Sequence[int],
    context: Context,
    tokenizer: PreTrainedTokenizerBase,
    mask: int,
    longest: int,
) -> dict[str, list[int]]:
    """
    A text whose last word y1 y2 is scored; its left end is cut off where it is too long.

        bidirectional     [CLS] x1 x2 x3 [M] eos | S  y1             labels y1 y2
        unidirectional    [CLS] x1 [M] eos       | S  x2 x3 y1       labels -100 -100 y1 y2

    Args:
        before (`Sequence[int]`): the tokens before the word.
        word (`Sequence[int]`): its tokens.
        context (`str`): as of [`lay_out_window`].
        tokenizer ([`GLMTokenizer`]): has [CLS], eos and sop.
        mask (`int`): id of the mask token of the blank.
        longest (`int`): the most tokens of a row.
    """
    room = longest - 3 - len(word)  # [CLS], the mask and eos; sop stands for the word's last token
    before = list(before[max(0, len(before) - room) :])
    shown, written = (before, []) if context == "bidirectional" else (before[:1], before[1:])
    part_a = [tokenizer.cls_token_id, *shown, mask, tokenizer.eos_token_id]
    blank = Blank(len(shown) + 1, [*written, *word], [*[IGNORE] * len(written), *word])
    return lay_out(part_a, [blank], sop=tokenizer.sop_token_id, eop=tokenizer.eop_token_id)


def text_ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens of a text, none of them special."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
