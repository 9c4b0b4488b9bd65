# SPDX-License-Identifier: Apache-2.0
"""An interpolated trigram on the tokens that a GLM is scored on: their perplexity, and the last word of a text."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..metrics.ngrams import Trigram, contexts
from ..metrics.span_scores import text_tokens
from .rows import last_word, text_ids
from .scoring import last_word_metrics


def fit_trigram(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Trigram:
    """A trigram of the tokens of `texts`, none of them special."""
    rows = [text_ids(text, tokenizer) for text in texts]
    return Trigram(rows, text_tokens(tokenizer), len(tokenizer))


def trigram_perplexity(trigram: Trigram, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> float:
    """The perplexity of all tokens of each text but its first, each given the two before it."""
    costs = []
    for tokens in (text_ids(text, tokenizer) for text in texts):
        for before, token in itertools.islice(zip(contexts(tokens), tokens, strict=True), 1, None):
            costs.append(-math.log(trigram.distribution(before)[token]))
    return math.exp(math.fsum(costs) / len(costs))


def trigram_last_words(trigram: Trigram, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """As [`score_last_words`]: the last word is right where each of its tokens is the most probable one."""
    guesses = []
    for text in texts:
        before, word = last_word(text, tokenizer)
        chances = [trigram.distribution(context) for context in contexts([*before, *word])[len(before) :]]
        guesses.append(
            {
                "correct": all(int(np.argmax(of)) == token for of, token in zip(chances, word, strict=True)),
                "log_probability": math.fsum(math.log(of[token]) for of, token in zip(chances, word, strict=True)),
            }
        )
    return last_word_metrics(guesses)
