# SPDX-License-Identifier: Apache-2.0
"""The layout of autoregressive blank infilling (Du et al., ACL 2022, section 2.1): Part A, then the pieces of Part B."""

from collections.abc import Sequence
from typing import NamedTuple

import torch


IGNORE = -100  # the label that every loss of PyTorch and Transformers ignores


class Blank(NamedTuple):
    """
    One blank of a text and what belongs into it.

    Args:
        position (`int`): index of the blank's mask token in Part A; it is the first position of every token of the piece.
        span (`Sequence[int]`): ids of the tokens that were taken out. Empty for a prompt: the piece is a lone `sop`.
        labels (`Sequence[int]`, *optional*, defaults to `[*span, eop]`):
            What the piece predicts, one label for `sop` and each token of the span except those that predict nothing;
            the piece is as long as its labels. `labels=span` leaves out `eop`: for a piece that runs to the end of the text, and
            for candidates whose end is not scored. -100 is not predicted.
    """

    position: int
    span: Sequence[int]
    labels: Sequence[int] | None = None


def blank_out(tokens: Sequence[int], spans: Sequence[tuple[int, int]], mask: int) -> tuple[list[int], list[Blank]]:
    """
    Take spans out of a text and leave one mask token for each.

        tokens   x1 x2 x3 x4 x5 x6      spans  (4, 6), (2, 3)
        part_a   x1 x2 [M] x4 [M]       blanks (4, x5 x6), (2, x3)

    Args:
        tokens (`Sequence[int]`): the text.
        spans (`Sequence[tuple[int, int]]`): half-open `(start, end)`, none overlapping, in the order of Part B.
        mask (`int`): id of `[MASK]`, `[sMASK]` or `[gMASK]`.

    Returns:
        `tuple[list[int], list[Blank]]`: Part A, and the blanks in the order of `spans`.
    """
    part_a: list[int] = []
    position_of: dict[int, int] = {}
    end_of_last = 0
    for start, end in in_order_of_text(spans, len(tokens)):
        part_a += tokens[end_of_last:start]
        position_of[start] = len(part_a)
        part_a.append(mask)
        end_of_last = end
    part_a += tokens[end_of_last:]
    return part_a, [Blank(position_of[start], tokens[start:end]) for start, end in spans]


