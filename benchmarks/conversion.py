# SPDX-License-Identifier: Apache-2.0
"""
Converting a large checkpoint: peak memory beside its size, time beside copying its files.

    python benchmarks/conversion.py                    # 2B parameters, 4 GB of disk twice
    python benchmarks/conversion.py --layers 4         # small

The checkpoint is random, in half precision, in the form of a Hub snapshot (pytorch_model.bin), and is written here first.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from environment import describe


sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import old_checkpoints as old  # noqa: E402


def write_checkpoint(folder: Path, layers: int, width: int, vocabulary: int) -> int:
    """A snapshot of the Hub of this size; returns the bytes of its weights."""
    state = old.old_state(width=width, layers=layers, vocabulary=vocabulary, dtype=torch.float16)
    heads = width // 64
    old.write_hub(
        folder,
        state,
        "pytorch_model.bin",
        hidden_size=width,
        num_layers=layers,
        num_attention_heads=heads,
        vocab_size=vocabulary,
    )
    return sum(tensor.nbytes for tensor in state.values())


def convert_in_a_process(source: Path, out: Path) -> dict:
    """Convert, and print seconds and peak memory; the memory before is what the libraries take."""
    from transformers_glm.conversion.run import convert

    def memory(field):
        return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

    before, begin = memory("VmRSS"), time.perf_counter()
    convert(source, out)
    return {"seconds": time.perf_counter() - begin, "before": before, "peak": memory("VmHWM")}


def copy_files(source: Path, out: Path) -> float:
    """Seconds of copying, by reading and writing as a conversion must, to the disk."""
    begin = time.perf_counter()
    out.mkdir()
    for file in source.iterdir():
        with file.open("rb") as read, (out / file.name).open("wb") as written:
            shutil.copyfileobj(read, written, 16 * 2**20)
    return time.perf_counter() - begin


def main() -> None:
    """Print size, memory and time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--hidden-size", type=int, default=2048)
    parser.add_argument("--vocabulary", type=int, default=50304)
    parser.add_argument("--folder", type=Path, help="where to write, by default the system's temporary folder")
    parser.add_argument("--convert", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.convert:
        print(json.dumps(convert_in_a_process(*args.convert)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        root = Path(temporary)
        size = write_checkpoint(root / "hub", args.layers, args.hidden_size, args.vocabulary)
        copying = min(copy_files(root / "hub", root / f"copy{turn}") for turn in range(2))
        shutil.rmtree(root / "copy0")
        shutil.rmtree(root / "copy1")
        command = [sys.executable, __file__, "--convert", str(root / "hub"), str(root / "out")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured = json.loads(done.stdout.splitlines()[-1])
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, vocabulary {args.vocabulary}: {size / 2 / 1e9:.2f} B parameters, {size / 1e9:.2f} GB\n"
    )
    print(
        f"peak memory {measured['peak'] / 1e9:.2f} GB ({measured['before'] / 1e9:.2f} GB before it began): {measured['peak'] / size:.2f} x the checkpoint"
    )
    print(f"{measured['seconds']:.1f} s, copying the files {copying:.1f} s: {measured['seconds'] / copying:.2f} x")


if __name__ == "__main__":
    main()
