# SPDX-License-Identifier: Apache-2.0
"""What a run leaves: metrics.json, predictions.jsonl and a line in a table of results."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files import write_whole


TABLE = "results.jsonl"  # beside the folders of the runs


def write_results(
    output_dir: str | Path, metrics: Mapping[str, Any], predictions: Iterable[Mapping[str, Any]]
) -> None:
    """
    Write `metrics.json` and `predictions.jsonl` in `output_dir`, and add a line to `results.jsonl` in the folder above it.

    Both files are written under another name first, then moved.

        {"task": "translation", "method": "glm", "model": "output/small", "seed": 0, "train_rows": 29000,
         "eval_rows": 1000, "bleu": 21.3, "command": "python scripts/finetune_seq2seq.py ..."}

    Args:
        output_dir (`str` or `Path`): the folder of the run, made if it is missing.
        metrics (`Mapping[str, Any]`):
            Flat: strings, numbers, booleans and None. `task`, `method`, `model` and `seed` tell runs apart.
        predictions (`Iterable[Mapping]`): one row each, which JSON can express.

    Raises:
        `ValueError`: a metric is nested or of a type that JSON has not.
    """
    nested = {name: type(value).__name__ for name, value in metrics.items() if not _is_plain(value)}
    if nested:
        raise ValueError(f"Metrics are flat strings and numbers, but {nested}. Give each number a name of its own.")
    output_dir = Path(output_dir)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
    _write(output_dir / "predictions.jsonl", lines)
    _write(output_dir / "metrics.json", [json.dumps(dict(metrics), indent=2, ensure_ascii=False) + "\n"])
    line = json.dumps({"output_dir": str(output_dir), **metrics}, ensure_ascii=False) + "\n"
    with (output_dir.parent / TABLE).open("ab", buffering=0) as table:  # one write: runs may end at the same time
        table.write(line.encode())


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _write(path: Path, lines: Iterable[str]) -> None:
    with write_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as stream:
        stream.writelines(lines)
