# SPDX-License-Identifier: Apache-2.0
"""Sources and targets as texts with the columns of a row in braces and `[MASK]` where the blank is."""

import re
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any, NamedTuple


BLANK = "[MASK]"  # the blank of every template; which mask token stands for it is another question
MASKS = ("[MASK]", "[sMASK]", "[gMASK]")


class Part(NamedTuple):
    """
    A stretch of a filled template: text of its own (`column` is None), what a column holds, or the blank.

    A column is missing where the row has null there, or a list that is too short.
    """

    text: str
    column: str | None = None
    is_blank: bool = False
    is_missing: bool = False


class Template:
    """
    A text with columns in braces, as `str.format` has them.

        "[MASK] Content: {document}"    "{translation[en]}"    "{passage} Question: [MASK] Answer: {answers[text][0]}"

    Columns that hold a list of texts are joined with spaces. Spaces at the ends of a column's text are left out.

    Args:
        text (`str`): the template, at most one `[MASK]` in it.
    """

    def __init__(self, text: str):
        self.text = text
        try:
            self._parsed = [(literal, field) for literal, field, _, _ in Formatter().parse(text)]
        except ValueError as error:
            raise ValueError(
                f"The template {text!r} cannot be read: {error}. Write a brace of the text twice."
            ) from error
        self.columns = [field for _, field in self._parsed if field is not None]
        if not self.columns or "" in self.columns:
            raise ValueError(
                f"The template {text!r} names no column. Put the names of columns in braces: {{document}}."
            )
        literals = "".join(literal for literal, _ in self._parsed)
        others = [mask for mask in MASKS if mask != BLANK and mask in literals]
        if others or literals.count(BLANK) > 1:
            raise ValueError(
                f"The template {text!r} has {literals.count(BLANK)} [MASK]{''.join(f', {mask}' for mask in others)}. It has one "
                "[MASK] at most; --mask says which token that is."
            )
        self.has_blank = BLANK in literals

    def fill(self, row: Mapping[str, Any], where: str) -> list[Part]:
        """The parts of the text of a row; `where` is how errors call the row."""
        return list(self._parts(row, where))

    def _parts(self, row: Mapping[str, Any], where: str) -> Iterator[Part]:
        for literal, column in self._parsed:
            before, blank, after = literal.partition(BLANK)
            if before:
                yield Part(before)
            if blank:
                yield Part(blank, is_blank=True)
            if after:
                yield Part(after)
            if column is not None:
                yield self._column(column, row, where)

    def _column(self, column: str, row: Mapping[str, Any], where: str) -> Part:
        value = column_of(row, column, where)
        if value is None:
            return Part("", column, is_missing=True)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = " ".join(value)
        if not isinstance(value, str | int | float):
            raise ValueError(
                f"{where}: the column {column!r} of the template {self.text!r} holds {type(value).__name__}, not text. Name "
                "what is inside: {answers[text][0]} or {translation[en]}."
            )
        return Part(str(value).strip(), column)

    def text_of(self, row: Mapping[str, Any], where: str) -> str:
        """The text of a row."""
        return "".join(part.text for part in self.fill(row, where))


def column_of(row: Mapping[str, Any], column: str, where: str) -> Any:
    """
    What a column, or a place within one (`translation[en]`, `candidates[-1]`), holds.

    Returns:
        `Any`: None where it is null, or where a list on the way is too short.

    Raises:
        `ValueError`: there is no such column, or nothing of that name in it.
    """
    value: Any = row
    for key in re.findall(r"[^\[\]]+", column):
        if isinstance(value, list) and re.fullmatch(r"-?\d+", key):
            place = int(key)
            value = value[place] if -len(value) <= place < len(value) else None
        elif isinstance(value, Mapping) and key in value:
            value = value[key]
        else:
            raise ValueError(f"{where} has no {column!r}; its columns are {', '.join(sorted(row))}.")
        if value is None:
            break
    return value
