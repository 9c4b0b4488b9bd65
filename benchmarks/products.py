# SPDX-License-Identifier: Apache-2.0
"""
The matrix products of a decoding step: `nn.Linear` (GLM, BERT) beside `Conv1D` (GPT-2), which keeps its weights transposed.

    python benchmarks/products.py

It says where generation gains and loses against GPT-2 whatever our code does. Each kind has 12 matrices of each shape, so that they come
from memory, as in a model.
"""

from collections.abc import Callable
from itertools import cycle

import torch
from environment import describe, medians


SHAPES = ((768, 2304), (768, 768), (768, 3072), (3072, 768))
LAYERS, REPETITIONS = 12, 15


def layer_by_layer(product: Callable, rows: int, transposed: bool) -> Callable[[], None]:
    """All products of a step of a 12 x 768 model on this many rows."""
    inputs = {width: torch.randn(rows, width) for width, _ in SHAPES}
    weights = [
        (inputs[width], torch.randn(*((width, out) if transposed else (out, width))), torch.randn(out))
        for _, (width, out) in zip(range(LAYERS * len(SHAPES)), cycle(SHAPES), strict=False)
    ]

    def step() -> None:
        for rows, weight, bias in weights:
            product(rows, weight, bias)

    return step


@torch.no_grad()
def main() -> None:
    """Print the table."""
    print(describe())
    print(f"the products of a step of 12 x 768, medians of {REPETITIONS}\n")
    for rows in (1, 2, 8):
        seconds = medians(
            {
                "linear": layer_by_layer(torch.nn.functional.linear, rows, transposed=False),
                "conv1d": layer_by_layer(lambda x, weight, bias: torch.addmm(bias, x, weight), rows, transposed=True),
            },
            REPETITIONS,
        )
        ours, theirs = seconds["linear"], seconds["conv1d"]
        print(
            f"{rows} rows: nn.Linear {ours * 1e3:5.1f} ms {ours.spread}   Conv1D {theirs * 1e3:5.1f} ms {theirs.spread}   "
            f"nn.Linear {theirs / ours:.2f} x as fast"
        )


if __name__ == "__main__":
    main()
