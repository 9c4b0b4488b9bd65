# SPDX-License-Identifier: Apache-2.0
"""
Seconds of `generate` with the cache beside without it, and how the time of a token grows with the row.

    python benchmarks/generation.py
"""

import argparse
import statistics
import time

import torch
from environment import describe, medians

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration


MASK, SOP = 1, 2


class Clock:
    """A streamer that notes when each token comes."""

    def __init__(self):
        self.times = []

    def put(self, value) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is left to do."""


def main() -> None:
    """Print the ratio and the growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=33)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    config = GLMConfig(
        vocab_size=30592,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        mask_token_ids=[MASK],
        decoder_start_token_id=SOP,
    )
    model = GLMForConditionalGeneration(config).eval()
    prompt = torch.randint(3, config.vocab_size, (args.batch, args.prompt))
    prompt[:, 4], prompt[:, -1] = MASK, SOP

    def generate(use_cache, streamer=None, rows=args.batch):
        length = {"max_new_tokens": args.new_tokens, "min_new_tokens": args.new_tokens}
        return model.generate(prompt[:rows], use_cache=use_cache, do_sample=False, streamer=streamer, **length)

    if not torch.equal(generate(True), generate(False)):
        raise SystemExit("cached and uncached tokens differ")
    seconds = medians({"cache": lambda: generate(True), "no cache": lambda: generate(False)}, args.repetitions)
    clock = Clock()
    generate(True, clock, rows=1)
    steps = [after - before for before, after in zip(clock.times[1:], clock.times[2:], strict=False)]
    quarter = len(steps) // 4
    early, late = statistics.median(steps[:quarter]), statistics.median(steps[-quarter:])
    # a token's work: 12 h^2 a layer and the head, and 2 h a layer and token of the row for attention
    flops = 12 * args.hidden_size**2 * args.layers + config.vocab_size * args.hidden_size
    share = 2 * args.hidden_size * args.layers * (args.new_tokens * 3 / 4) / flops
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, batch {args.batch}, prompt {args.prompt}, {args.new_tokens} new tokens"
    )
    for name, taken in seconds.items():
        print(f"{name:9s} {taken:6.2f} s  {args.batch * args.new_tokens / taken:7.1f} tokens/s")
    print(f"speed {seconds['no cache'] / seconds['cache']:.1f} x")
    print(f"time of a token, last quarter / first: {late / early:.3f} (attention's arithmetic grows by {share:.1%})")


if __name__ == "__main__":
    main()
