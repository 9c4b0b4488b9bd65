# SPDX-License-Identifier: Apache-2.0
"""GLM as a language model (paper, section 3.4): perplexity by overlapping windows, the last word of a text."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..blanking.batching import pad
from ..blanking.rows import Example
from ..metrics.base import Scored
from ..metrics.ngrams import Trigram, score_left_to_right
from ..metrics.spans import text_tokens
from .rows import Context, last_word, lay_out_scored, text_ids, windows


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


# a line break with spaces round it is a token of WikiText and PTB
WORD = re.compile(r"\S+|(?<= )\n(?= |\Z)")
LONGEST_WORD = 40  # characters, in the mean of a text; more has no spaces between its words


class TextScores(NamedTuple):
    """
    The score of one text: the sum of the log-probabilities of `tokens` tokens, all except its first; all its words, and its
    characters except those of its first token.
    """

    log_probability: float
    tokens: int
    words: int
    characters: int


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
    Score every token of each text except its first, given the text before it.

    Args:
        model ([`GLMForConditionalGeneration`]): the model.
        tokenizer ([`GLMTokenizer`]): its tokenizer.
        texts (`Sequence[str]`): the texts; special tokens in them are read as plain text.
        context (`str`): `"bidirectional"` or `"unidirectional"`, see [`lay_out_scored`].
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
    encoded = [text_ids(normalize(text), tokenizer) for text in texts]
    places = [
        (number, window) for number, tokens in enumerate(encoded) for window in windows(len(tokens), width, stride)
    ]
    rows = [
        lay_out_scored(encoded[n][start:scored], encoded[n][scored:stop], context, tokenizer, mask)
        for n, (start, stop, scored) in places
    ]
    sums, counts = [0.0] * len(texts), [0] * len(texts)
    for (number, _), scored in zip(places, score_rows(model, rows, tokenizer.pad_token_id, batch_size), strict=True):
        sums[number] += math.fsum(scored.log_probabilities)
        counts[number] += len(scored.log_probabilities)
    return [
        TextScores(total, count, len(WORD.findall(text.strip())), len(text) - len(tokenizer.decode(tokens[:1])))
        for total, count, text, tokens in zip(sums, counts, texts, encoded, strict=True)
    ]


def perplexities(scores: Sequence[TextScores]) -> dict[str, float | int]:
    """
    Perplexity per token, and per word as the paper has it: what the tokens cost, shared out among the words. In both, the
    first of each text is not counted. And the same cost as bits for each character.

    Returns:
        `dict[str, float | int]`: `tokens`, `characters`, `words`, `perplexity`, `bits_per_character`, `word_perplexity`; without
            the two of words where texts are of one word, or have no spaces (words of more than 40 characters in the mean).
    """
    cost = -math.fsum(score.log_probability for score in scores)
    tokens = sum(score.tokens for score in scores)
    words = sum(score.words - 1 for score in scores)
    characters = sum(score.characters for score in scores)
    if not tokens or not characters:
        raise ValueError(
            f"{tokens} tokens, {characters} characters: all except the first token of a text. Give longer texts."
        )
    counts = {"tokens": tokens, "characters": characters}
    values = {"perplexity": math.exp(cost / tokens), "bits_per_character": cost / math.log(2) / characters}
    if characters <= LONGEST_WORD * words:
        counts["words"], values["word_perplexity"] = words, math.exp(cost / words)
    return counts | values


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
        `ValueError`: a text has fewer than two words, or a last one of more than 40 characters, as texts without spaces.
    """
    rows = []
    for number, text in enumerate(texts, 1):
        if len(text.split()) < 2:
            raise ValueError(
                f"Text {number} has no word before its last one: {text!r}. Give texts of two words or more."
            )
        if len(text.split()[-1]) > LONGEST_WORD:
            raise ValueError(
                f"The last word of text {number} has {len(text.split()[-1])} characters: {text[-40:]!r}. Give texts with spaces "
                "between their words."
            )
        before, word = last_word(text, tokenizer)
        longest = model.config.max_sequence_length
        rows.append(lay_out_scored(before, word, context, tokenizer, mask, ends=True, longest=longest))
    return _guesses(texts, score_rows(model, rows, tokenizer.pad_token_id, batch_size))


def _guesses(texts: Sequence[str], words: Iterable[Scored]) -> list[dict[str, Any]]:
    return [
        {"answer": text.split()[-1], "correct": all(word.hits), "log_probability": math.fsum(word.log_probabilities)}
        for text, word in zip(texts, words, strict=True)
    ]


def last_word_metrics(guesses: Sequence[dict[str, Any]]) -> dict[str, float]:
    """
    The share of the last words that are right, and what one costs.

    Returns:
        `dict[str, float]`: `accuracy` in per cent; `perplexity` of a word, that is of all its tokens together.
    """
    return {
        "accuracy": 100 * sum(guess["correct"] for guess in guesses) / len(guesses),
        "perplexity": math.exp(-math.fsum(guess["log_probability"] for guess in guesses) / len(guesses)),
    }


def fit_trigram(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Trigram:
    """An interpolated trigram of the tokens of `texts`, none of them special."""
    rows = [text_ids(text, tokenizer) for text in texts]
    return Trigram(rows, text_tokens(tokenizer), len(tokenizer))


def trigram_perplexity(trigram: Trigram, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> float:
    """The perplexity of all tokens of each text except its first, each given the two before it."""
    rows = [text_ids(text, tokenizer) for text in texts]
    return Scored.together(score_left_to_right(trigram, rows, [range(1, len(row)) for row in rows])).perplexity


def trigram_last_words(
    trigram: Trigram, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> list[dict[str, Any]]:
    """As [`score_last_words`]: the last word is right where each of its tokens is the most probable one."""
    pairs = [last_word(text, tokenizer) for text in texts]
    rows = [[*before, *word] for before, word in pairs]
    places = [range(len(before), len(row)) for (before, _), row in zip(pairs, rows, strict=True)]
    return _guesses(texts, score_left_to_right(trigram, rows, places))


def generate_texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, number: int, mask: int, **generate_kwargs: Any
) -> list[str]:
    """Texts written from nothing: Part A is [CLS] and a blank; `generate_kwargs` are those of `generate`."""
    part_a = torch.tensor([[tokenizer.cls_token_id, mask]] * number, device=model.device)
    pieces = model.generate(part_a, **generate_kwargs)
    return tokenizer.batch_decode(pieces, skip_special_tokens=True)
