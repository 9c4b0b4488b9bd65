# SPDX-License-Identifier: Apache-2.0
"""Rows of a task as token ids: a source with its blank and a target, each within its budget."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..data.shorten import Shortener
from ..data.templates import MASKS, Part, Template, template, value_of
from .arguments import TaskArguments


logger = logging.getLogger(__name__)

Row = Mapping[str, Any]


class SourceText:
    """
    The text of a row, which is cut until it has room: its fields lose tokens, the text of the template stays.

    Args:
        tokenizer ([`GLMTokenizer`]): counts the tokens.
        text (`str`): the template.
        max_length (`int`): the most tokens of the text, as `length_of` of [`fit`] counts them.
        keep (`str`, *optional*, defaults to `"left"`):
            What stays of a field: its `"left"` or its `"right"` end, or the part round the first place where the text of this
            expression (`answer`) or template (`{{ answer }}`) stands.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, text: str, max_length: int, keep: str = "left"):
        self.template = with_fields(text)
        is_end = keep in ("left", "right")
        self.max_length = max_length
        self._in_sight = None if is_end else template(keep if "{{" in keep else f"{{{{ {keep} }}}}")
        self._shortener = Shortener(tokenizer, keep=keep if is_end else "around")

    def fit(self, row: Row, length_of: Callable[[Sequence[Part]], int]) -> list[Part]:
        """
        The parts of the text of a row, of which `length_of` says how many tokens they have together.

        Raises:
            `ValueError`: the row lacks a field or has nothing in any of them; the template alone is too long.
        """
        parts = self.template.parts(row)
        names = _names(parts)
        fields = {name: part.text for name, part in zip(names, parts, strict=True) if name}
        if not any(fields.values()):
            raise ValueError(f"There is nothing in the fields of its source {self.template.text!r}.")

        def with_texts(texts):
            return [part._replace(text=texts.get(name, part.text)) for name, part in zip(names, parts, strict=True)]

        around = self._in_sight.write(row).strip() if self._in_sight else None
        return with_texts(
            self._shortener.fit(fields, lambda texts: length_of(with_texts(texts)), self.max_length, around)
        )

    def report(self, rows: int, where: str) -> None:
        """Log what was cut of this many rows, if anything was."""
        self._shortener.report(rows, where)


