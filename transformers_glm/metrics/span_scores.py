# SPDX-License-Identifier: Apache-2.0
"""Accuracy and perplexity per blanked token, of a GLM and of models that see the text to the left."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..blanking.collator import DataCollatorForBlankInfilling
from .ngrams import Context, contexts


class LeftToRight(Protocol):
    """A model of the next token after two others."""

    def distribution(self, context: Context) -> np.ndarray:
        """The probability of each token."""


class Scores(NamedTuple):
    """Accuracy, perplexity and number of the tokens scored."""

    accuracy: float
    perplexity: float
    tokens: int


def text_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that occur within a text: all but the special tokens."""
    return sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))


@torch.inference_mode()
def score_glm(
    model: PreTrainedModel,
    collator: DataCollatorForBlankInfilling,
    examples: Sequence[Mapping[str, list[int]]],
    tokens: Sequence[int],
    batch_size: int = 64,
) -> Scores:
    """
    Score the blanked tokens of examples that are blanked already.

    The end of a piece is not scored, and the probability is shared out among `tokens` alone: so a GLM, which has to know
    where a piece ends, and models without an end answer the same question, "which token of the text stands here?"
    """
    others = torch.ones(model.config.vocab_size, dtype=torch.bool)
    others[list(tokens)] = False
    log_probabilities, hits = [], []
    for start in range(0, len(examples), batch_size):
        batch = collator(examples[start : start + batch_size])
        labels = batch.pop("labels")
        scored = (labels != IGNORE) & ~others[labels.clamp(min=0)]
        logits = model(**batch).logits[scored].float().masked_fill(others, -math.inf)  # (scored, V)
        chosen = logits.log_softmax(-1).gather(-1, labels[scored].unsqueeze(-1)).squeeze(-1)
        log_probabilities += chosen.tolist()
        hits += (logits.argmax(-1) == labels[scored]).tolist()
    return _scores(log_probabilities, hits)


def score_left_to_right(
    model: LeftToRight,
    rows: Sequence[Sequence[int]],
    examples: Sequence[Mapping[str, list[int]]],
    tokens: Sequence[int],
) -> Scores:
    """
    Score the same tokens by a model that is given the two true tokens before each, even where these are blanked too.

    Args:
        model (`LeftToRight`): a baseline.
        rows (`Sequence[Sequence[int]]`): the texts.
        examples (`Sequence[Mapping[str, list[int]]]`): the same texts with blanks.
        tokens (`Sequence[int]`): the ids that are scored.
    """
    log_probabilities, hits, scored = [], [], set(tokens)
    known: dict[Context, np.ndarray] = {}
    for row, example in zip(rows, examples, strict=True):
        before = contexts(row)
        for place in blanked_places(example):
            if row[place] in scored:
                if before[place] not in known:
                    known[before[place]] = model.distribution(before[place])
                chances = known[before[place]]
                log_probabilities.append(math.log(chances[row[place]]))
                hits.append(chances.argmax() == row[place])
    return _scores(log_probabilities, hits)


def blanked_places(example: Mapping[str, list[int]]) -> list[int]:
    """
    Where the blanked tokens of an example stand in the whole text, in the order of Part B.

        text         x1 x2 x3 x4 x5 x6        input_ids  x1 x2 [M] x4 [M]  S x5 x6  S x3        places  4, 5, 2
    """
    part_a_length = example["block_position_ids"].index(1) if 1 in example["block_position_ids"] else 0
    pieces: list[list[int]] = []  # position of the blank, number of tokens
    for place in range(part_a_length, len(example["input_ids"])):
        if example["block_position_ids"][place] == 1:
            pieces.append([example["position_ids"][place], 0])
        else:
            pieces[-1][1] += 1
    places = []
    for position, length in pieces:
        start = position + sum(other_length - 1 for other, other_length in pieces if other < position)
        places += range(start, start + length)
    return places


def _scores(log_probabilities: list[float], hits: list[bool]) -> Scores:
    return Scores(float(np.mean(hits)), math.exp(-float(np.mean(log_probabilities))), len(hits))
