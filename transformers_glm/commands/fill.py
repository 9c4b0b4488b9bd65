# SPDX-License-Identifier: Apache-2.0
r"""
Fill the blanks of texts with a GLM.

    transformers-glm fill --model output/demo "Ada [MASK] the first [MASK]."
    transformers-glm fill --model output/demo --num_beams 4 < texts.txt
    transformers-glm fill --model output/demo --json --do_sample --num_return_sequences 3 "It was [MASK]."

Texts are arguments, or lines of the standard input; each gives a line, also one without a blank, and a line break in a piece
is written as \n (--json has it as it is). `[MASK]` stands for a span, `[sMASK]` for sentences, `[gMASK]` for the rest of a text.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from itertools import chain, islice

from ..files import refuse_missing
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
    refuse_missing(args.model, "--model")
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, set_seed
    from transformers.utils import logging

    from ..infilling import FilledText, fill_blanks, read_prompt

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model).eval()
    set_seed(args.seed)
    names = ["max_new_tokens", "num_beams", "num_return_sequences", "do_sample"]
    names += ["temperature", "top_k"] if args.do_sample else []
    settings = {name: getattr(args, name) for name in names}
    texts = iter(args.texts) if args.texts else (line.rstrip("\r\n") for line in sys.stdin)
    masks, refused = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids), False
    for batch in iter(lambda: list(islice(texts, args.batch_size)), []):  # a long input is answered as it is read
        results = [[FilledText(text, [], [])] for text in batch]  # what has no blank, or cannot be filled, stays
        places = []
        for place, text in enumerate(batch):
            if not any(mask in text for mask in masks):
                continue
            try:  # one bad line does not end a long input
                read_prompt(text, tokenizer, model.config.max_sequence_length + 1)
                places.append(place)
            except ValueError as error:
                print(f"error: {error}", file=sys.stderr)
                refused = True
        texts_to_fill = [batch[place] for place in places]
        filled = fill_blanks(model, tokenizer, texts_to_fill, batch_size=args.batch_size, **settings)
        for place, ways in zip(places, filled, strict=True):
            results[place] = ways if isinstance(ways, list) else [ways]
        for one in chain.from_iterable(results):
            line = json.dumps(vars(one), ensure_ascii=False) if args.json else one.text.replace("\n", "\\n")
            print(line, flush=True)
    if refused:
        sys.exit(1)
