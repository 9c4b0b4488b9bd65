# SPDX-License-Identifier: Apache-2.0
"""A ClozeTask read by a classification head on [CLS], the baseline of the paper's ablation."""

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..data.shorten import Shortener
from ..data.templates import template
from .labels import known_labels
from .questions import Row, label_key
from .rows import ROW_NUMBER, naming_row, room_of
from .scoring import EncodedRows, Run
from .task import ClozeTask


class ClassifierEncoder:
    """
    Turns rows of a task into `[CLS] text <eos>` or `[CLS] text [SEP] text <eos>`, and a label.

    Where each row has candidates of its own, each candidate is a text of its own, right (1) or wrong (0).

    Args:
        task (`ClozeTask`): the task.
        tokenizer ([`GLMTokenizer`]): the tokenizer.
        max_length (`int`): tokens of a row; longer ones are shortened.
    """

    def __init__(self, task: ClozeTask, tokenizer: PreTrainedTokenizerBase, max_length: int):
        if not task.fields and task.texts is None:
            raise ValueError("The pattern is a function: say in `texts` what the classifier reads.")
        self.task = task
        self.tokenizer = tokenizer
        self.max_length = room_of(task, max_length)
        self.labels = known_labels(task)
        self.texts = texts_of_classifier(task)
        if len(self.texts) > 2:
            raise ValueError(f"A classifier reads one or two texts, not {len(self.texts)}: {self.texts}.")
        self.shortener = Shortener(tokenizer, task.fields if task.shorten is None else task.shorten)

    def dataset(self, rows: Sequence[Row]) -> Dataset:
        """The encoded rows: `input_ids` and `labels`. What was cut is logged."""
        encoded = []
        for number, row in enumerate(rows):
            with naming_row(row.get(ROW_NUMBER, number)):
                encoded += self(row)
        self.shortener.report(len(encoded), self.task.name)
        return Dataset.from_list(encoded)

    training_dataset = dataset

    def __call__(self, row: Row) -> list[dict[str, Any]]:
        """A row's texts, one or as many as it has candidates."""
        if self.labels:
            label = row.get(self.task.label_field)
            return [self._encode(row, IGNORE if label is None else self.labels.index(label_key(label)))]
        self.task.answers(row)  # refuses candidates that are empty or the same
        right = self.task.right_answer(row)
        candidates = [texts[0] for texts in self.task.texts_of(row).values()]
        return [
            self._encode({**row, "candidate": text}, IGNORE if right is None else int(number == right))
            for number, text in enumerate(candidates)
        ]

    def _encode(self, row: Row, label: int) -> dict[str, Any]:
        tokens = self._tokens(row)
        if len(tokens) > self.max_length:
            row = self.shortener.fit(row, lambda row: len(self._tokens(row)), self.max_length)
            tokens = self._tokens(row)
        return {"input_ids": tokens, "labels": label}

    def _tokens(self, row: Row) -> list[int]:
        return self.tokenizer(*(template(text).write(row) for text in self.texts), verbose=False)["input_ids"]


class ClassifierScorer:
    """Scores labels by the head, and decides for the likeliest; what `CandidateScorer` is to candidates in a blank."""

    loss = None  # the model's own

    def __init__(self, task: ClozeTask, tokenizer: PreTrainedTokenizerBase, max_length: int):
        self.task = task
        self.encoder = ClassifierEncoder(task, tokenizer, max_length)
        self.collator = DataCollatorWithPadding(tokenizer)

    def encode(self, rows: Sequence[Row]) -> EncodedRows:
        """The rows as tokens, so that what is wrong with one is found, and named, before anything is computed."""
        return EncodedRows(self.encoder.dataset(rows))

    def named(self, rows: Sequence[Row], logits: torch.Tensor) -> list[dict[Any, float]]:
        """Of logits (encoded rows, labels) each row's scores: log-probabilities, or a candidate's log-odds of being right."""
        if labels := self.encoder.labels:
            values = torch.as_tensor(logits).float().log_softmax(-1).tolist()
            return [dict(zip(labels, of_row, strict=True)) for of_row in values]
        odds = iter((logits[:, 1] - logits[:, 0]).tolist())
        return [{label: next(odds) for label in self.task.texts_of(row)} for row in rows]

    def scores(self, rows: Sequence[Row], encoded: EncodedRows, run: Run) -> list[dict[Any, float]]:
        """The score of each label or candidate of each row."""
        return self.named(rows, run(encoded.questions))

    def predictions(self, rows: Sequence[Row], scores: Sequence[dict[Any, float]], *_) -> list[str]:
        """The label of each row."""
        return [str(max(of_row, key=of_row.get)) for of_row in scores]


def texts_of_classifier(task: ClozeTask) -> list[str]:
    """The templates that a classifier reads: the task's own `texts`, or the first field of its pattern and the others."""
    if task.texts:
        return list(task.texts)
    first, *others = [f"{{{{ {name} }}}}" for name in task.fields]
    own = ["{{ candidate }}"] if task.labels is None and task.decision == "best" else []
    return [first, " ".join(others + own)] if others + own else [first]
