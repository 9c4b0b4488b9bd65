# SPDX-License-Identifier: Apache-2.0
"""From blanked documents to the rows of a batch, padded or packed."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import numpy as np
import torch

from blank_infilling_glm import IGNORE

from .rows import Example


def pad(
    rows: Sequence[Mapping[str, Sequence[int]]], *, pad_token_id: int, side: str, multiple_of: int | None = None
) -> dict[str, torch.Tensor]:
    """
    Pad rows to the length of the longest: ids with `pad_token_id`, labels with -100, all else with 0.

    Args:
        rows (`Sequence[Mapping[str, Sequence[int]]]`): arrays or lists, as of `lay_out` or [`pack`]; all have the same columns.
        pad_token_id (`int`): id of the padding.
        side (`str`): `"right"` or `"left"`.
        multiple_of (`int`, *optional*): make the length a multiple of this.

    Returns:
        `dict[str, torch.Tensor]`: the columns and `attention_mask`, each `(B, T)` and int64.
    """
    lengths = np.array([len(row["input_ids"]) for row in rows])
    multiple = multiple_of or 1
    width = -(-lengths.max() // multiple) * multiple
    is_token = np.arange(width) < lengths[:, None]  # (B, T)
    if side == "left":
        is_token = is_token[:, ::-1]
    batch = {"attention_mask": torch.from_numpy(is_token.astype(np.int64))}
    for column in rows[0]:
        padded = np.full(is_token.shape, {"input_ids": pad_token_id, "labels": IGNORE}.get(column, 0))
        padded[is_token] = np.concatenate([row[column] for row in rows])
        batch[column] = torch.from_numpy(padded)
    return batch


def check_packing_is_possible(max_length: int | None) -> None:
    """Raise what stands against packing before any work is done."""
    if max_length is None:
        raise ValueError("packing=True needs max_length, the most tokens that a row may have.")
    if find_spec("binpacking") is None:
        raise ImportError("packing=True needs binpacking. Install it: pip install transformers-glm[packing]")


def pack(examples: Sequence[Example], max_length: int) -> list[Example]:
    """
    Put examples together into as few rows of at most `max_length` tokens as the greedy rule of `binpacking` finds.

        examples             x1 x2 S x3    y1 y2 S y3
        input_ids            x1 x2 S  x3 y1 y2 S  y3
        position_ids         0  1  1  1  0  1  1  1
        document_ids         1  1  1  1  2  2  2  2

    Args:
        examples (`Sequence[dict[str, np.ndarray]]`): as of `lay_out_spans`, none longer than `max_length`.
        max_length (`int`): the most tokens that a row may have.

    Returns:
        `list[dict[str, np.ndarray]]`: the rows, with `document_ids` that count from 1 in each row.
    """
    from binpacking import to_constant_volume  # an extra

    lengths = {index: len(example["input_ids"]) for index, example in enumerate(examples)}
    rows = sorted(sorted(members) for members in to_constant_volume(lengths, max_length))
    return [_join([examples[index] for index in members]) for members in rows]


def _join(examples: Sequence[Example]) -> Example:
    row = {column: np.concatenate([example[column] for example in examples]) for column in examples[0]}
    lengths = [len(example["input_ids"]) for example in examples]
    row["document_ids"] = np.arange(1, len(examples) + 1).repeat(lengths)
    return row
