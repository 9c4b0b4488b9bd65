# SPDX-License-Identifier: Apache-2.0
"""ClozeTask: classification as a blank to fill, pattern and verbalizer as data (paper, section 2.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from modeling_glm import GLMForMultipleChoice


Row = Mapping[str, Any]


@dataclass(frozen=True)
class ClozeTask:
    """
    A question with a blank, c(x), and what each label writes into it, v(y).

        task = ClozeTask("{premise} [MASK], {hypothesis}", {"entailment": "Yes", "contradiction": "No", "neutral": "Maybe"})
        task.predict(model, tokenizer, [{"premise": "It rains.", "hypothesis": "it is wet."}])

    Args:
        pattern (`str` or `Callable[[Mapping], str]`): text with fields of the row in braces and a `[MASK]`, or a function.
        verbalizer (`Mapping[label, str]` or `Callable[[Mapping], list[str]]`):
            The answer of each label, or a function that gives the candidates of a row; their labels are then 0, 1, 2, ...
            Answers are written as given: with byte-level vocabularies they begin with a space where a word begins.
    """

    pattern: str | Callable[[Row], str]
    verbalizer: Mapping[Any, str] | Callable[[Row], Sequence[str]]

    def question(self, row: Row) -> str:
        """The text of a row, with its blank."""
        if callable(self.pattern):
            return self.pattern(row)
        try:
            return self.pattern.format(**row)
        except KeyError as error:
            raise ValueError(f"The pattern {self.pattern!r} wants {error}; the row has {sorted(row)}.") from error

    def candidates(self, row: Row) -> dict[Any, str]:
        """The answer of each label of a row."""
        answers = self.verbalizer(row) if callable(self.verbalizer) else self.verbalizer
        answers = dict(answers) if isinstance(answers, Mapping) else dict(enumerate(answers))
        empty = [label for label, answer in answers.items() if not answer.strip()]
        if empty or not answers:
            raise ValueError(f"The candidates {answers} of row {dict(row)} are empty: give each label an answer.")
        return answers

    @torch.no_grad()
    def scores(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        *,
        length_normalization: bool = False,
        batch_size: int = 16,
    ) -> list[dict[Any, float]]:
        """
        Log-probability of each candidate in each row's blank.

        Args:
            model ([`GLMForConditionalGeneration`] or [`GLMForMultipleChoice`]): the model.
            tokenizer ([`GLMTokenizer`]): its tokenizer.
            rows (`Sequence[Mapping]`): rows of a dataset.
            length_normalization (`bool`, *optional*, defaults to `False`): whether to divide by the candidate's tokens.
            batch_size (`int`, *optional*, defaults to 16): rows that are scored together.

        Returns:
            `list[dict[label, float]]`: sums (or means) of natural logarithms, without eop.

        Raises:
            `ValueError`: a row lacks a field of the pattern, its question has no `[MASK]`, or a candidate is empty.
        """
        scorer = _scorer(model)
        scored = []
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            answers = [self.candidates(row) for row in batch]
            inputs = tokenizer([self.question(row) for row in batch], padding=True, return_tensors="pt")
            inputs = tokenizer.build_inputs_for_multiple_choice(inputs, [list(of_row.values()) for of_row in answers])
            logits = scorer(**inputs.to(model.device), length_normalization=length_normalization).logits.tolist()
            scored += [dict(zip(of_row, values, strict=False)) for of_row, values in zip(answers, logits, strict=True)]
        return scored

    def predict(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], **kwargs
    ) -> list:
        """The likeliest label of each row; `kwargs` are those of `scores`."""
        return [max(of_row, key=of_row.get) for of_row in self.scores(model, tokenizer, rows, **kwargs)]


def _scorer(model: PreTrainedModel) -> GLMForMultipleChoice:
    """The scoring head round the weights of a model with another head."""
    if isinstance(model, GLMForMultipleChoice):
        return model
    with torch.device("meta"):
        scorer = GLMForMultipleChoice(model.config)
    scorer.glm, scorer.lm_head = model.glm, model.lm_head
    return scorer.train(model.training)
