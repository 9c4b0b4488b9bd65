# SPDX-License-Identifier: Apache-2.0
"""
Runs the benchmarks and writes what they print, with their commands, to benchmarks/RESULTS.md.

    python benchmarks/run.py                     # all except gpu, about half an hour on two quiet cores
    python benchmarks/run.py collator packing    # some; the others keep what was written of them before
"""

import argparse
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from tqdm import tqdm


FOLDER = Path(__file__).parent
RESULTS = FOLDER / "RESULTS.md"
# what is measured, and how it is asked for
COMMANDS = {
    "collator": ["collator.py"],
    "tokenization": ["tokenization.py"],
    "training step": ["training_step.py --rows 2"],
    "training step, one row": ["training_step.py --rows 1"],
    "training step, attention dropout": ["training_step.py --rows 1 --attention-dropout 0.1"],
    "packing": ["packing.py"],
    "generation": ["generation.py", "generation.py --batch 8", "products.py"],
    "shared contexts": ["blanks.py"],
    "conversion": ["conversion.py"],
    "the whole loop": ["pretraining_loop.py --steps 20"],
    "quantization": ["quantization.py"],
    "imports": ["imports.py"],
    "gpu": ["gpu.py"],
}
ON_THE_CPU = [name for name in COMMANDS if name != "gpu"]
NOISE = re.compile(r"^(\[transformers\]|W\d{4} |Failed to load|Writing model|\{'|.*(Warning|it/s\]))")


def measure(command: str) -> str:
    """What a benchmark prints, without the libraries' remarks."""
    script, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments], stdout=subprocess.PIPE, text=True, cwd=FOLDER.parent
    )
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}; {RESULTS.name} is as it was.")
    return "\n".join(line.rstrip() for line in done.stdout.splitlines() if not NOISE.match(line)).strip()


def read_results() -> tuple[str, dict[str, str]]:
    """What stands before the first section, written by hand; and the sections, by title."""
    if not RESULTS.is_file():
        return "# Results\n\n", {}
    begin, *parts = re.split(r"^## (.*)\n", RESULTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return begin, dict(zip(parts[::2], parts[1::2], strict=True))


def main() -> None:
    """Measure and write; the file appears when all is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"one of {', '.join(COMMANDS)}; by default all except gpu"
    )
    parser.add_argument("--old-python", help="for tokenization.py: a Python with Transformers 4")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in COMMANDS]:
        parser.error(f"{unknown} are no benchmarks. Choose from {', '.join(COMMANDS)}.")
    begin, sections = read_results()
    for name in tqdm(args.names or ON_THE_CPU):
        written = [f"\nRun {date.today()}.\n"]
        for command in COMMANDS[name]:
            if args.old_python and name == "tokenization":
                command += f" --old-python {args.old_python}"
            shown = command.replace(args.old_python or "\0", "old/bin/python")
            written.append(f"    python benchmarks/{shown}\n\n```text\n{measure(command)}\n```\n")
        sections[name] = "\n".join(written) + "\n"
    ordered = [name for name in COMMANDS if name in sections]
    part = RESULTS.with_suffix(".part")
    part.write_text(begin + "".join(f"## {name}\n{sections[name]}" for name in ordered), encoding="utf-8")
    os.replace(part, RESULTS)


if __name__ == "__main__":
    main()
