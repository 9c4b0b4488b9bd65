# SPDX-License-Identifier: Apache-2.0
"""GLM as a language model (paper, section 3.4): perplexity by overlapping windows, the last word of a text."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE, Blank, lay_out

from .batching import pad
from .rows import Example


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


class Scored(NamedTuple):
    """
    The scored tokens of one row.

    Args:
        log_probabilities (`list[float]`): natural logarithm of each token's probability, given all before it.
        hits (`list[bool]`): whether it is the most probable token.
    """

    log_probabilities: list[float]
    hits: list[bool]


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
    return _plain(text[:start].strip(), tokenizer), _plain(f" {words[-1]}", tokenizer)


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


@torch.inference_mode()
def score_rows(
    model: PreTrainedModel,
    rows: Sequence[dict[str, list[int]]],
    pad_token_id: int,
    batch_size: int = 8,
) -> Iterator[Scored]:
    """
    Score the labelled tokens of rows.

    Args:
        model ([`GLMForConditionalGeneration`]): the model.
        rows (`Sequence[dict[str, list[int]]]`): as of `lay_out`.
        pad_token_id (`int`): id of the padding.
        batch_size (`int`, *optional*, defaults to 8): rows that are scored together.
    """
    for start in range(0, len(rows), batch_size):
        examples: list[Example] = [
            {column: np.array(values) for column, values in row.items()} for row in rows[start : start + batch_size]
        ]
        batch = {
            column: values.to(model.device)
            for column, values in pad(examples, pad_token_id=pad_token_id, side="left").items()
        }
        labels = batch.pop("labels")
        first = int((labels != IGNORE).any(0).nonzero()[0])
        labels = labels[:, first:]  # of a vocabulary's size for each position, only those that are scored
        logits = model(**batch, logits_to_keep=labels.shape[1], use_cache=False).logits
        for row_logits, row_labels in zip(logits, labels, strict=True):
            scored = row_labels != IGNORE
            chosen, wanted = row_logits[scored].float(), row_labels[scored]
            of_wanted = chosen.log_softmax(-1).gather(-1, wanted[:, None]).squeeze(-1)
            yield Scored(of_wanted.tolist(), (chosen.argmax(-1) == wanted).tolist())


class TextScores(NamedTuple):
    """The score of one text: the sum of the log-probabilities of `tokens` tokens, all but its first; all its words."""

    log_probability: float
    tokens: int
    words: int


def score_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    context: Context,
    width: int,
    stride: int,
    mask: int,
    batch_size: int = 8,
    normalize: Callable[[str], str] = str,
) -> list[TextScores]:
    """
    Score every token of each text but its first, given the text before it.

    Args:
        model ([`GLMForConditionalGeneration`]): the model.
        tokenizer ([`GLMTokenizer`]): its tokenizer.
        texts (`Sequence[str]`): the texts; special tokens in them are read as plain text.
        context (`str`): `"bidirectional"` or `"unidirectional"`, see [`lay_out_window`].
        width (`int`): tokens of a window; at most the model's `max_sequence_length`.
        stride (`int`): tokens that a window scores.
        mask (`int`): id of the mask token of the blank.
        batch_size (`int`, *optional*, defaults to 8): windows that are scored together.
        normalize (`Callable`, *optional*): what is done to a text before it is encoded; words are counted before.
    """
    if width > model.config.max_sequence_length:
        raise ValueError(
            f"A window of {width} tokens does not fit the model's max_sequence_length {model.config.max_sequence_length}. "
            "Give a smaller width."
        )
    encoded = [_plain(normalize(text), tokenizer) for text in texts]
    places = [
        (number, window) for number, tokens in enumerate(encoded) for window in windows(len(tokens), width, stride)
    ]
    rows = [lay_out_window(encoded[number], window, context, tokenizer, mask) for number, window in places]
    sums, counts = [0.0] * len(texts), [0] * len(texts)
    for (number, _), scored in zip(places, score_rows(model, rows, tokenizer.pad_token_id, batch_size), strict=True):
        sums[number] += math.fsum(scored.log_probabilities)
        counts[number] += len(scored.log_probabilities)
    return [
        TextScores(total, count, len(text.strip().split(" ")))
        for total, count, text in zip(sums, counts, texts, strict=True)
    ]


def perplexities(scores: Sequence[TextScores]) -> dict[str, float | int]:
    """
    Perplexity per token, and per word as the paper has it: what the tokens cost, shared out among the words. In both, the
    first of each text is not counted.

    Returns:
        `dict[str, float | int]`: `perplexity`, `word_perplexity`, `tokens`, `words`.
    """
    cost = -math.fsum(score.log_probability for score in scores)
    tokens = sum(score.tokens for score in scores)
    words = sum(score.words - 1 for score in scores)
    if not tokens or not words:
        raise ValueError(f"{tokens} tokens and {words} words are to be scored: give texts of two words or more.")
    return {
        "perplexity": math.exp(cost / tokens),
        "word_perplexity": math.exp(cost / words),
        "tokens": tokens,
        "words": words,
    }


def score_last_words(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    context: Context,
    mask: int,
    batch_size: int = 8,
) -> list[dict[str, Any]]:
    """
    LAMBADA: whether all tokens of the last word of each text are the most probable ones, each given those before it.

    Returns:
        `list[dict[str, Any]]`: `answer`, `correct` and `log_probability` of each text.

    Raises:
        `ValueError`: a text has fewer than two words.
    """
    rows, answers = [], []
    for number, text in enumerate(texts, 1):
        if len(text.split()) < 2:
            raise ValueError(
                f"Text {number} has no word before its last one: {text!r}. Give texts of two words or more."
            )
        before, word = last_word(text, tokenizer)
        longest = model.config.max_sequence_length
        rows.append(lay_out_last_word(before, word, context, tokenizer, mask, longest))
        answers.append(text.split()[-1])
    return [
        {"answer": answer, "correct": all(scored.hits), "log_probability": math.fsum(scored.log_probabilities)}
        for answer, scored in zip(answers, score_rows(model, rows, tokenizer.pad_token_id, batch_size), strict=True)
    ]


def generate_texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, number: int, mask: int, **generate_kwargs: Any
) -> list[str]:
    """Texts out of nothing: Part A is [CLS] and a blank; `generate_kwargs` are those of `generate`."""
    part_a = torch.tensor([[tokenizer.cls_token_id, mask]] * number, device=model.device)
    pieces = model.generate(part_a, **generate_kwargs)
    return tokenizer.batch_decode(pieces, skip_special_tokens=True)


def _plain(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
