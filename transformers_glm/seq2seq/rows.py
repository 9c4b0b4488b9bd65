# SPDX-License-Identifier: Apache-2.0
"""Rows of a task as token ids: a source with its blank and a target, each within its budget."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..data.task_rows import Row
from ..data.templates import Part, Template, column_of


logger = logging.getLogger(__name__)


@dataclass
class CutCounts:
    """How many sources and targets were too long, and how many tokens they lost."""

    sources: int = 0
    source_tokens: int = 0
    targets: int = 0
    target_tokens: int = 0
    dropped: int = 0

    def log(self, where: str, encoder: "Seq2SeqEncoder") -> None:
        """Say what was lost, if anything."""
        if self.dropped:
            logger.warning("%s: %d rows with an empty source or target were dropped.", where, self.dropped)
        if self.sources:
            logger.warning(
                "%s: %d sources were cut to %d tokens (%d tokens lost); their blanks stay.",
                *(where, self.sources, encoder.max_source_length, self.source_tokens),
            )
        if self.targets:
            logger.warning(
                "%s: %d targets were cut to %d tokens (%d tokens and their ends lost).",
                *(where, self.targets, encoder.max_target_length, self.target_tokens),
            )


@dataclass
class Seq2SeqEncoder:
    """
    Turns rows into the two streams of a sequence-to-sequence model.

        source  "{passage} Question: [MASK] Answer: {answer}"       [CLS] passage Question : [MASK] Answer : answer eos
        target  " {question}"                                       question eop

    A source without a `[MASK]` of its own has it at its end. What columns hold is read as plain text, special tokens too.

    Args:
        tokenizer ([`GLMTokenizer`]): the tokenizer.
        source, target ([`Template`]): the templates.
        mask (`str`, *optional*): the mask token that stands in the blank. None: no blank, for models of other kinds.
        max_source_length (`int`, *optional*, defaults to 512):
            The most tokens of a source, all special ones included. Of a longer one the longest columns are shortened.
        max_target_length (`int`, *optional*, defaults to 128): the most tokens of a target, `eop` included.
        keep (`str`, *optional*, defaults to `"left"`):
            What stays of a shortened column: its `"left"` or its `"right"` end, or the part round the first occurrence of
            what another column holds, by that one's name.
        long_targets (`str`, *optional*, defaults to `"cut"`): whether a too long target is `"cut"` or an `"error"`.
        empty (`str`, *optional*, defaults to `"error"`): whether a row without source or target is an `"error"` or `"drop"`ped.
    """

    tokenizer: PreTrainedTokenizerBase
    source: Template
    target: Template
    mask: str | None
    max_source_length: int = 512
    max_target_length: int = 128
    keep: str = "left"
    long_targets: str = "cut"
    empty: str = "error"
    cut: CutCounts = field(default_factory=CutCounts)

    def __post_init__(self):
        if self.target.has_blank:
            raise ValueError(
                f"The target {self.target.text!r} has a [MASK]. It belongs into the source, where the target goes."
            )
        known = self.tokenizer.convert_ids_to_tokens(self.tokenizer.mask_token_ids)
        if self.mask is not None and self.mask not in known:
            raise ValueError(f"The tokenizer has no mask token {self.mask!r}. It has {known}: choose one with --mask.")

    def encode_all(self, rows: Iterable[Row], where: str) -> tuple[list[Row], list[dict[str, list[int]]]]:
        """The rows that are kept and, for each, `input_ids`, `attention_mask` and `labels`; logs what was cut."""
        self.cut = CutCounts()
        kept, encoded = [], []
        for number, row in enumerate(rows, 1):
            name = f"{where}, row {number}"
            parts, target = self.source.fill(row, name), self.target.fill(row, name)
            empty = _emptiness(parts, target)
            if empty and self.empty == "error":
                raise ValueError(
                    f"{name} has {empty}: {row!r:.200}. Fill it, or leave such rows out with --empty_rows drop."
                )
            if empty:
                self.cut.dropped += 1
                continue
            input_ids = self.encode_source(parts, row, name)
            labels = self.encode_target("".join(part.text for part in target), name)
            kept.append(row)
            encoded.append({"input_ids": input_ids, "attention_mask": [1] * len(input_ids), "labels": labels})
        if not encoded:
            raise ValueError(f"{where}: every row has an empty source or target. Check --source and --target.")
        self.cut.log(where, self)
        return kept, encoded

    def encode_source(self, parts: Sequence[Part], row: Row, where: str) -> list[int]:
        """Ids of a source, shortened to `max_source_length`; the blank stays."""
        stretches = self._stretches(parts)
        over = sum(len(stretch.ids) for stretch in stretches) - self.max_source_length
        if over > 0:
            self.cut.sources += 1
            self.cut.source_tokens += over
            self._shorten(stretches, over, row, where)
        return [token for stretch in stretches for token in stretch.ids]

    def encode_target(self, text: str, where: str) -> list[int]:
        """Ids of a target and `eop`; one that is cut has no end."""
        ids = [*self._plain(text)["input_ids"], self.tokenizer.eop_token_id]
        over = len(ids) - self.max_target_length
        if over <= 0:
            return ids
        if self.long_targets == "error":
            raise ValueError(
                f"{where}: the target has {len(ids)} tokens, more than max_target_length {self.max_target_length}: "
                f"{text[:60]!r}... Raise --max_target_length, or cut long ones with --long_targets cut."
            )
        self.cut.targets += 1
        self.cut.target_tokens += over
        return ids[: self.max_target_length]

    def _stretches(self, parts: Sequence[Part]) -> list["_Stretch"]:
        """The source as stretches of tokens, each of one column or of none; encoded as one text between blanks."""
        tokenizer = self.tokenizer
        blank = [] if self.mask is None else [_Stretch([tokenizer.convert_tokens_to_ids(self.mask)])]
        stretches, text = [_Stretch([tokenizer.cls_token_id])], []
        for part in parts:
            if part.is_blank:
                stretches += [*self._encode(text, before_blank=True), *blank]
                text = []
            else:
                text.append(part)
        stretches += self._encode(text, before_blank=False)
        if not self.source.has_blank:
            stretches += blank
        return [*stretches, _Stretch([tokenizer.eos_token_id])]

    def _encode(self, parts: Sequence[Part], before_blank: bool) -> list["_Stretch"]:
        text = "".join(part.text for part in parts)
        if before_blank:
            text = text.rstrip()  # mask tokens take the space to their left
        encoded = self._plain(text, return_offsets_mapping=True)
        stretches, end, place = [], 0, 0
        offsets, ids = encoded["offset_mapping"], encoded["input_ids"]
        for part in parts:
            end += len(part.text)
            first = place
            # a token belongs to the part where it ends: a column takes the space before it along
            while place < len(ids) and offsets[place][1] <= end:
                place += 1
            stretches.append(
                _Stretch(ids[first:place], part.column, part.text, offsets[first:place], end - len(part.text))
            )
        if place < len(ids):
            stretches[-1].ids += ids[place:]
        return stretches

    def _plain(self, text: str, **kwargs) -> Any:
        return self.tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            verbose=False,
            **kwargs,
        )

    def _shorten(self, stretches: list["_Stretch"], over: int, row: Row, where: str) -> None:
        columns = [stretch for stretch in stretches if stretch.column is not None]
        room = [len(stretch.ids) for stretch in columns]
        if sum(room) <= over:
            raise ValueError(
                f"{where}: the source has {over} tokens more than max_source_length {self.max_source_length}, its columns only "
                f"{sum(room)}. Raise --max_source_length, or shorten the template {self.source.text!r}."
            )
        for _ in range(over):
            room[room.index(max(room))] -= 1
        for stretch, left in zip(columns, room, strict=True):
            start = self._start(stretch, left, row, where)
            stretch.ids = stretch.ids[start : start + left]

    def _start(self, stretch: "_Stretch", left: int, row: Row, where: str) -> int:
        """Where the part of a column that stays begins."""
        last = len(stretch.ids) - left
        if self.keep in ("left", "right"):
            return 0 if self.keep == "left" else last
        answer = str(column_of(row, self.keep, where)).strip()
        found = stretch.text.find(answer)
        if found < 0:
            return 0
        ends = [end - stretch.offset for _, end in stretch.offsets]
        first, after = (sum(end <= place for end in ends) for place in (found, found + len(answer)))
        around = max(0, left - (after - first))
        return max(0, min(first - around // 2, last))


@dataclass
class _Stretch:
    """Tokens of a source: of a column's text that begins at `offset` of what was encoded, or of none."""

    ids: list[int]
    column: str | None = None
    text: str = ""
    offsets: list[tuple[int, int]] = field(default_factory=list)
    offset: int = 0


def _emptiness(source: Sequence[Part], target: Sequence[Part]) -> str | None:
    """Which of the two has a column that is missing, or nothing from its columns."""
    for name, parts in (("source", source), ("target", target)):
        if missing := [part.column for part in parts if part.is_missing]:
            return f"nothing at {', '.join(map(repr, missing))} of its {name}"
        if not any(part.text for part in parts if part.column is not None):
            return f"an empty {name}"
    return None
