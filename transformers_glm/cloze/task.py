# SPDX-License-Identifier: Apache-2.0
"""ClozeTask: classification as a blank to fill, pattern and verbalizer as data (paper, section 2.3)."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .questions import Cloze, Row
from .scoring import score


class ClozeTask(Cloze):
    """
    A question with blanks, c(x), and what each label writes into them, v(y); a model answers it by its scores.

        task = ClozeTask("{{ premise }} [MASK], {{ hypothesis }}", {"entailment": " Yes", "contradiction": " No"})
        task.predict(model, tokenizer, [{"premise": "It rains.", "hypothesis": "it is wet."}])

    `transformers_glm.cloze.tasks.load_task("cb")` gives those of the paper; docs/tasks.md says how to add one. [`Cloze`] says
    what can be set.
    """

    def scores(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        *,
        batch_size: int = 16,
    ) -> list[dict[Any, float]]:
        """
        The score of each candidate of each row.

        Args:
            model ([`GLMForConditionalGeneration`] or [`GLMForMultipleChoice`]): the model.
            tokenizer ([`GLMTokenizer`]): its tokenizer.
            rows (`Sequence[Mapping]`): rows of a dataset.
            batch_size (`int`, *optional*, defaults to 16): rows that are scored together.

        Raises:
            `ValueError`: names the row and what is wrong with it.
        """
        return score(self, model, tokenizer, rows, batch_size)

    def predict(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], **kwargs
    ) -> list:
        """The likeliest label of each row; `kwargs` are those of `scores`."""
        return [max(of_row, key=of_row.get) for of_row in self.scores(model, tokenizer, rows, **kwargs)]
