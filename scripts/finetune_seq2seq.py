# SPDX-License-Identifier: Apache-2.0
r"""
Fine-tune GLM to write texts: summaries, questions, translations, responses, or the blanked words of texts.

    python scripts/finetune_seq2seq.py configs/seq2seq_summarization.yaml --model output/pretrain_small_en \
        --train_data train.source train.target --evaluation_data val.source val.target --output_dir output/summaries
    python scripts/finetune_seq2seq.py configs/seq2seq_translation.yaml --train_data pairs.tsv --columns en zh \
        --source "{en}" --target " {zh}" --units characters --output_dir output/translations

Without --train_data a model is scored only. Run again with the same output_dir, it goes on from the last checkpoint.
"""

import logging
import shlex
from collections.abc import Sequence
from typing import Any

from transformers_glm.runs.arguments import parse_arguments, run
from transformers_glm.seq2seq.arguments import GenerationArguments, ModelArguments, RowArguments, TrainingArguments
from transformers_glm.seq2seq.run import Settings, finetune


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the command line `[config.yaml] [--flag value ...]`."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    dataclasses = (ModelArguments, RowArguments, GenerationArguments, TrainingArguments)
    settings = Settings(*parse_arguments(dataclasses, arguments, description=__doc__))
    metrics = finetune(settings, f"python scripts/finetune_seq2seq.py {shlex.join(arguments)}")
    for name, value in metrics.items():
        print(f"{name:28}{value:>14,.4g}" if isinstance(value, int | float) else f"{name:28}{value}")
    return metrics


if __name__ == "__main__":
    run(main)
