# SPDX-License-Identifier: Apache-2.0
"""The rows that a dataset hands to the collator, read as integers or refused with the reason."""

import reprlib
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from blank_infilling_glm import IGNORE


BLANKED = ("input_ids", "labels", "position_ids", "block_position_ids")


class Document(NamedTuple):
    """
    A sample that is still to be blanked.

    Args:
        name (`str`): what errors call it.
        tokens (`np.ndarray` of shape `(T,)`): its ids as int64, [CLS] and eos included.
        labels (`np.ndarray` of shape `(T,)`, *optional*): the same with -100 for tokens that are never to be predicted.
    """

    name: str
    tokens: np.ndarray
    labels: np.ndarray | None


Example = dict[str, np.ndarray]  # a blanked document, as lay_out_spans returns it


def read_row(row: Mapping[str, Any], name: str, vocab_size: int) -> Document | Example:
    """
    Read a row of a dataset; one with `block_position_ids` has been blanked before.

    Of a row to be blanked the tokens that its `attention_mask` calls padding are left out.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f'{name} is a {type(row).__name__}. Give rows like {{"input_ids": [...]}}.')
    if "block_position_ids" in row:
        if missing := [column for column in BLANKED if column not in row]:
            raise ValueError(
                f"{name} has block_position_ids, so it is blanked, but no {', no '.join(missing)}. Keep all columns that "
                "DataCollatorForBlankInfilling.blank returns."
            )
        length = len(_read_ids(row, name, vocab_size))
        return {column: _read_integers(row, column, name, length) for column in BLANKED}
    ids = _read_ids(row, name, vocab_size)
    labels = _read_integers(row, "labels", name, len(ids)) if "labels" in row else None
    if labels is not None and not ((labels == ids) | (labels == IGNORE)).all():
        raise ValueError(
            f"The labels of {name} are not its input_ids. The labels of a row to be blanked are a copy of input_ids with "
            f"{IGNORE} for tokens that are never to be predicted; leave them out to have all predicted."
        )
    if "attention_mask" in row and 0 in row["attention_mask"]:
        is_token = _read_integers(row, "attention_mask", name, len(ids)) != 0
        ids, labels = ids[is_token], None if labels is None else labels[is_token]
    return Document(name, ids, labels)


def has_labels(example: Example) -> bool:
    """Whether anything of a blanked document is to be predicted."""
    return bool((example["labels"] != IGNORE).any())


def _read_ids(row: Mapping[str, Any], name: str, vocab_size: int) -> np.ndarray:
    if "input_ids" not in row:
        raise ValueError(
            f"{name} has no input_ids, only {sorted(row) or 'no column at all'}. Tokenize the text first, "
            'dataset.map(lambda row: tokenizer(row["text"])), or rename the column that holds the ids. The Trainer drops the '
            "columns that the model does not take, unless remove_unused_columns=False."
        )
    tokens = _read_integers(row, "input_ids", name, None)
    # as unsigned numbers the negative ones are over every vocabulary
    if len(tokens) and tokens.view(np.uint64).max() >= vocab_size:
        raise ValueError(
            f"{name} has ids from {tokens.min()} to {tokens.max()}, but the vocabulary of the tokenizer ends at "
            f"{vocab_size - 1}. Blank with the tokenizer that made the ids."
        )
    return tokens


def _read_integers(row: Mapping[str, Any], column: str, name: str, length: int | None) -> np.ndarray:
    values = row[column]
    try:
        if isinstance(values, list):  # packed in half the time of np.array; struct.error where it holds anything else
            values = np.frombuffer(struct.pack(f"{len(values)}q", *values), np.int64)
        array = np.asarray(values)
    except struct.error:
        array = np.array(None)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{column} of {name} is {reprlib.repr(values)}, not a list of integers. Rows to be collated hold the ids of one text."
        )
    if length is not None and len(array) != length:
        raise ValueError(
            f"{column} of {name} has {len(array)} numbers and input_ids {length}. They go together token by token."
        )
    return array.astype(np.int64, copy=False)