def in_order_of_text(spans: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The spans as they follow one another in a text of `length` tokens; refuses empty and overlapping ones."""
    ordered, end_of_last = sorted(spans), 0
    for start, end in ordered:
        if not end_of_last <= start < end <= length:
            raise ValueError(
                f"Span ({start}, {end}) is empty, overlaps another or leaves the text of {length} tokens. "
                "Spans are half-open, at least one token long and disjoint."
            )
        end_of_last = end
    return ordered


def lay_out(part_a: Sequence[int], blanks: Sequence[Blank], *, sop: int, eop: int) -> dict[str, list[int]]:
    """
    Lay out one example: Part A, then the piece of each blank, in the order given (paper, section 2.1 and Figure 2).

        input_ids            x1   x2   [M]  x4   [M]  S    x5   x6   S    x3
        labels               -    -    -    -    -    x5   x6   E    x3   E
        position_ids         0    1    2    3    4    4    4    4    2    2
        block_position_ids   0    0    0    0    0    1    2    3    1    2

    Args:
        part_a (`Sequence[int]`): the corrupted text, a mask token in the place of each blank.
        blanks (`Sequence[Blank]`): the blanks in the order in which Part B holds them.
        sop (`int`): id of `<|startofpiece|>`, S above.
        eop (`int`): id of `<|endofpiece|>`, E above.

    Returns:
        `dict[str, list[int]]`: `input_ids`, `labels` (-100, shown as `-`, is not predicted), `position_ids` and
        `block_position_ids`, four lists of the same length. Positions count from 0 (the paper's from 1).

    Raises:
        `ValueError`: a blank stands outside Part A.
    """
    input_ids, labels = list(part_a), [IGNORE] * len(part_a)
    position_ids, block_position_ids = list(range(len(part_a))), [0] * len(part_a)
    for position, span, predicted in blanks:
        if not 0 <= position < len(part_a):
            raise ValueError(
                f"A blank stands at position {position} of a Part A of {len(part_a)} tokens. Give the index of its mask "
                "token in Part A."
            )
        if predicted is None:
            predicted = [*span, eop]
        input_ids += [sop, *span][: len(predicted)]
        labels += predicted
        position_ids += [position] * len(predicted)
        block_position_ids += range(1, len(predicted) + 1)
    return {
        "input_ids": input_ids,
        "labels": labels,
        "position_ids": position_ids,
        "block_position_ids": block_position_ids,
    }


def stack(rows: Sequence[Sequence[Sequence[int]]]) -> torch.Tensor:
    """
    Put rows of choices into one tensor, filled up with -100.

    Args:
        rows (`Sequence[Sequence[Sequence[int]]]`): a list for each choice of each row.

    Returns:
        `torch.Tensor`: `(B, C, L)` and int64.
    """
    most, longest = max(map(len, rows)), max((len(choice) for row in rows for choice in row), default=0)
    filled = [
        [[*choice, *[IGNORE] * (longest - len(choice))] for choice in (*row, *[()] * (most - len(row)))]
        for row in rows
    ]
    return torch.tensor(filled, dtype=torch.long)


def find_blanks(input_ids: torch.Tensor, mask_token_ids: Sequence[int] | None) -> torch.Tensor:
    """Where the mask tokens stand in `input_ids`: a `torch.BoolTensor` of its shape."""
    return torch.isin(input_ids, torch.tensor(mask_token_ids or [], dtype=torch.long, device=input_ids.device))


def find_sop(input_ids: torch.Tensor, sop: int | None) -> torch.Tensor:
    """Where the pieces of `input_ids` begin: a `torch.BoolTensor` of its shape."""
    return torch.zeros_like(input_ids, dtype=torch.bool) if sop is None else input_ids == sop


def derive_positions(
    input_ids: torch.Tensor,
    is_token: torch.Tensor,
    *,
    mask_token_ids: Sequence[int] | None,
    sop: int | None,
    block_position_ids: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Both positions of rows whose layout their tokens show: all before the first sop is Part A, and the k-th piece stands on
    the k-th blank. Padding counts for nothing, on whichever side it stands.

        input_ids            pad  x1   x2   [M]  x4   [M]  S    x5   x6   S    x3
        position_ids         0    0    1    2    3    4    2    2    2    4    4
        block_position_ids   0    0    0    0    0    0    1    2    3    1    2

    Args:
        input_ids (`torch.LongTensor` of shape `(B, T)`): the rows.
        is_token (`torch.BoolTensor` of shape `(B, T)`): False on padding.
        mask_token_ids (`Sequence[int]`, *optional*): ids of the tokens that stand for a blank.
        sop (`int`, *optional*): id of `<|startofpiece|>`. None: the rows are Part A.
        block_position_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
            Where they are known, the pieces begin where they are 1.

    Returns:
        `tuple[torch.LongTensor, torch.LongTensor]`: `position_ids` and `block_position_ids`, each of shape `(B, T)`.

    Raises:
        `ValueError`: a row has more pieces than blanks.
    """
    index = (is_token.long().cumsum(-1) - 1).clamp(min=0)
    if block_position_ids is not None:
        is_sop = (block_position_ids == 1) & is_token
    else:
        is_sop = find_sop(input_ids, sop) & is_token
    piece = is_sop.long().cumsum(-1)  # 0 in Part A, k in the k-th piece
    in_part_b = (piece > 0) & is_token
    is_blank = find_blanks(input_ids, mask_token_ids) & is_token & ~in_part_b
    if not torch.compiler.is_compiling() and bool((piece[:, -1] > is_blank.sum(-1)).any()):
        row = int((piece[:, -1] > is_blank.sum(-1)).nonzero()[0])
        raise ValueError(
            f"Row {row} has {int(piece[row, -1])} piece(s) in Part B but {int(is_blank[row].sum())} blank(s) in Part A. "
            f"Put one of the mask tokens (ids {mask_token_ids}) into Part A for each, or pass position_ids and "
            "block_position_ids."
        )
    blank = torch.where(is_blank, is_blank.long().cumsum(-1), 0)  # k at the k-th blank, 0 elsewhere
    position_of_blank = index.new_zeros(index.shape[0], index.shape[1] + 1).scatter(-1, blank, index)
    position_ids = torch.where(in_part_b, position_of_blank.gather(-1, piece), index)
    index_of_sop = torch.where(is_sop, index, 0).cummax(-1)[0]
    return position_ids, torch.where(in_part_b, index - index_of_sop + 1, 0)


def derive_documents(
    input_ids: torch.Tensor, position_ids: torch.Tensor, sop: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Block positions and documents of rows without padding that come with their first positions alone, as Transformers passes
    several sequences in one row: position 0 begins a document.

        input_ids            x1   [M]  x3   S    x2   y1   [M]  S    y2
        position_ids         0    1    2    1    1    0    1    1    1
        block_position_ids   0    0    0    1    2    0    0    1    2
        document_ids         1    1    1    1    1    2    2    2    2

    Args:
        input_ids (`torch.LongTensor` of shape `(B, T)`): the rows.
        position_ids (`torch.LongTensor` of shape `(B, T)`): their first positions.
        sop (`int`, *optional*): id of `<|startofpiece|>`. None: the rows are Part A.

    Returns:
        `tuple[torch.LongTensor, torch.LongTensor]`: `block_position_ids` and `document_ids`, each of shape `(B, T)`.
    """
    place = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
    is_sop = find_sop(input_ids, sop)
    # a piece may stand on position 0 too: its sop begins no document, and neither do the tokens after it (a document right
    # after such a piece cannot be told apart, it needs document_ids)
    last = torch.where((position_ids != 0) | is_sop, place, -1).cummax(-1)[0]  # token off position 0, or sop
    begins = (position_ids == 0) & ((last < 0) | (position_ids.gather(-1, last.clamp(min=0)) != 0))
    begins[:, 0] = True
    first = torch.where(begins, place, 0).cummax(-1)[0]
    last_sop = torch.where(is_sop, place, -1).cummax(-1)[0]
    return torch.where(last_sop >= first, place - last_sop + 1, 0), begins.long().cumsum(-1)


def hide_end_of_text(input_ids, attention_mask, ends) -> torch.Tensor:
    """Mask the token that ends each text: what follows it would stand after the end."""
    place = torch.arange(input_ids.shape[1], device=input_ids.device)
    is_last = place == torch.where(attention_mask.bool(), place, -1).amax(-1, keepdim=True)
    ends = torch.tensor([ends] if isinstance(ends, int) else ends or [], dtype=torch.long, device=input_ids.device)
    is_end = is_last & torch.isin(input_ids, ends) & (attention_mask.sum(-1, keepdim=True) > 1)
    return attention_mask.masked_fill(is_end, 0)


def check_position_shapes(position_ids: torch.Tensor | None, block_position_ids: torch.Tensor | None) -> None:
    """Refuse positions of another shape than `(B, T)`, and say how to split the stacked ones of the old GLM code."""
    for name, positions in (("position_ids", position_ids), ("block_position_ids", block_position_ids)):
        if positions is not None and positions.dim() != 2:
            raise ValueError(
                f"{name} must have shape (batch, sequence), got {tuple(positions.shape)}. The old GLM code stacked both "
                "positions: pass position_ids=stacked[:, 0] and block_position_ids=stacked[:, 1]."
            )


def check_row(source, attention_mask, position_ids, block_position_ids) -> None:
    """Refuse what does not fit the row `source`, ids (B, T) or embeddings, and what the old code called a mask."""
    check_position_shapes(position_ids, block_position_ids)
    rows, length = source.shape[:2]
    if length == 0:
        raise ValueError("The rows are empty: give at least one token.")
    for name, positions in (("position_ids", position_ids), ("block_position_ids", block_position_ids)):
        if positions is not None and (positions.shape[1] != length or positions.shape[0] not in (1, rows)):
            raise ValueError(
                f"{name} have shape {tuple(positions.shape)}, the row has {(rows, length)}. Give one position for each "
                "token of each row. (With PEFT's virtual tokens, import transformers_glm: it lays them out.)"
            )
    shape = tuple(attention_mask.shape) if isinstance(attention_mask, torch.Tensor) else None
    if isinstance(attention_mask, int | float) or (shape is not None and len(shape) not in (2, 4)):
        raise ValueError(
            f"attention_mask must have shape (batch, sequence), got {attention_mask if shape is None else shape}. The old GLM code took the "
            "length of Part A for it: leave that to block_position_ids, which are 0 in Part A, and pass 1 on tokens, 0 on "
            "padding."
        )


def check_ids(ids: torch.Tensor, size: int, name: str, table: str) -> None:
    """Refuse an id outside its table. On an accelerator the look would stall it, and the accelerator's own assertion speaks."""
    if ids.device.type != "cpu" or torch.compiler.is_compiling() or ids.numel() == 0:
        return
    lowest, highest = (int(bound) for bound in torch.aminmax(ids))
    if lowest < 0 or highest >= size:
        raise ValueError(
            f"{name} holds {highest if highest >= size else lowest}, outside the {table} of {size}. Shorten the text or take "
            "a model with a larger table; ids must come from the tokenizer that belongs to the model."
        )


def check_labels(labels, inputs, vocab_size, has_virtual_tokens) -> torch.Tensor:
    """Labels (B, T) that fit the row `inputs` and the vocabulary."""
    if has_virtual_tokens:
        labels = _cover_virtual_tokens(labels, inputs.shape[1])
    check_ids(labels.masked_fill(labels == -100, 0), vocab_size, "labels", "vocabulary (vocab_size)")
    if labels.shape != inputs.shape[:2]:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, the row has {tuple(inputs.shape[:2])}. Labels are aligned with "
            "the logits of a row that holds Part B; for a separate target leave Part B out of input_ids and pass "
            "decoder_input_ids (DataCollatorForSeq2Seq(tokenizer, model=model) does)."
        )
    return labels


def _cover_virtual_tokens(labels, length):
    """Labels of the last `length` places: virtual tokens come first and predict nothing, whether labels count them or not."""
    missing = length - labels.shape[-1]
    if labels.dim() != 2 or missing == 0 or bool((labels[:, : max(-missing, 0)] != -100).any()):
        return labels
    return torch.nn.functional.pad(labels, (missing, 0), value=-100)
