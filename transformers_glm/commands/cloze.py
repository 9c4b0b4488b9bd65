# SPDX-License-Identifier: Apache-2.0
"""
Fine-tune GLM on an understanding task as a cloze question, or score candidates zero-shot.

    transformers-glm cloze cloze_cb --model output/mine --output_dir output/tasks/cb
    transformers-glm cloze cloze_cb --model output/mine --zero_shot --output_dir output/tasks/cb-zero
    transformers-glm cloze cloze_cb --model output/mine --method classifier --output_dir output/tasks/cb-head
    transformers-glm cloze cloze_sst2 --model output/mine --train_rows 32 --seed 1 --lora_r 8
    transformers-glm cloze --task sst2 --train_data a.csv --evaluation_data b.csv --columns '{"sentence": "review"}'
        --label_map '{"pos": "1", "neg": "0"}' --model output/mine --output_dir output/tasks/reviews

docs/tasks.md lists the tasks, and says how to add one.
"""

from collections.abc import Sequence

from ..runs.arguments import parse_arguments
from .command_line import command, print_metrics


def main(arguments: Sequence[str]) -> dict[str, float | int | str]:
    """Run the command line `[config] [--flag value ...]`."""
    from ..cloze.arguments import ClozeArguments, ClozeDataArguments, TaskArguments

    dataclasses = (ClozeArguments, TaskArguments, ClozeDataArguments)
    parsed = parse_arguments(dataclasses, arguments, __doc__, training="TrainingArguments", report_to="none")
    from ..cloze.run import finetune
    from ..runs.lock import alone_in

    with alone_in(parsed[-1].output_dir):
        metrics = finetune(*parsed, command=command("cloze", arguments))
    print_metrics(metrics)
    return metrics