class Seq2SeqEncoder:
    """
    Turns rows into the two streams of a sequence-to-sequence model.

        source  "{{ passage }} Question: [MASK] Answer: {{ answer }}"       [CLS] passage Question : [MASK] Answer : answer eos
        target  " {{ question }}"                                           question eop

    A source without a mask token has [MASK] at its end. What fields hold is read as plain text, special tokens too; the spaces
    at its ends are left out.

    Args:
        args ([`TaskArguments`]): has both templates, `keep`, and `max_target_length`, the most tokens of a target with its eop.
        tokenizer ([`GLMTokenizer`]): the tokenizer.
        max_length (`int`): the most tokens of a source, all special ones included. Of a longer one the longest fields are cut.

    Raises:
        `ValueError`: a template names no field; the source has several blanks or one that the tokenizer lacks, the target has any.
    """

    def __init__(self, args: TaskArguments, tokenizer: PreTrainedTokenizerBase, max_length: int):
        self.tokenizer, self.max_target_length = tokenizer, args.max_target_length
        self.target = with_fields(args.target)
        source, blanks = args.source, with_fields(args.source).blanks
        if blanks > 1:
            raise ValueError(f"The source {source!r} has {blanks} blanks. It has one, where the target goes.")
        if self.target.blanks:
            raise ValueError(
                f"The target {args.target!r} has a blank. It belongs into the source, where the target goes."
            )
        source = source if blanks else f"{source}[MASK]"
        # the one without which there is no blank: a filter's argument may name another
        self.mask = next(mask for mask in MASKS if not template(source.replace(mask, "")).blanks)
        known = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
        if self.mask not in known:
            raise ValueError(
                f"The tokenizer has no mask token {self.mask!r}. It has {', '.join(known)}: write one into --source."
            )
        self.blank_is_last = source.rstrip().endswith(self.mask)
        self.source = SourceText(tokenizer, source, max_length, args.keep)
        self._cut_targets = self._cut_tokens = 0

    def encode(self, rows: Iterable[Row], where: str) -> list[dict[str, list[int]]]:
        """For each row `input_ids`, `attention_mask` and `labels`; logs what was cut, and names a row that lacks one of both texts."""
        self._cut_targets = self._cut_tokens = 0
        encoded = []
        for number, row in enumerate(rows, 1):
            with naming_row(where, number):
                input_ids, labels = self.source_ids(row), self.target_ids(row)
            encoded.append({"input_ids": input_ids, "attention_mask": [1] * len(input_ids), "labels": labels})
        self.source.report(len(encoded), where)
        if self._cut_targets:
            logger.warning(
                "%s: %d targets were cut to %d tokens (%d tokens and their ends lost).",
                *(where, self._cut_targets, self.max_target_length, self._cut_tokens),
            )
        return encoded

    def source_ids(self, row: Row) -> list[int]:
        """Ids of a source of `max_length` tokens at most; the blank stays."""
        ids: list[int] = []

        def length_of(parts):
            ids[:] = self._ids_of(parts)
            return len(ids)

        self.source.fit(stripped(row), length_of)
        return ids

    def target_ids(self, row: Row) -> list[int]:
        """Ids of a target and `eop`; one that is cut to `max_target_length` has no end."""
        parts = self.target.parts(stripped(row))
        if not any(part.text for part in parts if part.field is not None):
            raise ValueError(f"There is nothing in the fields of its target {self.target.text!r}.")
        ids = [*plain_ids("".join(part.text for part in parts), self.tokenizer), self.tokenizer.eop_token_id]
        if len(ids) > self.max_target_length:
            self._cut_targets += 1
            self._cut_tokens += len(ids) - self.max_target_length
        return ids[: self.max_target_length]

    def _ids_of(self, parts: Sequence[Part]) -> list[int]:
        texts = [part.text for part in parts]
        place = next(n for n, part in enumerate(parts) if part.field is None and self.mask in part.text)
        before, after = texts[place].split(self.mask)
        before, after = "".join([*texts[:place], before]), "".join([after, *texts[place + 1 :]])
        tokenizer = self.tokenizer
        return [
            tokenizer.cls_token_id,
            *plain_ids(before.rstrip(), tokenizer),  # mask tokens take the space to their left
            tokenizer.convert_tokens_to_ids(self.mask),
            *plain_ids(after, tokenizer),
            tokenizer.eos_token_id,
        ]


def plain_ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of a text in which special tokens are letters as others are."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


def references_of(row: Row, target: str, expression: str | None = None) -> list[str]:
    """
    The texts that are right for a row: the one that the template `target` writes, or the text or list of texts that an expression
    finds in the row, `answers.text`; a `ValueError` if that is anything else, or an empty text.
    """
    found = template(target).write(row) if expression is None else value_of(expression, row)
    accepted = found if isinstance(found, list) else [found]
    if not accepted or not all(isinstance(text, str) and text.strip() for text in accepted):
        raise ValueError(
            f"The references {found!r:.80} are neither a text nor a list of texts. Choose them with --references: "
            "answers.text, or answers | map(attribute='text') | list."
        )
    return [text.strip() for text in accepted]


def with_fields(text: str) -> Template:
    """A template, which has a field in it."""
    found = template(text)
    if not found.fields:
        raise ValueError(f"The template {text!r} names no field. Put the names in double braces: {{{{ document }}}}.")
    return found


def stripped(value: Any) -> Any:
    """A row, or what a field of it holds, without spaces at the ends of its texts."""
    if isinstance(value, Mapping):
        return {name: stripped(one) for name, one in value.items()}
    if isinstance(value, list):
        return [stripped(one) for one in value]
    return value.strip() if isinstance(value, str) else value


@contextmanager
def naming_row(where: str, number: int) -> Iterator[None]:
    """Errors about a row name the file and the row."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{where}, row {number}: {error} Mend the row, or leave such rows out with a function, --prepare."
        ) from error


def _names(parts: Sequence[Part]) -> list[str | None]:
    """A name for each part of a field: the field's, with a number where it occurs again."""
    fields = [part.field for part in parts]
    times = [fields[: place + 1].count(field) for place, field in enumerate(fields)]
    return [field and (field if time == 1 else f"{field} ({time})") for field, time in zip(fields, times, strict=True)]
