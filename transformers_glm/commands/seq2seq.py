# SPDX-License-Identifier: Apache-2.0
r"""
Fine-tune GLM to write texts: summaries, questions, translations, responses, or the blanked words of texts.

    transformers-glm seq2seq seq2seq_summarization --model output/pretrain_small_en \
        --train_data train.source train.target --evaluation_data val.source val.target --output_dir output/summaries
    transformers-glm seq2seq seq2seq_translation --train_data pairs.tsv --data_kwargs '{"names": ["en", "zh"]}' \
        --source "{{ en }} [sMASK]" --target " {{ zh }}" --units characters --output_dir output/translations

Without --train_data, or with --train_rows 0, a model is scored only. Run again with the same output_dir, it goes on from the
last checkpoint.
"""

from collections.abc import Sequence
from typing import Any

from ..runs.arguments import parse_arguments
from ..runs.model_arguments import FinetuningArguments
from .command_line import command, print_metrics


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the command line `[config] [--flag value ...]`."""
    from ..seq2seq.arguments import RowArguments, TaskArguments

    dataclasses = (FinetuningArguments, RowArguments, TaskArguments)
    parsed = parse_arguments(
        dataclasses, arguments, description=__doc__, training="Seq2SeqTrainingArguments", report_to="tensorboard"
    )
    from ..runs.lock import alone_in
    from ..seq2seq.run import finetune

    with alone_in(parsed[-1].output_dir):
        metrics = finetune(*parsed, command("seq2seq", arguments))
    print_metrics(metrics)
    return metrics
