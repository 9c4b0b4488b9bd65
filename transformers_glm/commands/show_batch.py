# SPDX-License-Identifier: Apache-2.0
"""
Show one batch as the model gets it: tokens, labels and both positions, Part A and each piece in a colour of its own.

    transformers-glm show-batch --tokenizer output/demo "Ada wrote the first program." "It was for a machine."
    transformers-glm show-batch --tokenizer output/demo --text my.txt --levels token document --packing --max_length 256
    transformers-glm show-batch --tokenizer output/demo --text my.txt --image batch.png

Texts are arguments, or the lines of a file that are not empty. --image draws the attention mask and the positions of the
first row. Colours and pictures need the packages of the extra "demo": pip install transformers-glm[demo]
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from .command_line import make_parser


def parse_flags(arguments: Sequence[str]) -> Namespace:
    """The flags."""
    parser = make_parser(__doc__)
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


def read_texts(args: Namespace) -> list[str]:
    """The documents of the batch."""
    texts = args.texts
    if args.text is not None:
        texts = texts + [line for line in args.text.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not texts:
        raise ValueError("There is no text to blank. Give texts as arguments or a file with --text.")
    return texts[: args.batch_size]


def main(arguments: Sequence[str]) -> None:
    """Print the batch and save its picture."""
    args = parse_flags(arguments)
    needed = ["rich"] + ["matplotlib"] * (args.image is not None)
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        sys.exit(f"show-batch needs {' and '.join(missing)}: pip install transformers-glm[demo]")
    from rich.console import Console
    from transformers import AutoTokenizer

    from ..blanking.collator import DataCollatorForBlankInfilling
    from ..blanking.console import show
    from ..blanking.pictures import draw

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    collator = DataCollatorForBlankInfilling(
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
        draw(batch, tokenizer).savefig(args.image, dpi=130)
        print(f"The picture of the first row is in {args.image}.")
