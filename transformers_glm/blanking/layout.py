# SPDX-License-Identifier: Apache-2.0
"""The layout of a blanked text in NumPy, for whole datasets; blank_infilling_glm.lay_out is the same in lists."""

from collections.abc import Sequence

import numpy as np

from blank_infilling_glm import IGNORE, in_order_of_text


def lay_out_spans(
    tokens: np.ndarray,
    spans: Sequence[tuple[int, int]],
    *,
    mask: int,
    sop: int,
    eop: int,
    labels: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """
    `lay_out(*blank_out(tokens, spans, mask), sop=sop, eop=eop)` in NumPy, for whole datasets.

    Args:
        tokens (`np.ndarray` of shape `(T,)`): the text.
        spans (`Sequence[tuple[int, int]]`): half-open `(start, end)`, at least one, in the order of Part B.
        mask (`int`): id of `[MASK]`, `[sMASK]` or `[gMASK]`.
        sop (`int`): id of `<|startofpiece|>`.
        eop (`int`): id of `<|endofpiece|>`.
        labels (`np.ndarray` of shape `(T,)`, *optional*):
            The text with -100 for tokens that are not predicted. Nor is the eop after such a token.

    Returns:
        `dict[str, np.ndarray]`: `input_ids`, `labels`, `position_ids` and `block_position_ids`, of one shape and int64.
    """
    starts, ends = np.array(spans).T
    in_part_a = np.ones(len(tokens), bool)
    for start, end in in_order_of_text(spans, len(tokens)):
        in_part_a[start + 1 : end] = False
    position = in_part_a.cumsum() - 1
    length = int(position[-1]) + 1
    sizes = ends - starts + 1  # of the pieces, sop or eop included
    last = sizes.cumsum()

    input_ids, predicted, position_ids, block_position_ids = laid_out = np.empty((4, length + last[-1]), np.int64)
    corrupted = tokens.copy()
    corrupted[starts] = mask
    input_ids[:length], predicted[:length] = corrupted[in_part_a], IGNORE
    position_ids[:length], block_position_ids[:length] = np.arange(length), 0

    block_position_ids[length:] = np.arange(1, last[-1] + 1) - (last - sizes).repeat(sizes)
    position_ids[length:] = position[starts].repeat(sizes)
    places = (starts - 1).repeat(sizes) + block_position_ids[length:]
    predicted[length:] = tokens.take(places, mode="clip")
    input_ids[length + 1 :] = predicted[length:-1]
    input_ids[length + last - sizes] = sop
    if labels is not None:
        predicted[length:] = labels.take(places, mode="clip")
    predicted[length + last - 1] = eop if labels is None else np.where(labels[ends - 1] == IGNORE, IGNORE, eop)
    return dict(zip(("input_ids", "labels", "position_ids", "block_position_ids"), laid_out, strict=True))
