# SPDX-License-Identifier: Apache-2.0
"""Rows of a ClozeTask as tokens: the question with its blanks, and the tokens of each candidate."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..data.shorten import Shortener
from ..data.templates import template
from .questions import Cloze, Row


logger = logging.getLogger(__name__)

CHUNK = 1000  # rows that are tokenized together
ROW_NUMBER = "row_number"  # of a prepared row: which row of the file it comes from
Spans = list[list[int]]  # the tokens of a candidate, of each blank


@contextmanager
def naming_row(number: int) -> Iterator[None]:
    """Errors inside say which row they are about, counted from 0."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Row {number}: {error}") from error


def room_of(task: Cloze, max_length: int) -> int:
    """How many tokens a row may have: as many as the task says, and as the model has positions."""
    if task.max_length is not None and task.max_length > max_length:
        logger.warning(
            "%s: max_length is %d, the length of the model, instead of %d.", task.name, max_length, task.max_length
        )
    return min(task.max_length or max_length, max_length)


class ClozeEncoder:
    """
    Turns rows of a task into tokens, for [`DataCollatorForCloze`].

    Args:
        task (`ClozeTask`): the task.
        tokenizer ([`GLMTokenizer`]): the tokenizer.
        max_length (`int`):
            The model's length. Part A with the pieces of the longest candidate has this, or the task's `max_length` if that
            is less; longer rows are shortened.

    Raises:
        `ValueError`: the verbalizer's answers are empty, unknown or special tokens, equal, or too many tokens; names them.
    """

    def __init__(self, task: Cloze, tokenizer: PreTrainedTokenizerBase, max_length: int):
        self.task = task
        self.tokenizer = tokenizer
        self.max_length = room_of(task, max_length)
        self.shortener = Shortener(tokenizer, task.fields if task.shorten is None else task.shorten)
        self.unknown = 0  # how many rows have candidates that the vocabulary cannot write
        self._fixed = None
        if task.labels is not None and template(task.answer).fields == ["candidate"]:
            self._fixed = self._fixed_tokens(task.answers({}))

    def dataset(self, rows: Sequence[Row]) -> Dataset:
        """
        All rows: `input_ids`, `choice_ids`, `labels`, and `document_ids` where each candidate has its own question.

        What was cut is logged.
        """
        encoded = []
        for start in range(0, len(rows), CHUNK):
            encoded += self._encode(rows[start : start + CHUNK], start)
        self.shortener.report(len(rows), self.task.name)
        if self.unknown:
            logger.warning("%s: %d rows have candidates with unknown tokens.", self.task.name, self.unknown)
        return Dataset.from_list(encoded)

    def training_dataset(self, rows: Sequence[Row]) -> Dataset:
        """`dataset`, without the wrong candidates where the loss is of the right ones alone: 77 intents cost as much as one to train."""
        dataset = self.dataset(rows)
        if self.task.loss != "generative":
            return dataset
        return dataset.map(_right_alone, remove_columns=dataset.column_names)

    def __call__(self, row: Row) -> dict[str, Any]:
        """One row: Part A, the tokens of each candidate (C, blanks, L) as nested lists, and which candidate is right."""
        return self._encode([row], 0)[0]

    def _encode(self, rows: Sequence[Row], start: int) -> list[dict[str, Any]]:
        """Rows that are tokenized together, which is several times as fast."""
        texts = []
        for number, row in enumerate(rows, start=start):
            with naming_row(row.get(ROW_NUMBER, number)):
                texts.append(self._texts(row))
        tokens = iter(self.tokenizer([text for of_row in texts for text in of_row], verbose=False)["input_ids"])
        encoded = []
        for number, (row, of_row) in enumerate(zip(rows, texts, strict=True), start=start):
            with naming_row(row.get(ROW_NUMBER, number)):
                encoded.append(self._encode_row(row, [next(tokens) for _ in of_row]))
        return encoded

    def _encode_row(self, row: Row, questions: list[list[int]]) -> dict[str, Any]:
        choices = self._fixed or self._of_row(row)
        right = self.task.right_answer(row)
        longest = max(map(self._length, choices.values()))
        if longest + max(map(len, questions)) > self.max_length:
            row = self.shortener.fit(row, lambda row: longest + max(map(len, self._questions(row))), self.max_length)
            questions = self._questions(row)
        self._check_blanks(questions, choices)
        encoded = {"input_ids": [token for question in questions for token in question]}
        if self.task.asks_each_candidate:
            encoded["document_ids"] = [n for n, question in enumerate(questions, start=1) for _ in question]
        return {**encoded, "choice_ids": list(choices.values()), "labels": IGNORE if right is None else right}

    def _length(self, spans: Spans) -> int:
        return sum(len(span) + 1 for span in spans) - (not self.task.scoring.with_eop)

    def _texts(self, row: Row) -> list[str]:
        if not self.task.asks_each_candidate:
            return [self.task.question(row)]
        return [self.task.question(row, candidate) for (candidate,) in self.task.texts_of(row).values()]

    def _questions(self, row: Row) -> list[list[int]]:
        return self.tokenizer(self._texts(row), verbose=False)["input_ids"]

    def _check_blanks(self, questions: list[list[int]], choices: Mapping[Any, Spans]) -> None:
        masks = set(self.tokenizer.mask_token_ids)
        blanks = {sum(token in masks for token in question) for question in questions}
        for label, spans in choices.items():
            if blanks != {len(spans)}:
                raise ValueError(
                    f"The question has {' or '.join(map(str, sorted(blanks)))} blanks ([MASK]) and candidate {label!r} has "
                    f"{len(spans)} answers. Give one for each blank, and see that no field of the row holds a [MASK]."
                )

    def _tokens_of(self, answers: Mapping[Any, Sequence[str]]) -> dict[Any, Spans]:
        found = {
            label: self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
            for label, texts in answers.items()
        }
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        for label, spans in found.items():
            for text, span in zip(answers[label], spans, strict=True):
                tokens = self.tokenizer.convert_ids_to_tokens(span)
                wrong = [
                    f"holds the special token {token}"
                    for token, one in zip(tokens, span, strict=True)
                    if one in special
                ]
                if not span:
                    wrong = ["has no tokens in this vocabulary"]
                if not wrong and self.task.single_token and len(span) > 1:
                    wrong = [
                        f"is {len(span)} tokens, {tokens}, and the task wants a single one. Choose another word, or leave out "
                        "single_token"
                    ]
                if wrong:
                    raise ValueError(f"The answer {text!r} of label {label!r} {wrong[0]}.")
        return found

    def _fixed_tokens(self, answers: Mapping[Any, Sequence[str]]) -> dict[Any, Spans]:
        found, seen = self._tokens_of(answers), {}
        for label, spans in found.items():
            if any(self.tokenizer.unk_token_id in span for span in spans):
                raise ValueError(
                    f"The answer {answers[label]} of label {label!r} has unknown tokens in this vocabulary. Choose another."
                )
            if (first := seen.setdefault(str(spans), label)) != label:
                raise ValueError(
                    f"The answers of labels {first!r} and {label!r}, {answers[first]} and {answers[label]}, are the same "
                    "tokens in this vocabulary. Choose others."
                )
        return found

    def _of_row(self, row: Row) -> dict[Any, Spans]:
        choices = self._tokens_of(self.task.answers(row))
        self.unknown += any(self.tokenizer.unk_token_id in span for spans in choices.values() for span in spans)
        return choices


