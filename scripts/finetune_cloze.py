# SPDX-License-Identifier: Apache-2.0
"""
Fine-tune GLM on an understanding task as a cloze question, or score candidates zero-shot.

    python scripts/finetune_cloze.py configs/cloze_cb.yaml --model output/mine --output_dir output/tasks/cb
    python scripts/finetune_cloze.py configs/cloze_cb.yaml --model output/mine --zero_shot --output_dir output/tasks/cb-zero
    python scripts/finetune_cloze.py configs/cloze_cb.yaml --model output/mine --method classifier --output_dir output/tasks/cb-head
    python scripts/finetune_cloze.py configs/cloze_sst2.yaml --model output/mine --train_rows 32 --seed 1 --use_peft
    python scripts/finetune_cloze.py --task sst2 --train_data a.csv --eval_data b.csv --columns '{"sentence": "review"}'
        --label_map '{"pos": "1", "neg": "0"}' --model output/mine --output_dir output/tasks/reviews

docs/tasks.md lists the tasks, and says how to add one.
"""

import logging
import shlex
from collections.abc import Sequence

from transformers_glm.cloze.arguments import (
    FinetuningModelArguments,
    TaskArguments,
    TaskDataArguments,
    TrainingArguments,
)
from transformers_glm.cloze.run import finetune
from transformers_glm.runs.arguments import parse_arguments, run


def main(arguments: Sequence[str]) -> dict[str, float | int | str]:
    """Run the command line `[config.yaml] [--flag value ...]`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    parsed = parse_arguments(
        (FinetuningModelArguments, TaskArguments, TaskDataArguments, TrainingArguments), arguments, description=__doc__
    )
    metrics = finetune(*parsed, command=shlex.join(["python", "scripts/finetune_cloze.py", *arguments]))
    for name, value in metrics.items():
        print(f"{name:24}{value:>14,.4g}" if isinstance(value, float) else f"{name:24}{value!s:>14}")
    return metrics


if __name__ == "__main__":
    run(main)
