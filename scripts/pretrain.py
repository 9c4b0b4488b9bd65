# SPDX-License-Identifier: Apache-2.0
"""
Pretrain GLM on text by autoregressive blank infilling.

    python scripts/pretrain.py configs/pretrain_demo.yaml --train_data my.txt --output_dir output/mine
    torchrun --nproc_per_node 8 scripts/pretrain.py configs/pretrain_335m.yaml --learning_rate 1e-4

Run again with the same output_dir, it goes on from the last checkpoint. docs/scaling.md: many cards, many machines.
"""

import logging
from collections.abc import Sequence

from transformers_glm.pretraining.arguments import DataArguments, TrainingArguments
from transformers_glm.pretraining.run import pretrain
from transformers_glm.runs.arguments import parse_arguments, run
from transformers_glm.runs.model_arguments import ModelArguments


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Run the command line `[config.yaml] [--flag value ...]`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    model_args, data_args, training_args = parse_arguments(
        (ModelArguments, DataArguments, TrainingArguments), arguments, description=__doc__
    )
    if training_args.process_index:
        logging.getLogger("transformers_glm").setLevel(logging.ERROR)  # the first process speaks for all
    trainer, metrics = pretrain(model_args, data_args, training_args)
    for name, value in metrics.items() if trainer.is_world_process_zero() else ():
        print(f"{name:28}{value:>14,.4g}")
    return metrics


if __name__ == "__main__":
    run(main)
