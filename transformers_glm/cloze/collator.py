# SPDX-License-Identifier: Apache-2.0
"""DataCollatorForCloze: questions with the pieces of their candidates, for GLMForMultipleChoice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE, Blank, lay_out, stack

from ..blanking.batching import pad
from .rows import questions_of


@dataclass
class DataCollatorForCloze:
    """
    Lays out rows of [`ClozeEncoder`] and pads them, on the tokenizer's padding side.

        input_ids            x1   [M]  x3   S    a    b    S    c         candidates "a b c'" and "c d'", without eop
        position_ids         0    1    2    1    1    1    1    1
        block_position_ids   0    0    0    1    2    3    1    2
        choice_ids           a b c' | c d' -100       choice_indices   3 4 5 | 6 7 -100

    Args:
        tokenizer ([`GLMTokenizer`]): gives the special tokens and the padding side.
        with_eop (`bool`, *optional*, defaults to `False`): the end of each piece is scored too.
        length_normalization (`bool`, *optional*, defaults to `False`): scores are means over a candidate's tokens.
    """

    tokenizer: PreTrainedTokenizerBase
    with_eop: bool = False
    length_normalization: bool = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch: tensors (B, T), `choice_ids` and `choice_indices` (B, C, L), `labels` (B,)."""
        laid_out = [self._lay_out(row) for row in rows]
        choices = {name: stack([row.pop(name) for row in laid_out]) for name in ("choice_ids", "choice_indices")}
        side = self.tokenizer.padding_side
        batch = {**pad(laid_out, pad_token_id=self.tokenizer.pad_token_id, side=side), **choices}
        if side == "left":
            padding = (batch["attention_mask"] == 0).sum(-1)[:, None, None]
            batch["choice_indices"] += padding * (batch["choice_indices"] != IGNORE)
        if self.length_normalization:
            batch["length_normalization"] = True
        return {**batch, "labels": torch.tensor([row["labels"] for row in rows])}

    def _lay_out(self, row: Mapping[str, Any]) -> dict[str, list]:
        """A question with all candidates; or, where each candidate has its own, these questions one after the other."""
        laid_out: dict[str, list] = defaultdict(list)
        for number, (part_a, choices) in enumerate(questions_of(row), start=1):
            masks = self.tokenizer.mask_token_ids
            places = [place for place, token in enumerate(part_a) if token in masks]
            blanks = [
                [Blank(*one) for one in zip(places, spans, self._labels(spans), strict=True)] for spans in choices
            ]
            question = lay_out(
                part_a,
                [blank for of_choice in blanks for blank in of_choice],
                sop=self.tokenizer.sop_token_id,
                eop=self.tokenizer.eop_token_id,
            )
            labels, before, end = question.pop("labels"), len(laid_out["input_ids"]), len(part_a)
            for of_choice in blanks:
                start, end = end, end + sum(len(blank.labels) for blank in of_choice)
                laid_out["choice_ids"].append(labels[start:end])
                laid_out["choice_indices"].append([*range(before + start, before + end)])
            if "document_ids" in row:
                question["document_ids"] = [number] * len(labels)
            for name, values in question.items():
                laid_out[name] += values
        return laid_out

    def _labels(self, spans: list[list[int]]) -> list[list[int]]:
        """The labels of a candidate's pieces. Where there are several, the later ones see all of the earlier."""
        end = self.tokenizer.eop_token_id if self.with_eop else IGNORE
        *earlier, last = spans
        return [*([*span, end] for span in earlier), [*last, end] if self.with_eop else last]
