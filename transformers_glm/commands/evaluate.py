# SPDX-License-Identifier: Apache-2.0
r"""
Evaluate a GLM as a language model: perplexity by overlapping windows, the last words of texts (LAMBADA), texts written from nothing.

    transformers-glm evaluate --model output/pretrain_small_en --evaluation_data wiki.test.tokens \
        --lambada_data lambada_test.jsonl --generate 3 --output_dir output/lm

Perplexity and accuracy are measured twice: with the context in Part A (bidirectional), and all in Part B (unidirectional).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..language_modeling.arguments import LanguageModelingArguments
from ..runs.arguments import parse_arguments
from .command_line import command, print_metrics


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the command line `[config] [--flag value ...]`."""
    [args] = parse_arguments((LanguageModelingArguments,), arguments, description=__doc__)
    from ..language_modeling.run import evaluate_lm

    metrics = evaluate_lm(args, command("evaluate", arguments))
    print_metrics(metrics)
    for line in (Path(args.output_dir) / "predictions.jsonl").read_text(encoding="utf-8").splitlines():
        if (row := json.loads(line))["kind"] == "generated":
            print(f"\n{row['text']}")
    return metrics
