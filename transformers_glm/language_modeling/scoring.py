# SPDX-License-Identifier: Apache-2.0
"""GLM as a language model (paper, section 3.4): perplexity by overlapping windows, the last word of a text."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..metrics.base import Scored
from ..metrics.ngrams import Trigram, score_left_to_right
from ..metrics.spans import score_rows, text_tokens
from .rows import last_word, lay_out_scored, text_ids, windows


def score_pairs(
    model: PreTrainedModel | Trigram,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    ends: bool = False,
    batch_size: int = 8,
    **layout: Any,
) -> Iterator[Scored]:
    """
    Score the second list of tokens of each pair, given the first.

    Args:
        model ([`GLMForConditionalGeneration`] or [`Trigram`]): the model; a trigram needs none of the settings below.
        tokenizer ([`GLMTokenizer`]): the tokenizer of both.
        pairs (`Sequence[tuple[Sequence[int], Sequence[int]]]`): the tokens.
        ends (`bool`, *optional*, defaults to `False`): whether the text ends with them; a long one loses its left end.
        batch_size (`int`, *optional*, defaults to 8): pairs that are scored together.
        layout: `context` and `mask` of [`lay_out_scored`].
    """
    if isinstance(model, Trigram):
        places = (range(len(before), len(before) + len(scored)) for before, scored in pairs)
        return score_left_to_right(model, [[*before, *scored] for before, scored in pairs], places)
    longest = model.config.max_sequence_length if ends else None
    rows = [lay_out_scored(*pair, tokenizer=tokenizer, ends=ends, longest=longest, **layout) for pair in pairs]
    return score_rows(model, rows, tokenizer.pad_token_id, batch_size)


# a line break with spaces round it is a token of WikiText and PTB
WORD = re.compile(r"\S+|(?<= )\n(?= |\Z)")
LONGEST_WORD = 40  # characters: a text whose words are longer on average has no spaces between them


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
    model: PreTrainedModel | Trigram,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    width: float = math.inf,
    stride: int = 1,
    normalize: Callable[[str], str] = str,
    **settings: Any,
) -> list[TextScores]:
    """
    Score every token of each text except its first, given the text before it.

    Args:
        model, tokenizer: as of [`score_pairs`]; without a width, which a trigram does not need, a text is one window.
        texts (`Sequence[str]`): the texts; special tokens in them are read as plain text.
        width (`int`): tokens of a window; at most the model's `max_sequence_length`.
        stride (`int`): tokens that a window scores.
        normalize (`Callable`, *optional*): what is done to a text before it is encoded; words are counted before.
        settings: `context`, `mask` and `batch_size`, as of [`score_pairs`].
    """
    if not isinstance(model, Trigram) and width > model.config.max_sequence_length:
        raise ValueError(
            f"A window of {width} tokens does not fit the model's max_sequence_length {model.config.max_sequence_length}. "
            "Give a smaller width."
        )
    encoded = [text_ids(normalize(text), tokenizer) for text in texts]
    pairs = [list(windows(tokens, width, stride)) for tokens in encoded]
    scored, scores = score_pairs(model, tokenizer, list(chain(*pairs)), **settings), []
    for text, tokens, of_text in zip(texts, encoded, pairs, strict=True):
        parts = list(islice(scored, len(of_text)))
        total = sum(math.fsum(part.log_probabilities) for part in parts)
        words, characters = len(WORD.findall(text.strip())), len(text) - len(tokenizer.decode(tokens[:1]))
        scores.append(TextScores(total, sum(part.tokens for part in parts), words, characters))
    return scores


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
    model: PreTrainedModel | Trigram, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], **settings: Any
) -> list[dict[str, Any]]:
    """
    LAMBADA: whether all tokens of the last word of each text are the most probable ones, each given those before it.

    Its arguments are those of [`score_texts`] that are not of windows.

    Returns:
        `list[dict[str, Any]]`: `answer`, `correct` and `log_probability` of each text.

    Raises:
        `ValueError`: a text has fewer than two words, or a last one of more than 40 characters, as texts without spaces.
    """
    for number, text in enumerate(texts, 1):
        *before, word = text.split() or [""]
        if not before:
            raise ValueError(
                f"Text {number} has no word before its last one: {text!r}. Give texts of two words or more."
            )
        if len(word) > LONGEST_WORD:
            raise ValueError(
                f"The last word of text {number} has {len(word)} characters: {text[-40:]!r}. Give texts with spaces between "
                "their words."
            )
    words = score_pairs(model, tokenizer, [last_word(text, tokenizer) for text in texts], ends=True, **settings)
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


def generate_texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, number: int, mask: int, **generate_kwargs: Any
) -> list[str]:
    """Texts written from nothing: Part A is [CLS] and a blank; `generate_kwargs` are those of `generate`."""
    part_a = torch.tensor([[tokenizer.cls_token_id, mask]] * number, device=model.device)
    pieces = model.generate(part_a, **generate_kwargs)
    return tokenizer.batch_decode(pieces, skip_special_tokens=True)
