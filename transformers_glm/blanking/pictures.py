# SPDX-License-Identifier: Apache-2.0
"""Pictures of a batch: which token sees which, and where each token stands in both positions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from configuration_glm import GLMConfig
from modeling_glm import GLMModel


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


Batch = Mapping[str, torch.Tensor]
PADDING = -1

_PART_A, _PIECES = "#8c8c8c", ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#e377c2", "#bcbd22")
_LABELLED = 80  # tokens; the labels of more would run into one another
_FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei")


def parts(batch: Batch, row: int = 0) -> list[int]:
    """
    Which part each token of a row belongs to: 0 is Part A, 1, 2, ... are the pieces in their order, -1 is padding.

        x1 x2 [M] x4 [M] S x5 x6 S x3      0 0 0 0 0 1 1 1 2 2
    """
    block_position, is_token = batch["block_position_ids"][row], batch["attention_mask"][row] == 1
    pieces = (block_position == 1).cumsum(0) * (block_position > 0)
    return pieces.where(is_token, PADDING).tolist()


def visible(batch: Batch, row: int = 0) -> np.ndarray:
    """
    Which token sees which, read from the attention of the model itself.

    Args:
        batch (`Mapping[str, torch.Tensor]`): as [`DataCollatorForBlankInfilling`] makes it.
        row (`int`, defaults to 0): the row to look at.

    Returns:
        `np.ndarray` of shape `(T, T)`: true where the token of the line sees that of the column. Padding sees nothing.
    """
    inputs = {name: tensor[row : row + 1] for name, tensor in batch.items() if name != "labels"}
    length = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.zeros_like(inputs["input_ids"])  # the mask does not depend on the words
    config = GLMConfig(vocab_size=2, hidden_size=4, num_layers=1, num_attention_heads=1, max_sequence_length=length)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = GLMModel._from_config(config, attn_implementation="eager").eval()
        attention = model(**inputs, output_attentions=True).attentions[0]  # (1, 1, T, T)
    is_token = inputs["attention_mask"].bool()[0]
    return ((attention[0, 0] > 0) & is_token[:, None]).numpy()


def draw(
    batch: Batch,
    tokenizer: PreTrainedTokenizerBase,
    row: int = 0,
    pictures: Sequence[str] = ("attention_mask", "positions"),
) -> "Figure":
    """
    Draw a row of a batch in pictures that stand side by side, each token in the colour of its part.

    | picture | shows |
    |---|---|
    | `"attention_mask"` | a line for each token, a filled square under each token that it sees |
    | `"positions"` | filled dots for the place in the corrupted text, rings for the place in the piece |

    Args:
        batch (`Mapping[str, torch.Tensor]`): as [`DataCollatorForBlankInfilling`] makes it.
        tokenizer (`PreTrainedTokenizerBase`): spells the tokens along the edges, if there is room.
        row (`int`, defaults to 0): the row to draw.
        pictures (`Sequence[str]`, *optional*): which.

    Returns:
        `matplotlib.figure.Figure`: with `.savefig(path)`.
    """
    from matplotlib.figure import Figure
    from matplotlib.font_manager import get_font_names

    ids, of_part = batch["input_ids"][row].tolist(), parts(batch, row)
    size = 4 + 0.12 * min(len(ids), _LABELLED)
    figure = Figure(figsize=(len(pictures) * size, size), layout="constrained")
    fonts = [font for font in _FONTS if font in get_font_names()]
    words = [spell(token_id, tokenizer) for token_id in ids]
    for axes, picture in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, strict=True):
        edges = {"attention_mask": _draw_mask, "positions": _draw_positions}[picture](axes, batch, row)
        for edge in edges if len(ids) <= _LABELLED else ():
            rotation = 90 if edge is axes.xaxis else 0
            edge.set_ticks(range(len(ids)), words, fontsize=7, family=fonts, rotation=rotation)
            for label, part in zip(edge.get_ticklabels(), of_part, strict=True):
                label.set(parse_math=False, color="#cccccc" if part == PADDING else color_of(part))
    return figure


def _draw_mask(axes: "Axes", batch: Batch, row: int) -> "list[Axis]":
    """Draw, and return the edges along which the tokens stand."""
    from matplotlib.colors import to_rgba_array

    colors = to_rgba_array([color_of(part) for part in parts(batch, row)])
    axes.imshow(np.where(visible(batch, row)[..., None], colors[:, None], 1.0), interpolation="nearest")
    for edge in (axes.xaxis, axes.yaxis):
        edge.set_ticks(np.arange(len(colors) + 1) - 0.5, minor=True)
    if len(colors) <= _LABELLED:
        axes.grid(which="minor", color="#dddddd", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set_title("A token (line) sees the filled tokens (columns)")
    return [axes.xaxis, axes.yaxis]


def _draw_positions(axes: "Axes", batch: Batch, row: int) -> "list[Axis]":
    """Draw, and return the edge along which the tokens stand."""
    of_part = parts(batch, row)
    tokens = [place for place, part in enumerate(of_part) if part != PADDING]
    colors = [color_of(of_part[place]) for place in tokens]
    for name, filling in (("position_ids", colors), ("block_position_ids", "none")):
        axes.scatter(tokens, batch[name][row].numpy()[tokens], edgecolors=colors, facecolors=filling, s=18, label=name)
    axes.set_axisbelow(True)
    axes.set_xlim(-1, len(of_part))
    axes.grid(axis="y", color="#dddddd", linewidth=0.4)
    axes.legend(loc="upper left")
    axes.set_title("Part A counts on, a piece stands on its blank")
    return [axes.xaxis]


def color_of(part: int) -> str:
    """The colour of Part A (0) or of a piece (1, 2, ...); white for padding."""
    if part == PADDING:
        return "#ffffff"
    return _PIECES[(part - 1) % len(_PIECES)] if part else _PART_A


def spell(token_id: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """A token as people read it: its text, with signs for the white space in it."""
    text = tokenizer.decode([token_id], clean_up_tokenization_spaces=False)
    return text.replace("\n", "↵").replace("\t", "→").replace(" ", "·")
