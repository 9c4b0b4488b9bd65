# SPDX-License-Identifier: Apache-2.0
"""
Pretrain GLM on text by autoregressive blank infilling.

    transformers-glm pretrain pretrain_demo --train_data my.txt --output_dir output/mine
    torchrun --nproc_per_node 8 -m transformers_glm pretrain pretrain_335m --learning_rate 1e-4

Run again with the same output_dir, it goes on from the last checkpoint. docs/scaling.md: many cards, many machines.
"""

import logging
from collections.abc import Sequence

from ..pretraining.arguments import PretrainingArguments
from ..runs.arguments import parse_arguments
from ..runs.model_arguments import ModelArguments
from .command_line import print_metrics


def main(arguments: Sequence[str]) -> dict[str, float]:
    """Run the command line `[config] [--flag value ...]`."""
    model_args, data_args, training_args = parse_arguments(
        (ModelArguments, PretrainingArguments),
        arguments,
        description=__doc__,
        training="TrainingArguments",
        report_to="tensorboard",
    )
    from ..pretraining.run import pretrain
    from ..runs.lock import alone_in

    if training_args.process_index:
        logging.getLogger("transformers_glm").setLevel(logging.ERROR)  # the first process speaks for all
    with alone_in(training_args.output_dir):
        trainer, metrics = pretrain(model_args, data_args, training_args)
    print_metrics(metrics if trainer.is_world_process_zero() else {})
    return metrics
