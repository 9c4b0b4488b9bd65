# SPDX-License-Identifier: Apache-2.0
"""How GLM reads a text as a language model (paper, section 3.4): windows, and texts without their last word."""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE, Blank, lay_out

from .arguments import Context


def windows(tokens: Sequence[int], width: float, stride: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """
    Windows in which each token of a text except the first is scored exactly once: the tokens before, and those that are scored.

        tokens 0 to 9, width 6, stride 2      0, 1 2 3 4 5
                                              2 3 4 5, 6 7
                                              4 5 6 7, 8 9

    Args:
        tokens (`Sequence[int]`): the text.
        width (`int` or `math.inf`): the most tokens of a window.
        stride (`int`): tokens that each window except the first scores; less than `width`.

    Raises:
        `ValueError`: the stride leaves no token as context, or scores none.
    """
    if not 0 < stride < width:
        raise ValueError(f"The stride {stride} is not between 0 and the window's width {width}: choose one that is.")
    start, scored, stop = 0, 1, min(width, len(tokens))
    while scored < stop:
        yield tokens[start:scored], tokens[scored:stop]
        start, scored, stop = stop - width + stride, stop, min(stop + stride, len(tokens))


def lay_out_scored(
    before: Sequence[int],
    scored: Sequence[int],
    context: Context,
    tokenizer: PreTrainedTokenizerBase,
    mask: int,
    *,
    ends: bool = False,
    longest: int | None = None,
) -> dict[str, list[int]]:
    """
    Tokens y1 y2 that are scored, given those before them.

        bidirectional     [CLS] x1 x2 x3 [M] | S  y1             labels y1 y2
        unidirectional    [CLS] x1 [M]       | S  x2 x3 y1       labels -100 -100 y1 y2

    Without `ends` the text goes on: no eos stands in Part A, and no eop is scored.

    Args:
        before (`Sequence[int]`): the tokens before those that are scored.
        scored (`Sequence[int]`): the tokens that are scored.
        context (`str`):
            `"bidirectional"`: Part A holds all that is not scored; `"unidirectional"`: the first token only.
        tokenizer ([`GLMTokenizer`]): has [CLS], eos and sop.
        mask (`int`): id of the mask token of the blank.
        ends (`bool`, *optional*, defaults to `False`): whether the text ends there: [CLS] x1 x2 x3 [M] eos | S y1.
        longest (`int`, *optional*): the most tokens of the row; the left end of a longer text is cut off.
    """
    end = [tokenizer.eos_token_id] if ends else []
    if longest is not None:
        room = longest - 2 - len(end) - len(scored)  # [CLS] and the mask; sop stands for the last scored token
        before = before[max(0, len(before) - room) :]
    shown, written = (before, []) if context == "bidirectional" else (before[:1], before[1:])
    part_a = [tokenizer.cls_token_id, *shown, mask, *end]
    blank = Blank(len(shown) + 1, [*written, *scored], [*[IGNORE] * len(written), *scored])
    return lay_out(part_a, [blank], sop=tokenizer.sop_token_id, eop=tokenizer.eop_token_id)


def last_word(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens before the last word of a text of two or more, and those of the word, a space before it."""
    before, word = text.rsplit(maxsplit=1)
    return text_ids(before.strip(), tokenizer), text_ids(f" {word}", tokenizer)


def text_ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens of a text, none of them special."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
