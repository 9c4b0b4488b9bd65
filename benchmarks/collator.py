# SPDX-License-Identifier: Apache-2.0
"""
Speed of the collator, in samples per second of CPU time, beside a naive implementation of the same in the same run.

    python benchmarks/collator.py
    python benchmarks/collator.py --length 1024 --batch 32
"""

import argparse
import os
import platform
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from environment import Median
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from naive_span import naive_batch  # noqa: E402


ORIGINAL = 750  # samples per CPU second of the original code, 512 tokens, batches of 16
SPECIAL = [
    "[PAD]",
    "<|endoftext|>",
    "[CLS]",
    "[MASK]",
    "[sMASK]",
    "[gMASK]",
    "<|startofpiece|>",
    "<|endofpiece|>",
    "[UNK]",
    ".",
]


def make_tokenizer(vocab_size: int) -> GLMTokenizer:
    """A vocabulary of the size of the released models', words without meaning."""
    words = [*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), vocab_size))]
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = WhitespaceSplit()
    return GLMTokenizer(tokenizer_object=backend)


def make_documents(tokenizer: GLMTokenizer, number: int, length: int) -> list[list[int]]:
    """Documents of words drawn at random, a sentence end after 20 words on average."""
    rng, dot = random.Random(0), tokenizer.convert_tokens_to_ids(".")
    words = range(len(SPECIAL), len(tokenizer))
    return [
        [
            tokenizer.cls_token_id,
            *(dot if rng.random() < 0.05 else rng.choice(words) for _ in range(length - 2)),
            tokenizer.eos_token_id,
        ]
        for _ in range(number)
    ]


def samples_per_second(collate, batches: list) -> list[float]:
    """One figure for each pass over the batches."""
    collate(batches[0])
    figures = []
    for _ in range(7):
        start = time.process_time()
        for batch in batches:
            collate(batch)
        figures.append(sum(map(len, batches)) / (time.process_time() - start))
    return figures


def main(length: int, batch: int) -> dict[str, float]:
    """Print the table and return the medians."""
    tokenizer = make_tokenizer(30_592)
    documents = make_documents(tokenizer, 16 * batch, length)
    batches = [documents[i : i + batch] for i in range(0, len(documents), batch)]
    rows = [[{"input_ids": tokens} for tokens in batch] for batch in batches]
    roles = ("mask", "sop", "eop", "pad", "cls", "eos")
    ids = {role: getattr(tokenizer, f"{role}_token_id") for role in roles}
    rng = random.Random(0)

    def naive(documents):
        made = naive_batch(documents, ids, 0.15, 3.0, 39, rng)
        return {name: torch.tensor(values) for name, values in made.items()}

    medians = {"naive twin, token level": Median(samples_per_second(naive, batches[:4]))}
    for level in ("token", "sentence", "document"):
        collator = DataCollatorForBlankInfilling(tokenizer, {level: 1.0})
        medians[f"{level} level"] = Median(samples_per_second(collator, rows))
    mixture = {"token": 0.4, "sentence": 0.3, "document": 0.3}  # of GLM-10B, second phase
    medians["mixture"] = Median(samples_per_second(DataCollatorForBlankInfilling(tokenizer, mixture), rows))
    collator = DataCollatorForBlankInfilling(tokenizer, packing=True, max_length=4 * length)
    medians["token level, packed"] = Median(samples_per_second(collator, rows))
    report(medians, length, batch)
    return medians


def report(medians: dict[str, float], length: int, batch: int) -> None:
    """The environment, then one line for each measurement."""
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, {os.cpu_count()} CPUs"
    )
    print(f"documents of {length} tokens, batches of {batch}; samples per CPU second, medians of 7\n")
    naive = medians["naive twin, token level"]
    for name, figure in medians.items():
        print(
            f"{name:25s} {figure:8.0f} {figure.spread}   {figure / naive:6.1f} x naive   {figure / ORIGINAL:6.1f} x the original's {ORIGINAL}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=512, help="Tokens of a document.")
    parser.add_argument("--batch", type=int, default=16, help="Documents of a batch.")
    main(**vars(parser.parse_args()))
