# SPDX-License-Identifier: Apache-2.0
"""
Forward and backward on real text: GLM beside BERT and GPT-2 of the same size, and beside itself without what makes it fast.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --rows 1 --attention-dropout 0.1

Each model reads the same documents of `--length` tokens, cut by one vocabulary: GLM with token-level blanks, BERT with 15 % of
the tokens masked, GPT-2 as they are. Text tokens are those of the documents, not what blanks and pieces add. The share of the
machine is the arithmetic of GLM's matrix products, counted by PyTorch, beside the rate of one large product.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import torch
from environment import describe, medians
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling


VOCABULARY = 30592
SLOW, OURS, BERT, GPT2 = "GLM, every position, eager", "GLM", "BertForMaskedLM", "GPT2LMHeadModel"
NAMES = (OURS, SLOW, BERT, GPT2)


def make_documents(rows: int, length: int) -> tuple[list[dict], GLMTokenizer]:
    """`rows` documents of `length` tokens from Python's language reference, [CLS] and eos included."""
    text = "\n".join(topics.values())
    tokenizer = GLMTokenizer.train([text], vocab_size=8192)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    body = length - 2
    starts = range(0, rows * body, body)
    documents = [[tokenizer.cls_token_id, *ids[start : start + body], tokenizer.eos_token_id] for start in starts]
    return [{"input_ids": document} for document in documents], tokenizer


def make_glm(args: argparse.Namespace, tokenizer: GLMTokenizer, attn_implementation: str) -> PreTrainedModel:
    """A GLM of the size of BERT-base."""
    config = GLMConfig.for_tokenizer(
        tokenizer,
        vocab_size=VOCABULARY,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        max_sequence_length=max(512, args.length),
        attention_dropout_prob=args.attention_dropout,
        use_cache=False,
    )
    return GLMForConditionalGeneration._from_config(config, attn_implementation=attn_implementation)


def make_peer(args: argparse.Namespace, name: str) -> PreTrainedModel:
    """BERT or GPT-2 with as many layers, as wide, with the same vocabulary and dropout."""
    if name == BERT:
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=args.hidden_size,
            num_hidden_layers=args.layers,
            num_attention_heads=args.hidden_size // 64,
            intermediate_size=4 * args.hidden_size,
            attention_probs_dropout_prob=args.attention_dropout,
            max_position_embeddings=max(512, args.length),
        )
        return BertForMaskedLM._from_config(config, attn_implementation="sdpa")
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=args.hidden_size,
        n_layer=args.layers,
        n_head=args.hidden_size // 64,
        attn_pdrop=args.attention_dropout,
        n_positions=max(1024, args.length),
        use_cache=False,
    )
    return GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")


def step_of(name: str, args: argparse.Namespace) -> tuple[Callable[[], None], PreTrainedModel]:
    """One forward and backward of a model on its batch of the same documents."""
    documents, tokenizer = make_documents(args.rows, args.length)
    torch.manual_seed(0)
    if name in (OURS, SLOW):
        model = make_glm(args, tokenizer, "sdpa" if name == OURS else "eager").train()
        batch = dict(DataCollatorForBlankInfilling(tokenizer)(documents))
    else:
        model = make_peer(args, name).train()
        batch = dict(DataCollatorForLanguageModeling(tokenizer, mlm=name == BERT)(documents))

    def step():
        model.zero_grad(set_to_none=True)
        if name == SLOW:
            inputs = {key: tensor for key, tensor in batch.items() if key != "labels"}
            logits = model.lm_head(model.glm(**inputs).last_hidden_state)
            model.loss_function(logits, batch["labels"], vocab_size=VOCABULARY).backward()
        else:
            model(**batch).loss.backward()

    return step, model


def peak_memory(name: str, arguments: list[str]) -> int:
    """Peak resident bytes of a process of its own that takes two steps."""
    output = subprocess.run(
        [sys.executable, __file__, *arguments, "--memory-of", name], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(output.splitlines()[-1])["peak_bytes"]


def print_peak(step: Callable[[], None]) -> None:
    """What the process of `peak_memory` prints."""
    for _ in range(2):
        step()
    # not ru_maxrss, which a process inherits from its parent
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"peak_bytes": int(peak[1]) * 1024}))


def main() -> None:
    """Print seconds, memory and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=512, help="tokens of a document before its blanks are laid out")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--attention-dropout", type=float, default=0.0, help="of all models")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--memory-of", choices=NAMES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        print_peak(step_of(args.memory_of, args)[0])
        return
    steps = {name: step_of(name, args)[0] for name in NAMES}
    size = 2048
    left, right = torch.randn(size, size), torch.randn(size, size)
    seconds = medians({**steps, "product": lambda: left @ right}, args.repetitions)
    with FlopCounterMode(display=False) as counter:
        steps[OURS]()
    memory = {name: peak_memory(name, sys.argv[1:]) for name in NAMES}
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, vocabulary {VOCABULARY}, {args.rows} documents of {args.length} tokens, "
        f"attention dropout {args.attention_dropout}, medians of {args.repetitions}\n"
    )
    for name in NAMES:
        rate = args.rows * args.length / seconds[name]
        print(
            f"{name:27s} {seconds[name]:6.2f} s {seconds[name].spread} {rate:6.0f} text tokens/s   peak {memory[name] / 2**30:5.2f} GiB   "
            f"GLM {seconds[name] / seconds[OURS]:5.2f} x as fast, with {memory[OURS] / memory[name]:4.2f} x the memory"
        )
    achieved, possible = counter.get_total_flops() / seconds[OURS], 2 * size**3 / seconds["product"]
    print(
        f"\nGLM's matrix products: {achieved / 1e9:.0f} GFLOP/s, {achieved / possible:.0%} of one product of {size} x {size} "
        f"({possible / 1e9:.0f} GFLOP/s)"
    )


if __name__ == "__main__":
    main()
