# SPDX-License-Identifier: Apache-2.0
"""
Packed rows beside padded ones: text tokens per second of forward and backward on documents of mixed length, and the loss.

    python benchmarks/packing.py
    python benchmarks/packing.py --hidden-size 768 --layers 12

The documents are the paragraphs of Python's language reference as they come, in the same order for both. A padded batch has the
length of its longest; a packed one has as few rows of `--max-length` as the documents fit into.
"""

import argparse
from pydoc_data.topics import topics

import torch
from environment import describe, medians

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling


def make_rows(number: int, max_tokens: int) -> tuple[list[dict], GLMTokenizer]:
    """Paragraphs of 8 tokens or more, each a document, cut to `max_tokens`."""
    text = "\n".join(topics[name] for name in sorted(topics))
    tokenizer = GLMTokenizer.train([text], vocab_size=8192)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    encoded = [tokenizer(paragraph, add_special_tokens=False)["input_ids"] for paragraph in paragraphs]
    wanted = [ids[: max_tokens - 2] for ids in encoded if len(ids) >= 8][:number]
    return [{"input_ids": [tokenizer.cls_token_id, *ids, tokenizer.eos_token_id]} for ids in wanted], tokenizer


def main() -> None:
    """Print tokens per second, the ratio and both losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16, help="documents in a padded batch")
    parser.add_argument("--max-length", type=int, default=512, help="tokens of a packed row, at most")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    rows, tokenizer = make_rows(args.documents, args.max_length - 150)
    config = GLMConfig.for_tokenizer(
        tokenizer,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        embedding_dropout_prob=0.0,
        attention_dropout_prob=0.0,
        output_dropout_prob=0.0,
        use_cache=False,
    )
    torch.manual_seed(0)
    model = GLMForConditionalGeneration(config).train()
    settings = {"max_length": args.max_length, "seed": 0}
    padded = DataCollatorForBlankInfilling(tokenizer, **settings)
    packed = DataCollatorForBlankInfilling(tokenizer, packing=True, **settings)
    groups = [rows[start : start + args.batch] for start in range(0, len(rows), args.batch)]
    # a packed row of max_length holds what several padded ones hold: the same documents make larger, fewer batches
    batches = {
        "padded": [dict(padded(group)) for group in groups],
        "packed": [
            dict(packed(rows[start : start + 4 * args.batch])) for start in range(0, len(rows), 4 * args.batch)
        ],
    }
    predicted = sum(int((batch["labels"] != -100).sum()) for batch in batches["padded"])
    losses = {}

    def run(name):
        model.zero_grad(set_to_none=True)
        losses[name] = 0.0
        for batch in batches[name]:
            loss = model(**batch, num_items_in_batch=predicted).loss
            loss.backward()
            losses[name] += loss.item()

    seconds = medians({name: lambda name=name: run(name) for name in batches}, args.repetitions)
    tokens = sum(len(row["input_ids"]) for row in rows)
    lengths = sorted(len(row["input_ids"]) for row in rows)
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, {len(rows)} documents of {lengths[0]} to {lengths[-1]} tokens (median "
        f"{lengths[len(lengths) // 2]}), medians of {args.repetitions}\n"
    )
    for name, made in batches.items():
        places = sum(batch["input_ids"].numel() for batch in made)
        used = sum(int(batch["attention_mask"].sum()) for batch in made) / places
        print(
            f"{name}  {len(made)} batches, {used:4.0%} of {places} places used   {tokens / seconds[name]:7.0f} text tokens/s "
            f"{seconds[name].spread}   loss {losses[name]:.6f}"
        )
    print(f"\npacked {seconds['padded'] / seconds['packed']:.2f} x as fast")


if __name__ == "__main__":
    main()
