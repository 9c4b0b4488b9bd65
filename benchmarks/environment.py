# SPDX-License-Identifier: Apache-2.0
"""What every benchmark prints beside its ratios, and how it takes time: medians over interleaved repetitions."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import torch


def describe(*more: str) -> str:
    """The machine and the versions, of `more` packages too, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "tokenizers", "numpy", *more))
    return f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, {packages}"


class Median(float):
    """The median of some figures; `spread` says how far they lie apart, the half of their range beside the median."""

    def __new__(cls, figures: Sequence[float]):
        """Of at least one figure."""
        made = super().__new__(cls, statistics.median(figures))
        made.spread = f"± {(max(figures) - min(figures)) / 2 / made:.0%}"
        return made


def medians(
    candidates: dict[str, Callable[[], object]], repetitions: int, wait: Callable[[], None] = lambda: None
) -> dict[str, Median]:
    """
    Median seconds of each candidate. They take turns, so that what disturbs the machine disturbs all of them.

    Args:
        candidates (`dict[str, Callable]`): what to run, by name; each runs once before the clock does.
        repetitions (`int`): how often each is timed.
        wait (`Callable`, *optional*): returns when what was run is done, for a card that works while Python goes on.
    """
    seconds = {name: [] for name in candidates}
    for turn in range(repetitions + 1):
        for name, run in candidates.items():
            begin = time.perf_counter()
            run()
            wait()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return {name: Median(taken) for name, taken in seconds.items()}
