# SPDX-License-Identifier: Apache-2.0
"""Rows made short enough: the fields lose tokens, the text of the template and its blank never do."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from transformers import PreTrainedTokenizerBase


logger = logging.getLogger(__name__)


class Shortener:
    """
    Cuts the fields of rows until their text has room, and counts what it cuts.

    The longest field loses a token first, as in the original's training; no character is cut in two.

    Args:
        tokenizer ([`GLMTokenizer`]): counts the tokens.
        fields (`Sequence[str]`, *optional*): the fields that may be cut; all that hold text by default.
        keep (`str`, *optional*, defaults to `"left"`):
            What stays of a field: its `"left"` end, its `"right"` end, or what stands `"around"` a text that `fit` is given.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, fields: Sequence[str] | None = None, keep: str = "left"):
        if keep not in ("left", "right", "around"):
            raise ValueError(f"keep={keep!r} is not known: left, right or around.")
        self.tokenizer, self.fields, self.keep = tokenizer, fields, keep
        self.rows, self.tokens = 0, Counter()
        self._known: dict[str, list[tuple[int, int]]] = {}  # the last texts: neighbouring rows often share a passage

    def fit(self, row: Mapping, length_of: Callable[[Mapping], int], room: int, around: str | None = None) -> dict:
        """
        The row, with fields cut so that `length_of(row) <= room`.

        Args:
            row (`Mapping`): fields, of which those that hold texts can be cut.
            length_of (`Callable[[Mapping], int]`): how many tokens the text of a row has.
            room (`int`): the most that it may have.
            around (`str`, *optional*): the text that stays in sight in a field where it stands, with `keep="around"`.

        Raises:
            `ValueError`: nothing is left to cut.
        """
        row, excess = dict(row), length_of(row) - room
        self.rows += excess > 0
        while excess > 0:
            self._cut(row, excess, room, around)
            excess = length_of(row) - room
        return row

    def _cut(self, row: dict, excess: int, room: int, around: str | None) -> None:
        fields = [name for name in (row if self.fields is None else self.fields) if isinstance(row.get(name), str)]
        offsets = {name: self._offsets(row[name]) for name in fields}
        kept = {name: len(of_field) for name, of_field in offsets.items()}
        for _ in range(excess):
            longest = max(kept, key=lambda name: (kept[name], fields.index(name)), default=None)
            if longest is None or kept[longest] == 0:
                raise ValueError(
                    f"The text has {excess} tokens more than the {room} that it may have, and there is nothing left to cut in "
                    f"the fields {', '.join(map(str, fields)) or '(none)'}. Allow more tokens, shorten the template, or let more "
                    "fields be cut."
                )
            kept[longest] -= 1
        for name, number in kept.items():
            if number < len(offsets[name]):
                start, end = self._bounds(row[name], offsets[name], number, around)
                self.tokens[name] += sum(token[0] < start or token[1] > end for token in offsets[name])
                part = row[name][start:end]
                row[name] = part if start else part.rstrip()  # a word keeps the space before it

    def _bounds(
        self, text: str, offsets: Sequence[tuple[int, int]], number: int, around: str | None
    ) -> tuple[int, int]:
        """Where the part that stays begins and ends, `number` tokens at most; of a character all of its tokens stay or none."""
        last = first = len(offsets) - number
        if self.keep == "left":
            first = 0
        elif self.keep == "around":
            found = text.find(around) if around else -1
            before, behind = (sum(end <= place for _, end in offsets) for place in (found, found + len(around or "")))
            first = max(0, min(before - max(0, number - (behind - before)) // 2, last))
        start = offsets[first - 1][1] if first else 0
        end = offsets[first + number][0] if first + number < len(offsets) else len(text)
        return start, max(start, end)

    def _offsets(self, text: str) -> list[tuple[int, int]]:
        if text not in self._known:
            encoded = self.tokenizer(
                text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
            )
            self._known = {**dict(list(self._known.items())[-3:]), text: encoded["offset_mapping"]}
        return self._known[text]

    def report(self, rows: int, where: str) -> None:
        """Log what was cut of this many rows since the last report, if anything was."""
        cut = ", ".join(f"{number:,} tokens of {str(name)!r}" for name, number in self.tokens.items())
        if self.rows:
            logger.warning(
                "%s: %d of %d rows were too long and lost %s. Their blanks stay.", where, self.rows, rows, cut
            )
        self.rows, self.tokens = 0, Counter()
