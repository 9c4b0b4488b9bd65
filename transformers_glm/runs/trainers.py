# SPDX-License-Identifier: Apache-2.0
"""The stock trainers, evaluating in the order of the rows."""

from collections.abc import Callable

from torch.utils.data import DataLoader
from transformers import Seq2SeqTrainer, Trainer


class _InRowOrder:
    """
    Predicts the rows in their order, so that each prediction stands beside its row.

    With `train_sampling_strategy="group_by_length"` the stock Trainer orders the rows to evaluate on by length too.
    """

    def get_eval_dataloader(self, eval_dataset=None) -> DataLoader:
        """As the Trainer's, in order."""
        return self._in_order(super().get_eval_dataloader, eval_dataset)

    def get_test_dataloader(self, test_dataset) -> DataLoader:
        """As the Trainer's, in order."""
        return self._in_order(super().get_test_dataloader, test_dataset)

    def _in_order(self, make: Callable[..., DataLoader], rows) -> DataLoader:
        asked, self.args.train_sampling_strategy = self.args.train_sampling_strategy, "sequential"
        try:
            return make(rows)
        finally:
            self.args.train_sampling_strategy = asked


class TrainerInRowOrder(_InRowOrder, Trainer):
    """The stock trainer, except that it predicts in the order of the rows, whatever order it trains in."""


class Seq2SeqTrainerInRowOrder(_InRowOrder, Seq2SeqTrainer):
    """The stock sequence-to-sequence trainer, except that it predicts in the order of the rows."""
