# SPDX-License-Identifier: Apache-2.0
"""
Time and peak memory of forward and backward: labelled positions through the head and sdpa, beside every position and eager.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --rows 1 --attention-dropout 0.1
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import torch
from environment import describe, medians

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer
from transformers_glm.collator import DataCollatorForBlankInfilling


VOCABULARY = 30592


def make_batch(rows: int, length: int) -> tuple[dict, GLMTokenizer]:
    """Token-level blanks in the language reference, `rows` documents of `length` tokens."""
    text = "\n".join(topics.values())
    tokenizer = GLMTokenizer.train([text], vocab_size=8192)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    body = length - 2
    documents = [
        [tokenizer.cls_token_id, *ids[start : start + body], tokenizer.eos_token_id]
        for start in range(0, rows * body, body)
    ]
    collator = DataCollatorForBlankInfilling(tokenizer)
    return dict(collator([{"input_ids": document} for document in documents])), tokenizer


def make_model(
    args: argparse.Namespace, attn_implementation: str, tokenizer: GLMTokenizer
) -> GLMForConditionalGeneration:
    """A GLM of the size of BERT-base in training mode."""
    torch.manual_seed(0)
    config = GLMConfig(
        vocab_size=VOCABULARY,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        attention_dropout_prob=args.attention_dropout,
        use_cache=False,
        mask_token_ids=tokenizer.mask_token_ids,
        decoder_start_token_id=tokenizer.sop_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GLMForConditionalGeneration._from_config(config, attn_implementation=attn_implementation).train()


def labelled_positions(model, batch) -> None:
    """One step as the Trainer takes it."""
    model.zero_grad(set_to_none=True)
    model(**batch).loss.backward()


def every_position(model, batch) -> None:
    """The same step with every position through the head."""
    model.zero_grad(set_to_none=True)
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits = model.lm_head(model.glm(**inputs).last_hidden_state)
    model.loss_function(logits, batch["labels"], vocab_size=VOCABULARY).backward()


VARIANTS = {
    "labelled positions, sdpa": (labelled_positions, "sdpa"),
    "every position, eager": (every_position, "eager"),
}


def peak_memory(name: str, arguments: list[str]) -> int:
    """Peak resident bytes of a process of its own that takes two steps."""
    output = subprocess.run(
        [sys.executable, __file__, *arguments, "--memory-of", name], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(output.splitlines()[-1])["peak_bytes"]


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512, help="tokens of a document before its blanks are laid out")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--attention-dropout", type=float, default=0.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    batch, tokenizer = make_batch(args.rows, args.length)
    if args.memory_of:
        step, implementation = VARIANTS[args.memory_of]
        model = make_model(args, implementation, tokenizer)
        for _ in range(2):
            step(model, batch)
        # not ru_maxrss, which a process inherits from its parent
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(json.dumps({"peak_bytes": int(peak[1]) * 1024}))
        return
    runs = {}
    for name, (step, implementation) in VARIANTS.items():
        model = make_model(args, implementation, tokenizer)
        runs[name] = lambda step=step, model=model: step(model, batch)
    seconds = medians(runs, args.repetitions)
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--memory-of")]
    memory = {name: peak_memory(name, arguments) for name in VARIANTS}
    print(describe())
    print(f"{args.layers} x {args.hidden_size}, vocabulary {VOCABULARY}, rows of {tuple(batch['input_ids'].shape)}")
    for name in VARIANTS:
        tokens = args.rows * args.length / seconds[name]
        print(f"{name:26s} {seconds[name]:7.2f} s  {tokens:7.0f} text tokens/s  peak {memory[name] / 2**30:.2f} GiB")
    ours, peer = VARIANTS
    print(f"speed {seconds[peer] / seconds[ours]:.2f} x, peak memory {memory[ours] / memory[peer]:.2f} x")


if __name__ == "__main__":
    main()
