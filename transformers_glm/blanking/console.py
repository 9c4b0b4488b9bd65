# SPDX-License-Identifier: Apache-2.0
"""A batch printed as the model gets it, Part A and each piece in a colour of its own. Needs `rich`, of the extra "demo"."""

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from .pictures import PADDING, Batch, color_of, parts, spell


LINES = ("input_ids", "labels", "position_ids", "block_position_ids", "document_ids")
NAME_WIDTH = 20


def show(batch: Batch, tokenizer: PreTrainedTokenizerBase, console: Console) -> None:
    """Print the rows, each as one line for the tokens and one for each number they have, folded at the console's width."""
    for row in range(len(batch["input_ids"])):
        of_part = parts(batch, row)
        places = [place for place, part in enumerate(of_part) if part != PADDING]
        console.print(Text(f"row {row}: {len(places)} tokens, {len(of_part) - len(places)} of padding", "bold"))
        lines = lines_of(batch, tokenizer, row)
        for chunk, widths in fold(places, lines, console.width):
            for name, cells in lines.items():
                text = Text().append(f"{name:{NAME_WIDTH}}", "dim")
                for place, width in zip(chunk, widths, strict=True):
                    text.append(set_cell_size(cells[place], width), color_of(of_part[place]))
                console.print(text, no_wrap=True, overflow="crop")
            console.print()


def lines_of(batch: Batch, tokenizer: PreTrainedTokenizerBase, row: int) -> dict[str, list[str]]:
    """The cells of each line, one for each token; a label that is not predicted is "-"."""
    lines = {}
    for name in (name for name in LINES if name in batch):
        numbers = batch[name][row].tolist()
        if name in ("input_ids", "labels"):
            lines[name] = ["-" if number < 0 else spell(number, tokenizer) for number in numbers]
        else:
            lines[name] = [str(number) for number in numbers]
    return lines


def fold(places: list[int], lines: dict[str, list[str]], width: int) -> Iterator[tuple[list[int], list[int]]]:
    """As many tokens at a time as fit into the width, with the width of each."""
    chunk, widths = [], []
    for place in places:
        needed = 2 + max(cell_len(cells[place]) for cells in lines.values())
        if chunk and NAME_WIDTH + sum(widths) + needed > width:
            yield chunk, widths
            chunk, widths = [], []
        chunk.append(place)
        widths.append(needed)
    yield chunk, widths
