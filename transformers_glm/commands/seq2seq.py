# SPDX-License-Identifier: Apache-2.0
r"""
Fine-tune GLM to write texts: summaries, questions, translations, responses, or the blanked words of texts.

    transformers-glm seq2seq seq2seq_summarization --model output/pretrain_small_en \
        --train_data train.source train.target --evaluation_data val.source val.target --output_dir output/summaries
    transformers-glm seq2seq seq2seq_translation --train_data pairs.tsv --columns en zh \
        --source "{en}" --target " {zh}" --units characters --output_dir output/translations

Without --train_data a model is scored only. Run again with the same output_dir, it goes on from the last checkpoint.
"""

from collections.abc import Sequence
from typing import Any

from ..runs.arguments import parse_arguments
from .command_line import command, print_metrics


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the command line `[config] [--flag value ...]`."""
    from ..seq2seq.arguments import GenerationArguments, ModelArguments, RowArguments, TrainingArguments

    dataclasses = (ModelArguments, RowArguments, GenerationArguments, TrainingArguments)
    parsed = parse_arguments(dataclasses, arguments, description=__doc__)
    from ..seq2seq.run import Settings, finetune

    metrics = finetune(Settings(*parsed), command("seq2seq", arguments))
    print_metrics(metrics)
    return metrics
