# SPDX-License-Identifier: Apache-2.0
"""Pretraining blanks among the rows of a task, against forgetting."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from blank_infilling_glm import Blank, lay_out

from ..blanking.collator import DataCollatorForBlankInfilling


class MixingCollator:
    """
    Collates rows of three kinds, told apart by their columns; None is no column.

    | columns | is | becomes |
    |---|---|---|
    | `input_ids`, `labels` | a source and its target | two streams, in a batch of its own kind; else one row |
    | and `block_position_ids` | a row that is laid out | one row |
    | `input_ids` alone | a document | one row, blanked anew in each epoch |

    Args:
        two_streams (`DataCollatorForSeq2Seq`): collates batches of sources and targets.
        one_row ([`DataCollatorForBlankInfilling`]): collates all others.
    """

    def __init__(self, two_streams: DataCollatorForSeq2Seq, one_row: DataCollatorForBlankInfilling):
        self.two_streams, self.one_row = two_streams, one_row

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, torch.Tensor]:
        """Make a batch."""
        rows = [{column: value for column, value in row.items() if value is not None} for row in rows]
        pairs = [is_pair(row) for row in rows]
        if all(pairs):
            return self.two_streams(rows)
        tokenizer = self.one_row.tokenizer
        rows = [
            join_streams(row, tokenizer) if pair else _document(row) for row, pair in zip(rows, pairs, strict=True)
        ]
        return self.one_row(rows)


def is_pair(row: Mapping[str, Any]) -> bool:
    """Whether a row is a source and its target."""
    return "labels" in row and "block_position_ids" not in row


def _document(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {column: value for column, value in row.items() if column != "attention_mask"}


def join_streams(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """A source and its target in one row: what the model makes of the two streams."""
    source, labels = list(row["input_ids"]), list(row["labels"])
    masks = set(tokenizer.mask_token_ids)
    position = next(position for position, token in enumerate(source) if token in masks)
    return lay_out(
        source, [Blank(position, labels[:-1], labels)], sop=tokenizer.sop_token_id, eop=tokenizer.eop_token_id
    )


def mix(rows: Dataset, documents: Dataset, share: float, seed: int) -> Dataset:
    """
    The rows of a task, and so many documents that these make `share` of all; drawn with the seed, none twice before each once.

    Raises:
        `ValueError`: the share is not above 0 and below 1, or there is no document.
    """
    if not 0 < share < 1:
        raise ValueError(
            f"--pretrain_share {share} is no share of the rows. Give a number between 0 and 1, such as 0.2."
        )
    if not len(documents):
        raise ValueError("There is no pretraining text to mix in. Check --pretrain_data.")
    wanted = max(1, round(len(rows) * share / (1 - share)))
    rng, drawn = random.Random(seed), []
    while len(drawn) < wanted:
        drawn += rng.sample(range(len(documents)), min(len(documents), wanted - len(drawn)))
    documents = documents.select(drawn).cast_column("input_ids", rows.features["input_ids"])
    return concatenate_datasets([rows, documents])
