# SPDX-License-Identifier: Apache-2.0
"""
Fill the blanks of texts with a GLM.

    transformers-glm fill --model output/demo "Ada [MASK] the first [MASK]."
    transformers-glm fill --model output/demo --num_beams 4 < texts.txt
    transformers-glm fill --model output/demo --json --do_sample --num_return_sequences 3 "It was [MASK]."

Texts are arguments, or lines of the standard input. `[MASK]` stands for a span, `[sMASK]` for sentences, `[gMASK]` for the
rest of a text.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from itertools import islice

from .command_line import make_parser


def parse_flags(arguments: Sequence[str]) -> Namespace:
    """The flags."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "texts", nargs="*", help="texts with blanks; the lines of the standard input if there are none"
    )
    parser.add_argument("--model", default="output/demo", help="a folder or a name on the Hub")
    parser.add_argument("--batch_size", type=int, default=16, help="texts that are filled together")
    parser.add_argument("--max_new_tokens", type=int, default=64, help="most tokens of one piece")
    parser.add_argument("--num_beams", type=int, default=1, help="beams of the search; 1 is greedy")
    parser.add_argument("--do_sample", action="store_true", help="draw tokens in place of taking the likeliest")
    parser.add_argument("--temperature", type=float, default=1.0, help="of drawing: lower is safer")
    parser.add_argument("--top_k", type=int, default=40, help="draw from this many tokens")
    parser.add_argument("--num_return_sequences", type=int, default=1, help="ways to fill each text")
    parser.add_argument("--seed", type=int, default=0, help="of drawing")
    parser.add_argument(
        "--json", action="store_true", help="print pieces and log-probabilities too, a JSON object a line"
    )
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f"--batch_size {options.batch_size} fills nothing: it must be 1 or more.")
    return options


def main(arguments: Sequence[str]) -> None:
    """Print each text with its blanks filled; the exit status is 1 if one could not be."""
    args = parse_flags(arguments)
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, set_seed
    from transformers.utils import logging

    from ..infilling import fill_blanks, read_prompt

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model).eval()
    set_seed(args.seed)
    names = ["max_new_tokens", "num_beams", "num_return_sequences", "do_sample"]
    names += ["temperature", "top_k"] if args.do_sample else []
    settings = {name: getattr(args, name) for name in names}
    texts = iter(args.texts) if args.texts else (line.rstrip("\n") for line in sys.stdin if line.strip())
    refused = False
    for batch in iter(lambda: list(islice(texts, args.batch_size)), []):  # a long input is answered as it is read
        readable = []
        for text in batch:  # one bad line does not end a long input
            try:
                read_prompt(text, tokenizer, model.config.max_sequence_length + 1)
                readable.append(text)
            except ValueError as error:
                print(f"error: {error}", file=sys.stderr)
                refused = True
        for filled in fill_blanks(model, tokenizer, readable, batch_size=args.batch_size, **settings):
            for one in filled if isinstance(filled, list) else [filled]:
                print(json.dumps(vars(one), ensure_ascii=False) if args.json else one.text, flush=True)
    if refused:
        sys.exit(1)
