# SPDX-License-Identifier: Apache-2.0
"""
One card: pretraining, the largest size that trains, generation, the data loader.

    python benchmarks/gpu.py             # a CUDA device; without one the table says so
    python benchmarks/gpu.py --small     # tiny models on any machine: shows that it runs, measures nothing

Pretraining is GLM of 335M parameters on packed rows of real text, bfloat16 and AdamW, beside BERT-large and GPT-2-medium with
the same vocabulary on the same text. The share is GLM's arithmetic (`transformers_glm.pretraining.costs`, every row attended whole) of the
rate of one large bfloat16 product on the same card. Generation is greedy, in bfloat16; a static cache is compiled by `generate`.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence

import torch
from environment import describe, medians
from generation import generate, make_models, make_prompt
from gpu_training import CANDIDATES, SIZES, attempt, largest_size, pretraining, share_of_waiting


FULL = {
    "layers": 24,
    "hidden_size": 1024,
    "rows": 16,
    "lengths": (512, 1024),
    "attention_dropout": 0.1,
    "product": 8192,
    "batches": (1, 32, 256),
    "prompt": 33,
    "new_tokens": 128,
    "steps": 100,
    "workers": 4,
    "repetitions": 10,
    "backend": "inductor",
}
SMALL = {
    "layers": 1,
    "hidden_size": 64,
    "rows": 2,
    "lengths": (64,),
    "product": 64,
    "batches": (1, 2),
    "prompt": 9,
    "new_tokens": 4,
    "steps": 5,
    "workers": 0,
    "repetitions": 1,
    "backend": "eager",
}
CACHES = {"dynamic cache": {}, "static cache": {"cache_implementation": "static"}}


def generation(args: argparse.Namespace, device: torch.device, wait: Callable[[], None]) -> Iterator[str]:
    """Lines of the table of generation."""
    models = {
        type(model).__name__: model.to(device, torch.bfloat16)  # GLM and GPT-2
        for model in make_models(args)
    }
    for batch in args.batches:
        yield f"\n{args.new_tokens} new tokens, prompt {args.prompt}, batch {batch}"
        prompt = make_prompt(batch, args.prompt).to(device)
        for name, model in models.items():
            for cache, settings in CACHES.items():
                run = {name: lambda: generate(model, prompt, args.new_tokens, **settings)}  # noqa: B023
                seconds = attempt(lambda: medians(run, args.repetitions, wait=wait))  # noqa: B023
                rate = (
                    "out of memory" if seconds is None else f"{batch * args.new_tokens / seconds[name]:9.1f} tokens/s"
                )
                yield f"{f'{name}, {cache}':45s} {rate}"


def measure(args: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """All lines, in the order in which they are measured."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    card = torch.cuda.get_device_name() if device.type == "cuda" else "no card"
    if args.small:
        yield "small: shows that it runs, measures nothing"
    yield f"{card}; GLM {args.layers} x {args.hidden_size}, medians of {args.repetitions}"
    left, right = (torch.randn(args.product, args.product, device=device, dtype=torch.bfloat16) for _ in range(2))
    possible = 2 * args.product**3 / medians({"product": lambda: left @ right}, args.repetitions, wait=wait)["product"]
    yield f"one product of {args.product} x {args.product} in bfloat16: {possible / 1e12:.3g} TFLOP/s"
    yield from pretraining(args, device, wait, possible)
    yield from largest_size(args, device, wait)
    yield from generation(args, device, wait)
    share = share_of_waiting(args, device, wait)
    yield f"\na step waits for its batch {share:.1%} of the time, {args.workers} workers"


def not_measured(args: argparse.Namespace) -> Iterator[str]:
    """The table of a machine without a card."""
    yield "not measured: this machine has no CUDA device. With --small the code runs, with tiny models."
    for length in args.lengths:
        yield f"\nrows of {length} tokens, about {args.rows}"
        yield from (f"{name:45s} not measured" for name in CANDIDATES)
    yield f"\nthe largest published size that trains, of {', '.join(SIZES)}: not measured"
    for batch in args.batches:
        yield f"generation, batch {batch}, {', '.join(CACHES)}: not measured"
    yield "share of the time that a step waits for its batch: not measured"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny models, on the CPU if there is no card")
    args = parser.parse_args(arguments)
    vars(args).update({**FULL, **(SMALL if args.small else {})})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(describe())
    lines = measure(args, device) if args.small or device.type == "cuda" else not_measured(args)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
