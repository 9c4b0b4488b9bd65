# SPDX-License-Identifier: Apache-2.0
"""DataCollatorForBlankInfilling: draws the blanks of a batch, lays them out, pads or packs."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..data.sentences import sentence_ends
from .batching import check_packing_is_possible, pack, pad
from .layout import lay_out_spans
from .objectives import (
    ObjectiveSettings,
    blankable_regions,
    document_level_span,
    sample_level,
    sentence_level_spans,
    text_regions,
    token_level_spans,
)
from .placement import Span, in_random_order
from .row_generators import RowGenerators
from .rows import Document, Example, has_labels, read_row


_ROLES = ("pad_token", "cls_token", "eos_token", "sop_token", "eop_token", "mask_token")
_DRAWS = 1000  # a draw holds a given token about as often as mask_ratio says
_MASKS = {"token": "mask_token", "sentence": "smask_token", "document": "gmask_token"}


class DataCollatorForBlankInfilling:
    """
    Collator for pretraining by autoregressive blank infilling: draws the blanks of each row, lays out Part A and the pieces
    of Part B, and pads or packs.

    Rows are documents as the tokenizer makes them, `{"input_ids": [CLS] ... eos}`; several documents may stand in one row,
    each with its [CLS] and eos. Of other columns only two are read: `labels`, a copy of `input_ids` with -100 for tokens that
    are never to be predicted (prompts), and `attention_mask`, to leave padding out. Blanks of a row with `labels` are drawn until
    one holds a token that is to be predicted. Rows that [`blank`] made are only padded
    or packed. No sample is dropped: each gets at least one blank. [CLS], eos and the last token are never blanked, except
    by document-level pieces that run to the end and by whole last sentences. Every piece ends with eop, except a document-level
    piece that runs to the end of the sample, which ends with what the sample ends with.

    The blanks of a row depend on `seed`, the epoch and its tokens: they are the same for any number of workers, any batch
    size, any number of processes, and after a resume. A loop of your own, without Accelerate, says the epoch with [`set_epoch`].

    Examples, with [CLS] = 1, [MASK] = 2, sop = 3, eop = 4, [gMASK] = 5, [sMASK] = 6, eos = 7, "." = 8, [PAD] = 0; the first
    document holds the paper's x1 ... x6 (Figure 2) as 11 ... 16:

    ```python
    >>> rows = [{"input_ids": [1, 11, 12, 13, 14, 15, 16, 7]}, {"input_ids": [1, 17, 18, 19, 7]}]

    >>> DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.375, seed=6356)(rows)
    {"input_ids":          [[1, 11, 12, 2, 14, 2, 7, 3, 15, 16, 3, 13], [1, 17, 2, 19, 7, 3, 18, 0, 0, 0, 0, 0]],
     "attention_mask":     [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]],
     "position_ids":       [[0, 1, 2, 3, 4, 5, 6, 5, 5, 5, 3, 3], [0, 1, 2, 3, 4, 2, 2, 0, 0, 0, 0, 0]],
     "block_position_ids": [[0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2], [0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0]],
     "labels":             [[-100] * 7 + [15, 16, 4, 13, 4], [-100] * 5 + [18, 4] + [-100] * 5]}

    >>> DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.375, packing=True, max_length=20, seed=167)(rows)
    {"input_ids":          [[1, 11, 12, 2, 14, 2, 7, 3, 15, 16, 3, 13, 1, 2, 7, 3, 17, 18, 19]],
     "attention_mask":     [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
     "position_ids":       [[0, 1, 2, 3, 4, 5, 6, 5, 5, 5, 3, 3, 0, 1, 2, 1, 1, 1, 1]],
     "block_position_ids": [[0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2, 0, 0, 0, 1, 2, 3, 4]],
     "labels":             [[-100] * 7 + [15, 16, 4, 13, 4] + [-100] * 3 + [17, 18, 19, 4]],
     "document_ids":       [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2]]}

    >>> DataCollatorForBlankInfilling(tokenizer, {"document": 1.0}, seed=4)(rows[:1])  # to be continued: ends with eos
    {"input_ids":          [[1, 11, 12, 5, 3, 13, 14, 15, 16]],
     "attention_mask":     [[1, 1, 1, 1, 1, 1, 1, 1, 1]],
     "position_ids":       [[0, 1, 2, 3, 3, 3, 3, 3, 3]],
     "block_position_ids": [[0, 0, 0, 0, 1, 2, 3, 4, 5]],
     "labels":             [[-100] * 4 + [13, 14, 15, 16, 7]]}

    >>> DataCollatorForBlankInfilling(tokenizer, {"document": 1.0}, seed=29)(rows[:1])  # within the text: ends with eop
    {"input_ids":          [[1, 11, 5, 16, 7, 3, 12, 13, 14, 15]],
     "attention_mask":     [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
     "position_ids":       [[0, 1, 2, 3, 4, 2, 2, 2, 2, 2]],
     "block_position_ids": [[0, 0, 0, 0, 0, 1, 2, 3, 4, 5]],
     "labels":             [[-100] * 5 + [12, 13, 14, 15, 4]]}

    >>> sentences = [{"input_ids": [1, 11, 12, 8, 13, 14, 8, 15, 16, 8, 7]}]
    >>> DataCollatorForBlankInfilling(tokenizer, {"sentence": 1.0}, seed=1)(sentences)
    {"input_ids":          [[1, 11, 12, 8, 6, 15, 16, 8, 7, 3, 13, 14, 8]],
     "attention_mask":     [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
     "position_ids":       [[0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 4, 4, 4]],
     "block_position_ids": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]],
     "labels":             [[-100] * 9 + [13, 14, 8, 4]]}
    ```

    Args:
        tokenizer (`PreTrainedTokenizerBase`):
            A `GLMTokenizer`. Its `padding_side` is the side of the padding. Without [sMASK] or [gMASK], [MASK] stands for it.
        mixture (`Mapping[str, float]`, *optional*, defaults to `{"token": 1.0}`):
            Shares of the samples that get `"token"`-, `"sentence"`- and `"document"`-level blanks; they add up to 1.
        mask_ratio (`float`, *optional*, defaults to 0.15): the least share of a sample that token- and sentence-level blanks cover.
        mean_span_length (`float`, *optional*, defaults to 3.0): mean of the Poisson distribution of the span lengths.
        max_span_length (`int`, *optional*, defaults to 39): the longest token-level span; the distribution ends with it.
        document_span (`tuple[float, float]`, *optional*, defaults to `(0.5, 1.0)`):
            Least and greatest share of a sample that a document-level blank covers; its length is uniform between them.
        shuffle_blanks (`bool`, *optional*, defaults to `True`): whether the pieces come in random order.
        original_placement (`bool`, *optional*, defaults to `False`):
            Place token-level spans by the law of the original code, not uniformly (see [`place_spans_as_original`]).
        packing (`bool`, *optional*, defaults to `False`):
            Put several documents into one row, told apart by `document_ids`. The batch then has fewer rows than it was given.
        max_length (`int`, *optional*):
            The most tokens that a row may have; needed for packing. A blanked document that is longer is an error.
        pad_to_multiple_of (`int`, *optional*): pad the rows to a multiple of this.
        seed (`int`, *optional*, defaults to 0): all that is drawn depends on it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        mixture: Mapping[str, float] | None = None,
        mask_ratio: float = 0.15,
        mean_span_length: float = 3.0,
        max_span_length: int = 39,
        document_span: tuple[float, float] = (0.5, 1.0),
        shuffle_blanks: bool = True,
        original_placement: bool = False,
        packing: bool = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        seed: int = 0,
    ):
        mixture = {"token": 1.0} if mixture is None else mixture
        self.settings = ObjectiveSettings(
            mixture, mask_ratio, mean_span_length, max_span_length, document_span, shuffle_blanks, original_placement
        )
        if packing:
            check_packing_is_possible(max_length)
        if pad_to_multiple_of is not None and pad_to_multiple_of < 1:
            raise ValueError(f"pad_to_multiple_of={pad_to_multiple_of}: give a length of at least 1, or None.")
        self.tokenizer = tokenizer
        self.packing = packing
        self.max_length = max_length
        self.pad_to_multiple_of = pad_to_multiple_of
        self._generators = RowGenerators(seed)
        self._vocab_size = len(tokenizer)
        self._ids = _ids_by_role(tokenizer)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """
        Make a batch.

        Args:
            rows (`Sequence[Mapping]`): rows of a dataset, blanked or not.

        Returns:
            `dict[str, torch.Tensor]`: the inputs of the model, each `(B, T)` and int64.

        Raises:
            `ValueError`: no rows; a row that cannot be read, blanked or predicted, or that is too long.
        """
        if not rows:
            raise ValueError("The batch has no rows: nothing can be laid out.")
        read = [read_row(row, f"Row {n} of the batch", self._vocab_size) for n, row in enumerate(rows)]
        documents = [row for row in read if isinstance(row, Document)]
        generators = iter(self._generators.of_batch(document.tokens.tobytes() for document in documents))
        examples = [self._blank(row, next(generators)) if isinstance(row, Document) else row for row in read]
        if self.max_length is not None:
            self._check_lengths(examples)
        return pad(
            pack(examples, self.max_length) if self.packing else examples,
            pad_token_id=self._ids["pad_token"],
            side=self.tokenizer.padding_side,
            multiple_of=self.pad_to_multiple_of,
        )

    def set_epoch(self, epoch: int) -> None:
        """
        Draw the blanks of this epoch, for training loops that use neither the Trainer nor Accelerate: without it each of
        their epochs has the same blanks.

        Args:
            epoch (`int`): number of the epoch; the same number gives the same blanks.
        """
        self._generators.epoch = epoch

    def blank(self, row: Mapping[str, Any]) -> dict[str, list[int]]:
        """
        Blank one row for good: `dataset.map(collator.blank)` makes evaluation data that all evaluations share.

        Args:
            row (`Mapping`): a row of a dataset. Its blanks depend on its tokens and the seed only; a blanked one stays.

        Returns:
            `dict[str, list[int]]`: `input_ids`, `labels`, `position_ids` and `block_position_ids`, which the collator then
            only pads or packs.
        """
        example = read_row(row, "The row", self._vocab_size)
        if isinstance(example, Document):
            example = self._blank(example, self._generators.of_row(example.tokens.tobytes()))
        return {column: values.tolist() for column, values in example.items()}

    def _blank(self, document: Document, rng: random.Random) -> Example:
        level = sample_level(self.settings, rng)
        example = self._draw(level, document, rng)
        if document.labels is not None and not has_labels(example):
            example = self._draw_labels(level, document, rng)
        return example

    def _draw_labels(self, level: str, document: Document, rng: random.Random) -> Example:
        """Blanks of a document of which few tokens are to be predicted, as an answer's behind a prompt: drawn until they hold one."""
        if (document.labels != IGNORE).any():
            for _ in range(_DRAWS):
                if has_labels(example := self._draw(level, document, rng)):
                    return example
        raise ValueError(
            f"{self._describe(document.name, document.tokens)} has labels of which no {level}-level blank holds one, or all are "
            f"{IGNORE}: nothing of it would be learnt. Leave such rows out, as those whose answer was cut off; [CLS], eos and the "
            "last token are not blanked."
        )

    def _draw(self, level: str, document: Document, rng: random.Random) -> Example:
        spans = self._spans(level, document, rng)
        if self.settings.shuffle_blanks:
            spans = in_random_order(spans, rng)
        mask = self._ids.get(_MASKS[level], self._ids["mask_token"])
        ends = {"sop": self._ids["sop_token"], "eop": self._ids["eop_token"]}
        example = lay_out_spans(document.tokens, spans, mask=mask, **ends, labels=document.labels)
        if level == "document" and spans[0][1] == len(document.tokens):  # to be continued: without eop
            example = {column: values[:-1] for column, values in example.items()}
            labels = example["labels"]
            labels[labels == self._ids["cls_token"]] = IGNORE  # [CLS] of a later document is not predicted
        return example

    def _spans(self, level: str, document: Document, rng: random.Random) -> list[Span]:
        tokens = document.tokens
        regions = text_regions(tokens, (self._ids["cls_token"], self._ids["eos_token"]))
        blankable = blankable_regions(regions, len(tokens))
        if not blankable:
            raise ValueError(
                f"{self._describe(document.name, tokens)} has no token that may be blanked: [CLS], eos and the last token "
                "never are. Leave such rows out."
            )
        if level == "token":
            return token_level_spans(blankable, len(tokens), self.settings, rng)
        if level == "sentence":
            ends = sentence_ends(tokens, self.tokenizer)
            return sentence_level_spans(regions, ends, len(tokens), self.settings, rng)
        return [document_level_span(regions, len(tokens), self.settings, rng)]

    def _check_lengths(self, examples: Sequence[Example]) -> None:
        for number, example in enumerate(examples):
            if len(example["input_ids"]) > self.max_length:
                raise ValueError(
                    f"{self._describe(f'Row {number} of the batch', example['input_ids'])} has {len(example['input_ids'])} "
                    f"tokens when blanked, more than max_length={self.max_length}. Cut documents shorter, or give a greater "
                    "max_length: each blank adds two tokens."
                )

    def _describe(self, name: str, tokens: np.ndarray) -> str:
        return f"{name} ({self.tokenizer.decode(tokens[:12])!r}{'...' if len(tokens) > 12 else ''})"


def _ids_by_role(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    tokens = tokenizer.special_tokens_map
    missing = [role for role in _ROLES if role not in tokens]
    if missing:
        raise ValueError(
            f"{type(tokenizer).__name__} has no {', no '.join(missing)}, which blank infilling needs. Use a GLMTokenizer."
        )
    roles = [role for role in tokens if role in _ROLES or role in _MASKS.values()]
    return {role: tokenizer.convert_tokens_to_ids(tokens[role]) for role in roles}
