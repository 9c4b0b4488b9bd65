# SPDX-License-Identifier: Apache-2.0
"""
`generate` with the cache: tokens per second beside GPT-2 of the same size, and per CPU second beside the original's code.

    python benchmarks/generation.py
    python benchmarks/generation.py --batch 8
"""

import argparse
import statistics
import time

import torch
from environment import Median, describe, medians
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration


VOCABULARY, MASK, SOP = 30592, 1, 2
# tokens a CPU second of the original's code on the Hub, where its cache worked: a model of this size, batches of 1 and 8
ORIGINAL = {1: 7, 8: 11}


class Clock:
    """A streamer that notes when each token comes."""

    def __init__(self):
        self.times = []

    def put(self, value) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is left to do."""


def make_models(args: argparse.Namespace) -> tuple[GLMForConditionalGeneration, GPT2LMHeadModel]:
    """GLM and GPT-2 with as many layers and as wide."""
    torch.manual_seed(0)
    glm = GLMConfig(
        vocab_size=VOCABULARY,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        mask_token_ids=[MASK],
        decoder_start_token_id=SOP,
    )
    gpt2 = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=args.hidden_size,
        n_layer=args.layers,
        n_head=args.hidden_size // 64,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GLMForConditionalGeneration(glm).eval(), GPT2LMHeadModel(gpt2).eval()


def make_prompt(batch: int, length: int) -> torch.Tensor:
    """Rows of random tokens with a blank in them and sop at their end."""
    prompt = torch.randint(3, VOCABULARY, (batch, length))
    prompt[:, 4], prompt[:, -1] = MASK, SOP
    return prompt


def generate(model: PreTrainedModel, prompt: torch.Tensor, new_tokens: int, **kwargs) -> torch.Tensor:
    """The prompt and `new_tokens` tokens, the likeliest at each place."""
    length = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False}
    return model.generate(prompt, attention_mask=torch.ones_like(prompt), pad_token_id=0, **length, **kwargs)


def growth(generate) -> float:
    """The time of a token in the last quarter of a piece, beside that in the first."""
    clock = Clock()
    generate(clock)
    steps = [after - before for before, after in zip(clock.times[1:], clock.times[2:], strict=False)]
    quarter = len(steps) // 4
    return statistics.median(steps[-quarter:]) / statistics.median(steps[:quarter])


def main() -> None:
    """Print the ratios and the growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=33)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    glm, gpt2 = make_models(args)
    prompt = make_prompt(args.batch, args.prompt)
    if not torch.equal(generate(glm, prompt, 8), generate(glm, prompt, 8, use_cache=False)):
        raise SystemExit("cached and uncached tokens differ")
    cpu_seconds = []

    def ours() -> None:
        begin = time.process_time()
        generate(glm, prompt, args.new_tokens)
        cpu_seconds.append(time.process_time() - begin)

    runs = {
        "GLM": ours,
        "GPT2LMHeadModel": lambda: generate(gpt2, prompt, args.new_tokens),
    }
    seconds = medians(runs, args.repetitions)
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, batch {args.batch}, prompt {args.prompt}, {args.new_tokens} new tokens, "
        f"medians of {args.repetitions}\n"
    )
    for name, taken in seconds.items():
        rate = args.batch * args.new_tokens / taken
        print(
            f"{name:16s} {taken:7.2f} s {taken.spread} {rate:7.1f} tokens/s   GLM {taken / seconds['GLM']:5.2f} x as fast"
        )
    if args.batch in ORIGINAL:
        rate, original = args.batch * args.new_tokens / Median(cpu_seconds[1:]), ORIGINAL[args.batch]
        print(f"{rate:.1f} tokens per CPU second: {rate / original:.1f} x the original's {original}")
    # a token's work: 12 h^2 a layer and the head, and 2 h a layer and token of the row for attention
    work = 12 * args.hidden_size**2 * args.layers + VOCABULARY * args.hidden_size
    share = 2 * args.hidden_size * args.layers * (args.new_tokens * 3 / 4) / work
    late = growth(lambda clock: generate(glm, prompt[:1], args.new_tokens, streamer=clock))
    print(f"\ntime of a token, last quarter / first: {late:.3f} (attention's arithmetic grows by {share:.1%})")


if __name__ == "__main__":
    main()
