# SPDX-License-Identifier: Apache-2.0
"""
A new BART on the rows of a seq2seq task, beside the runs of scripts/finetune_seq2seq.py with the same flags.

    python benchmarks/bart.py configs/seq2seq_translation.yaml --config '{"num_layers": 4, "hidden_size": 256, "num_attention_heads": 4}' \
        --train_data train.en train.de --evaluation_data val.en val.de --output_dir output/tasks/translation-bart

It has the width, the heads and the number of layers of --config, half of them in its encoder, and reads the same sources without their blanks.
"""

import shlex
import sys
from pathlib import Path
from typing import Any

from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerBase, set_seed

from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import FinetuningArguments
from transformers_glm.runs.models import load_or_train_tokenizer
from transformers_glm.runs.results import write_results
from transformers_glm.runs.trainers import Seq2SeqTrainerInRowOrder
from transformers_glm.seq2seq.arguments import RowArguments, TaskArguments
from transformers_glm.seq2seq.run import load_rows, tokenizer_texts
from transformers_glm.seq2seq.tasks import EVALUATION_SEED, PairTask


def new_bart(sizes: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> BartForConditionalGeneration:
    """A BART with the sizes of a GLMConfig."""
    layers, heads, width = (sizes.get(name, 0) for name in ("num_layers", "num_attention_heads", "hidden_size"))
    if not (layers > 1 and heads and width):
        raise SystemExit(
            f"A BART needs num_layers (2 or more), num_attention_heads and hidden_size in --config: {sizes}."
        )
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer),
            d_model=width,
            encoder_layers=layers // 2,
            decoder_layers=layers - layers // 2,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=4 * width,
            decoder_ffn_dim=4 * width,
            dropout=sizes.get("output_dropout_prob", 0.1),
            attention_dropout=sizes.get("attention_dropout_prob", 0.1),
            init_std=sizes.get("initializer_range", 0.02),
            max_position_embeddings=sizes.get("max_sequence_length", 512),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.sop_token_id,
            forced_eos_token_id=None,
        )
    )


def without_blank(row: dict[str, list[int]], masks: list[int]) -> dict[str, list[int]]:
    """The row with a source that has no mask token."""
    source = [token for token in row["input_ids"] if token not in masks]
    return {**row, "input_ids": source, "attention_mask": [1] * len(source)}


def main(arguments: list[str]) -> None:
    """Train on the training rows, score the others, and write both as a run of the script does."""
    dataclasses = (FinetuningArguments, RowArguments, TaskArguments)
    model_args, row_args, task_args, training_args = parse_arguments(
        dataclasses, arguments, description=__doc__, training="Seq2SeqTrainingArguments"
    )
    seed = training_args.seed
    set_seed(seed)
    train, scored = load_rows(row_args, "train", seed), load_rows(row_args, "evaluation", EVALUATION_SEED)
    texts = tokenizer_texts(train, row_args, task_args)
    tokenizer = load_or_train_tokenizer(model_args, texts, Path(training_args.output_dir))
    model = new_bart(model_args.config, tokenizer)
    # one token more, for the blank that is taken out
    task = PairTask(task_args, tokenizer, (task_args.max_length or model.config.max_position_embeddings) + 1)
    task.prepare(model)
    masks = {"fn_kwargs": {"masks": tokenizer.mask_token_ids}}
    train_set = task.training_set(train, "training data").map(without_blank, **masks)
    scored_set = task.evaluation_set(scored, "evaluation data").map(without_blank, **masks)
    training_args.predict_with_generate = True
    trainer = Seq2SeqTrainerInRowOrder(
        model, training_args, task.collator(model), train_set, scored_set, processing_class=tokenizer
    )
    trained = trainer.train().metrics
    scores, predictions = task.evaluate(trainer, scored_set)
    metrics = {
        "task": task_args.task,
        "method": "bart",
        "model": "new",
        "seed": seed,
        "train_rows": len(train_set),
        "evaluation_data": " ".join(row_args.evaluation_data),
        "parameters": model.num_parameters(),
        "train_loss": trained["train_loss"],
        "train_runtime": trained["train_runtime"],
        **scores,
        "command": shlex.join(["python", "benchmarks/bart.py", *arguments]),
    }
    write_results(training_args.output_dir, metrics, predictions)
    print(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