def questions_of(row: Mapping[str, Any]) -> list[tuple[list[int], list[Spans]]]:
    """Part A of each question of an encoded row, with its candidates: one with all of them, or one for each."""
    tokens, choices, documents = row["input_ids"], row["choice_ids"], row.get("document_ids")
    if documents is None:
        return [(tokens, choices)]
    return [
        ([token for token, document in zip(tokens, documents, strict=True) if document == number], [choice])
        for number, choice in enumerate(choices, start=1)
    ]


def _right_alone(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its right candidate only, and the question of that one."""
    right, questions = row["labels"], questions_of(row)
    part_a, _ = questions[right] if "document_ids" in row else questions[0]
    return {"input_ids": part_a, "choice_ids": [row["choice_ids"][right]], "labels": 0}


def without_the_row(task: Cloze, rows: Sequence[Row]) -> list[tuple[Cloze, list[Row]]]:
    """
    The questions that calibrated scores are compared with: tasks, each with a row for each of `rows`.

    Raises:
        `ValueError`: the task has a pattern whose fields are not known.
    """
    scoring = task.scoring
    plain = replace(task, scoring=replace(scoring, calibration=None, weights=None))
    if scoring.calibration == "pmi":
        return [(replace(plain, pattern=scoring.domain, shorten=None), list(rows))]
    if callable(task.pattern):
        raise ValueError('calibration="contextual" needs a pattern with fields; this one is a function.')
    emptied = [[{**row, **dict.fromkeys(task.fields, text)} for row in rows] for text in scoring.content_free]
    return [(plain, of_text) for of_text in emptied]
