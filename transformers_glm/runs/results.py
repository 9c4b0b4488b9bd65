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

    Both files appear only once they are complete. The line names the run's folder, which stands beside `results.jsonl`.

        {"output_dir": "translation-0", "task": "translation", "method": "glm", "model": "output/small", "seed": 0,
         "train_rows": 29000, "eval_rows": 1000, "bleu": 21.3, "command": "transformers-glm seq2seq ..."}

    Args:
        output_dir (`str` or `Path`): the folder of the run, made if it is missing.
        metrics (`Mapping[str, Any]`):
            Flat: strings, numbers, booleans and None. `task`, `method`, `model` and `seed` tell runs apart.
        predictions (`Iterable[Mapping]`): one row each, which JSON can express.

    Raises:
        `ValueError`: a metric is nested or of a type that JSON does not have.
    """
    nested = {
        name: type(value).__name__
        for name, value in metrics.items()
        if not isinstance(value, str | int | float | bool | None)
    }
    if nested:
        raise ValueError(f"Metrics are flat strings and numbers, but {nested}. Give each number a name of its own.")
    output_dir = Path(output_dir).absolute()
    with write_whole(output_dir / "predictions.jsonl") as unfinished, unfinished.open("wb") as stream:
        stream.writelines(_line(row) for row in predictions)
    with write_whole(output_dir / "metrics.json") as unfinished:
        unfinished.write_text(json.dumps(dict(metrics), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with (output_dir.parent / TABLE).open("ab", buffering=0) as table:  # one write: runs may end at the same time
        table.write(_line({"output_dir": output_dir.name, **metrics}))


def _line(row: Mapping[str, Any]) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()
