# SPDX-License-Identifier: Apache-2.0
"""Datasets that end with a whole batch: all processes have equally many rows, and every row comes once an epoch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from itertools import count
from typing import Any

import datasets
import torch
from torch.utils.data import Dataset, IterableDataset
from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..blanking.collator import DataCollatorForBlankInfilling


Row = Mapping[str, Any]


def empty_row(tokenizer: PreTrainedTokenizerBase) -> Row:
    """A blanked row in which nothing is predicted: the loss and the metrics do not see it."""
    return {"input_ids": [tokenizer.cls_token_id], "labels": [IGNORE], "position_ids": [0], "block_position_ids": [0]}


class WholeBatches(Dataset):
    """
    A dataset, and empty rows behind it until it can be cut into whole batches.

    Without them Accelerate fills the last batch of several processes with rows that they have seen.

    Args:
        rows (`datasets.Dataset`): the rows.
        batch (`int`): rows of a batch: those of all processes, and of all passes that are accumulated.
        empty (`Mapping`): the row to fill up with, an [`empty_row`].
    """

    def __init__(self, rows: datasets.Dataset, batch: int, empty: Row):
        self.rows, self.batch, self.empty = rows, batch, empty

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch) * self.batch

    def __getitem__(self, index: int) -> Row:
        if index >= len(self):  # ends a loop over the rows, as that of a sampler that asks for their lengths
            raise IndexError(index)
        return self.rows[index] if index < len(self.rows) else self.empty

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        real = [index for index in indices if index < len(self.rows)]
        read = iter(self.rows.__getitems__(real) if real else [])  # one call reads a batch several times faster
        return [next(read) if index < len(self.rows) else self.empty for index in indices]


class EndlessStream(IterableDataset):
    """
    Pass after pass over a stream, each in whole batches and in another order, in one epoch of the Trainer.

    So processes that share a stream (Accelerate gives each its part of every batch) never wait for one that has run out of rows,
    and a resumed run, which skips the rows that it has had, goes on in the pass it was in.

    Args:
        rows (`datasets.IterableDataset`): the stream; each pass reads it from its beginning.
        batch (`int`): rows of a batch: those of all processes, and of all passes that are accumulated.
        empty (`Mapping`): the row to fill the last batch of a pass with, an [`empty_row`].
        begin_pass (`Callable[[int], None]`): called with the number of each pass before its first row: a collator's `set_epoch`.
    """

    def __init__(self, rows: datasets.IterableDataset, batch: int, empty: Row, begin_pass: Callable[[int], None]):
        self.rows, self.batch, self.empty, self.begin_pass = rows, batch, empty, begin_pass

    def __iter__(self) -> Iterator[Row]:
        for number in count():
            self.begin_pass(number)
            self.rows.set_epoch(number)
            read = 0
            for row in self.rows:
                yield row
                read += 1
            if read == 0:
                raise ValueError("The stream has no rows. Check what it reads.")
            yield from [self.empty] * (-read % self.batch)


class PackToTrain:
    """
    Packs the rows to train on and only pads those to evaluate on, of which every process must have as many.

    Args:
        packing (`DataCollatorForBlankInfilling`): packs.
    """

    def __init__(self, packing: DataCollatorForBlankInfilling):
        self.packing, self.padding = packing, copy(packing)
        self.padding.packing = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch; where all rows are blanked for good, it is one to evaluate on."""
        blanked = all("block_position_ids" in row for row in rows)
        return (self.padding if blanked else self.packing)(rows)
