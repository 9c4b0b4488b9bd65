# SPDX-License-Identifier: Apache-2.0
"""
Show one batch as the model gets it: tokens, labels and both positions, Part A and each piece in a colour of its own.

    python scripts/show_batch.py --tokenizer output/demo "Ada wrote the first program." "It was for a machine."
    python scripts/show_batch.py --tokenizer output/demo --text my.txt --levels token document --packing --max_length 256
    python scripts/show_batch.py --tokenizer output/demo --text my.txt --image batch.png

Texts are arguments, or the lines of a file that are not empty. --image draws the attention mask and the positions of the
first row. Colours and pictures need the packages of the extra "demo": pip install transformers-glm[demo]
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path


LINES = ("input_ids", "labels", "position_ids", "block_position_ids", "document_ids")
NAME_WIDTH = 20


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", help="documents to blank")
    parser.add_argument("--text", type=Path, help="a text file, one document a line")
    parser.add_argument("--tokenizer", required=True, help="a folder or a name on the Hub")
    parser.add_argument("--batch_size", type=int, default=4, help="documents of the batch")
    parser.add_argument(
        "--levels", nargs="+", choices=("token", "sentence", "document"), default=["token"], help="in equal shares"
    )
    parser.add_argument("--mask_ratio", type=float, default=0.15, help="share of the tokens that is blanked")
    parser.add_argument("--packing", action="store_true", help="put several documents into one row")
    parser.add_argument("--max_length", type=int, help="most tokens of a row")
    parser.add_argument("--seed", type=int, default=0, help="of the blanks")
    parser.add_argument("--image", type=Path, help="a file for the picture of the first row")
    return parser.parse_args(arguments)


def read_texts(args: argparse.Namespace) -> list[str]:
    """The documents of the batch."""
    texts = args.texts
    if args.text is not None:
        texts = texts + [line for line in args.text.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not texts:
        raise ValueError("There is no text to blank. Give texts as arguments or a file with --text.")
    return texts[: args.batch_size]


def show(batch, tokenizer, console) -> None:
    """Print the rows, each as one line for the tokens and one for each number they have, folded at the console's width."""
    from rich.text import Text

    from transformers_glm.blanking.pictures import PADDING, color_of, parts

    for row in range(len(batch["input_ids"])):
        of_part = parts(batch, row)
        places = [place for place, part in enumerate(of_part) if part != PADDING]
        console.print(Text(f"row {row}: {len(places)} tokens, {len(of_part) - len(places)} of padding", "bold"))
        lines = lines_of(batch, tokenizer, row)
        for chunk, widths in fold(places, lines, console.width):
            for name, cells in lines.items():
                text = Text().append(f"{name:{NAME_WIDTH}}", "dim")
                for place, width in zip(chunk, widths, strict=True):
                    text.append(padded(cells[place], width), color_of(of_part[place]))
                console.print(text, no_wrap=True, overflow="crop")
            console.print()


def lines_of(batch, tokenizer, row: int) -> dict[str, list[str]]:
    """The cells of each line, one for each token; a label that is not predicted is "-"."""
    from transformers_glm.blanking.pictures import spell

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
    from rich.cells import cell_len

    chunk, widths = [], []
    for place in places:
        needed = 2 + max(cell_len(cells[place]) for cells in lines.values())
        if chunk and NAME_WIDTH + sum(widths) + needed > width:
            yield chunk, widths
            chunk, widths = [], []
        chunk.append(place)
        widths.append(needed)
    yield chunk, widths


def padded(cell: str, width: int) -> str:
    """The cell and spaces up to the width; a Chinese character is two cells wide."""
    from rich.cells import cell_len

    return cell + " " * (width - cell_len(cell))


def main(arguments: Sequence[str]) -> None:
    """Print the batch and save its picture."""
    args = parse_arguments(arguments)
    needed = ["rich"] + ["matplotlib"] * (args.image is not None)
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        sys.exit(f"show_batch.py needs {' and '.join(missing)}: pip install transformers-glm[demo]")
    from rich.console import Console
    from transformers import AutoTokenizer

    import transformers_glm
    from transformers_glm.blanking.pictures import save_picture

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    collator = transformers_glm.DataCollatorForBlankInfilling(
        tokenizer,
        mixture={level: args.levels.count(level) / len(args.levels) for level in args.levels},
        mask_ratio=args.mask_ratio,
        packing=args.packing,
        max_length=args.max_length,
        seed=args.seed,
    )
    ids = tokenizer(read_texts(args), split_special_tokens=True).input_ids
    batch = collator([{"input_ids": tokens} for tokens in ids])
    show(batch, tokenizer, Console())
    if args.image is not None:
        save_picture(args.image, batch, tokenizer)
        print(f"The picture of the first row is in {args.image}.")


if __name__ == "__main__":
    from transformers_glm.runs.arguments import run

    run(main)
