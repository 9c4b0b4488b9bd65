# SPDX-License-Identifier: Apache-2.0
"""
Seconds that `import transformers_glm` takes beside `import transformers`, each in fresh processes.

    python benchmarks/imports.py
"""

import subprocess
import sys

from environment import Median, describe


REPETITIONS = 7


def seconds(module: str) -> float:
    """Seconds of one import in a process of its own."""
    program = f"import time; begin = time.perf_counter(); import {module}; print(time.perf_counter() - begin)"
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print both and what ours adds."""
    taken = {"transformers": [], "transformers_glm": []}
    for _ in range(REPETITIONS):
        for module, times in taken.items():
            times.append(seconds(module))
    alone, ours = (Median(times) for times in taken.values())
    print(describe())
    print(
        f"transformers {alone:.2f} s {alone.spread}, transformers_glm {ours:.2f} s {ours.spread}, medians of {REPETITIONS}"
    )
    print(f"ratio {ours / alone:.2f} x, {ours - alone:+.2f} s")


if __name__ == "__main__":
    main()
