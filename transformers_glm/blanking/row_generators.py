# SPDX-License-Identifier: Apache-2.0
"""One random generator for each row of a batch, the same for any number of workers and after a resume."""

import random
from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

from accelerate.state import GradientState
from torch.utils.data import get_worker_info


class RowGenerators:
    """
    Generators that depend on `(seed, epoch, the row's tokens, k)` only, never on the batch, the worker or the rank.

    `k` counts earlier occurrences of the same row in its batch, so that equal rows of a batch do not get equal blanks. What
    the epoch is depends on where the collator runs, with workers or without:

    | where | epoch |
    |---|---|
    | after `set_epoch(epoch)` | that |
    | a loop of the Trainer or of Accelerate | the dataloader's |
    | a plain `DataLoader`, a call of your own | 0 |

    Ranks draw different blanks because their rows differ. Within an epoch a row that a dataset holds more than once, in
    different batches, gets the same blanks each time.

    Args:
        seed (`int`): all generators depend on it.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.epoch: int | None = None

    def __getstate__(self) -> dict:
        # a worker that is spawned, not forked, does not see the dataloader: the epoch is pickled for it
        return {"seed": self.seed, "epoch": self._current_epoch()}

    def of_row(self, row: bytes) -> random.Random:
        """The generator of a row that is blanked once and for all, as evaluation data is."""
        return self._generator(0, _digest(row), 0)

    def of_batch(self, rows: Iterable[bytes]) -> list[random.Random]:
        """The generator of each row of a batch; a row is given as the bytes of its tokens."""
        digests, seen, generators = [_digest(row) for row in rows], defaultdict(int), []
        if not digests:
            return []
        epoch = self._current_epoch() or 0
        for digest in digests:
            generators.append(self._generator(epoch, digest, seen[digest]))
            seen[digest] += 1
        return generators

    def _generator(self, epoch: int, digest: bytes, occurrence: int) -> random.Random:
        return random.Random(int.from_bytes(_digest(b"%d %d %d " % (self.seed, epoch, occurrence) + digest), "little"))

    def _current_epoch(self) -> int | None:
        dataloader = GradientState().active_dataloader  # forked workers inherit it
        if self.epoch is not None or dataloader is None:
            return self.epoch
        if get_worker_info() is not None and dataloader.persistent_workers:
            raise ValueError(
                "Persistent workers do not learn that an epoch ends, so every epoch would have the blanks of the first. "
                "Leave dataloader_persistent_workers (persistent_workers) at False."
            )
        return dataloader.iteration


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
