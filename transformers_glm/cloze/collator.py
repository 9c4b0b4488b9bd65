# SPDX-License-Identifier: Apache-2.0
"""DataCollatorForCloze: questions with the pieces of their candidates, for GLMForMultipleChoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE, Blank, lay_out, stack

from ..blanking.batching import pad


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
        choices = row["choice_ids"]
        if "document_ids" not in row:
            return self._lay_out_document(row["input_ids"], choices)
        documents = [
            [token for _, token in of_document]
            for _, of_document in groupby(
                zip(row["document_ids"], row["input_ids"], strict=True), key=lambda pair: pair[0]
            )
        ]
        whole: dict[str, list] = {"document_ids": []}
        for number, (part_a, choice) in enumerate(zip(documents, choices, strict=True), start=1):
            one = self._lay_out_document(part_a, [choice])
            before = len(whole["document_ids"])
            one["choice_indices"] = [[before + index for index in of_choice] for of_choice in one["choice_indices"]]
            whole["document_ids"] += [number] * len(one["input_ids"])
            for name, values in one.items():
                whole[name] = whole.get(name, []) + values
        return whole

    def _lay_out_document(self, part_a: list[int], choices: list[list[list[int]]]) -> dict[str, list]:
        masks = set(self.tokenizer.mask_token_ids)
        places = [place for place, token in enumerate(part_a) if token in masks]
        pieces = [self._pieces(spans) for spans in choices]
        blanks = [
            Blank(place, span, labels)
            for spans, of_choice in zip(choices, pieces, strict=True)
            for place, span, labels in zip(places, spans, of_choice, strict=True)
        ]
        row = lay_out(part_a, blanks, sop=self.tokenizer.sop_token_id, eop=self.tokenizer.eop_token_id)
        labels = row.pop("labels")
        ids, indices, end = [], [], len(part_a)
        for of_choice in pieces:
            start, end = end, end + sum(map(len, of_choice))
            indices.append([*range(start, end)])
            ids.append(labels[start:end])
        return {**row, "choice_ids": ids, "choice_indices": indices}

    def _pieces(self, spans: list[list[int]]) -> list[list[int]]:
        """The labels of a candidate's pieces. Where there are several, the later ones see all of the earlier."""
        end = self.tokenizer.eop_token_id if self.with_eop else IGNORE
        *earlier, last = spans
        return [*([*span, end] for span in earlier), [*last, end] if self.with_eop else last]
