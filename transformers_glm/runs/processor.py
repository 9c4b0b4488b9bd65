# SPDX-License-Identifier: Apache-2.0
"""The processor that a run is on: its name, and what it can multiply."""

import logging
import platform
import timeit
from pathlib import Path

import torch
from transformers import TrainingArguments


logger = logging.getLogger(__name__)

INFORMATION = Path("/proc/cpuinfo")  # of Linux
WIDTH = 256  # rows and columns of the matrices that are multiplied to find out
MUCH_SLOWER = 1.5  # bf16 at this many times the seconds of fp32 is not worth having


def processor_name() -> str:
    """What the processor calls itself, the instructions that PyTorch uses, and the number of threads."""
    lines = INFORMATION.read_text().splitlines() if INFORMATION.is_file() else ()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def bf16_slowdown() -> float:
    """
    How many times as long a product of two matrices takes in bf16 as in fp32 on this processor, measured.

    About a half where it has instructions for it, about a hundred where it has none.
    """
    return _seconds(torch.bfloat16) / _seconds(torch.float32)


def warn_of_slow_bf16(args: TrainingArguments) -> None:
    """Warn of bf16 on a processor that is slower with it than without, and say what was measured."""
    if args.bf16 and args.device.type == "cpu" and (slowdown := bf16_slowdown()) > MUCH_SLOWER:
        logger.warning(
            "bf16 is on, and a product of matrices takes %.0f times as long in it as in fp32 on this processor (%s): it has "
            "no instructions for it. Give --bf16 False.",
            slowdown,
            processor_name(),
        )


def _seconds(dtype: torch.dtype) -> float:
    matrix = torch.ones(WIDTH, WIDTH, dtype=dtype)
    return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=4)[1:])  # the first one also makes ready
