# SPDX-License-Identifier: Apache-2.0
"""Patterns: texts with the fields of a row in braces, and rows made short enough for them."""

import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase


# full-width marks beside the ASCII ones, as Chinese texts end
PUNCTUATION = string.punctuation + "。？！；：，、…"


class _PatternFormatter(string.Formatter):
    """`str.format` with one conversion more: `{hypothesis!p}` is the field without its final punctuation."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion == "p":
            return value if isinstance(value, list | tuple | dict) else str(value).rstrip().rstrip(PUNCTUATION)
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, list | tuple) and format_spec:
            return format_spec.join(map(str, value))
        if isinstance(value, list | tuple | dict):
            raise TypeError(
                f"a field holds {value!r:.80}. Name one of its values, {{question[stem]}}, or what joins them, {{words:, }}"
            )
        return super().format_field(value, format_spec)

    def get_field(self, field_name: str, args: Sequence, kwargs: Mapping) -> tuple[Any, str]:
        value, first = super().get_field(field_name, args, kwargs)
        if value is None:
            raise KeyError(field_name)
        return value, first


_FORMATTER = _PatternFormatter()


def write(pattern: str, row: Mapping[str, Any]) -> str:
    """
    The pattern with the fields of a row in it.

        write('"{hypothesis!p}" ? [MASK], "{premise}"', row)      !p leaves out the final punctuation

    Raises:
        `ValueError`: the row lacks a field, or it is empty (`None`); the pattern cannot be read.
    """
    try:
        return _FORMATTER.vformat(pattern, (), row)
    except (KeyError, IndexError) as error:
        raise ValueError(f"The pattern {pattern!r} wants {error}; the row has {sorted(map(str, row))}.") from error
    except TypeError as error:
        raise ValueError(f"The pattern {pattern!r} cannot be written: {error}.") from error
    except ValueError as error:
        raise ValueError(f"The pattern {pattern!r} cannot be read: {error}. Write a brace as {{{{ or }}}}.") from error


def lookup(field: str, row: Mapping[str, Any]) -> Any:
    """
    What a field of a row holds, or a field in a field, `question[stem]`; None where there is none.

    Raises:
        `ValueError`: the name cannot be read.
    """
    try:
        return _FORMATTER.get_field(field, (), row)[0]
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    except ValueError as error:
        raise ValueError(f"The field {field!r} cannot be read: {error}. Write it as question[stem].") from error


def choices_of(field: str, row: Mapping[str, Any]) -> dict[Any, Any]:
    """
    The candidates of a row by their labels: of a list of texts their numbers, else the labels that stand beside them.

        ["iron", "wood"]      {"text": ["iron", "wood"], "label": ["A", "B"]}      [{"text": "iron", "label": "A"}, ...]

    Raises:
        `ValueError`: the field holds something else, or a label twice.
    """
    found = lookup(field, row)
    if isinstance(found, Mapping) and {"text", "label"} <= set(found) and len(found["text"]) == len(found["label"]):
        pairs = list(zip(found["label"], found["text"], strict=True))
    elif isinstance(found, Sequence) and not isinstance(found, str):
        labelled = all(isinstance(one, Mapping) and {"text", "label"} <= set(one) for one in found)
        pairs = [(one["label"], one["text"]) for one in found] if labelled else list(enumerate(found))
    else:
        raise ValueError(
            f"The field {field!r} must hold a list of candidates, or their text and label, it has {found!r:.120}."
        )
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"The field {field!r} has a label twice: {[label for label, _ in pairs]}.")
    return dict(pairs)


def fields_of(pattern: str) -> list[str]:
    """The fields that a pattern names, each once, in its order."""
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise ValueError(f"The pattern {pattern!r} cannot be read: {error}. Write a brace as {{{{ or }}}}.") from error
    return list(dict.fromkeys(name.split("[")[0].split(".")[0] for name in named))


class Shortener:
    """
    Cuts the fields of rows until their text has room, and counts what it cuts.

    The longest field loses its last token first, as in the original's training; the text of the pattern, with its blank, is
    never cut.

    Args:
        tokenizer ([`GLMTokenizer`]): counts the tokens.
        fields (`Sequence[str]`): the fields that may be cut.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, fields: Sequence[str]):
        self.tokenizer = tokenizer
        self.fields = list(fields)
        self.rows = 0
        self.tokens = Counter()
        self._known: dict[str, list[int]] = {}  # the last texts: neighbouring rows often share a passage

    def fit(self, row: Mapping[str, Any], length_of: Callable[[Mapping[str, Any]], int], room: int) -> dict[str, Any]:
        """
        The row, with fields cut so that `length_of(row) <= room`.

        Raises:
            `ValueError`: nothing is left to cut.
        """
        row, excess = dict(row), length_of(row) - room
        self.rows += excess > 0
        while excess > 0:
            self._cut(row, excess, room)
            excess = length_of(row) - room
        return row

    def _cut(self, row: dict[str, Any], excess: int, room: int) -> None:
        starts = {field: self._starts(row[field]) for field in self.fields if isinstance(row.get(field), str)}
        kept = {field: len(of_field) for field, of_field in starts.items()}
        for _ in range(excess):
            longest = max(kept, key=lambda field: (kept[field], self.fields.index(field)), default=None)
            if longest is None or kept[longest] == 0:
                raise ValueError(
                    f"The text and its longest candidate have {excess} tokens more than max_length={room}, and there is "
                    f"nothing left to cut in the fields {self.fields}. Raise max_length, or name in `shorten` which fields "
                    "may be cut."
                )
            kept[longest] -= 1
        for field, number in kept.items():
            if number < len(starts[field]):
                self.tokens[field] += len(starts[field]) - number
                # where the first token that goes begins: of a character in several tokens nothing stays
                row[field] = row[field][: starts[field][number]].rstrip()

    def _starts(self, text: str) -> list[int]:
        if text not in self._known:
            encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            self._known = {
                **dict(list(self._known.items())[-3:]),
                text: [start for start, _ in encoded["offset_mapping"]],
            }
        return self._known[text]

    def report(self, rows: int) -> str | None:
        """What was cut of so many rows since the last report, in words; None where nothing was."""
        cut = ", ".join(f"{number:,} tokens of {field!r}" for field, number in self.tokens.items())
        shortened, self.rows, self.tokens = self.rows, 0, Counter()
        return (
            f"{shortened:,} of {rows:,} rows were too long and lost {cut}. The blanks were kept."
            if shortened
            else None
        )
