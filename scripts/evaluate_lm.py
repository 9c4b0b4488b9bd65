# SPDX-License-Identifier: Apache-2.0
r"""
Evaluate a GLM as a language model: perplexity by overlapping windows, the last words of texts (LAMBADA), texts written from nothing.

    python scripts/evaluate_lm.py --model output/pretrain_small_en --perplexity_data wiki.test.tokens \
        --lambada_data lambada_test.jsonl --generate 3 --output_dir output/lm

Perplexity and accuracy are measured twice: with the context in Part A (bidirectional), and all in Part B (unidirectional).
"""

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers_glm.language_modeling.run import LanguageModelingArguments, evaluate_lm
from transformers_glm.runs.arguments import parse_arguments, run


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the command line `[config.yaml] [--flag value ...]`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    [args] = parse_arguments((LanguageModelingArguments,), arguments, description=__doc__)
    metrics = evaluate_lm(args, f"python scripts/evaluate_lm.py {shlex.join(arguments)}")
    for name, value in metrics.items():
        print(f"{name:28}{value:>14,.4g}" if isinstance(value, int | float) else f"{name:28}{value}")
    for line in (Path(args.output_dir) / "predictions.jsonl").read_text(encoding="utf-8").splitlines():
        if (row := json.loads(line))["kind"] == "generated":
            print(f"\n{row['text']}")
    return metrics


if __name__ == "__main__":
    run(main)
