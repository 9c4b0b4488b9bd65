# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning to write texts with the stock Seq2SeqTrainer: summaries, questions, translations, responses, blanks."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from transformers import Seq2SeqTrainingArguments, set_seed

from ..agreement import check_agreement
from ..data.reader import load_table
from ..data.templates import MASKS, template
from ..metrics.texts import check_metrics
from ..runs.adapters import add_lora
from ..runs.checkpoints import check_same_run, save, train_from_checkpoint
from ..runs.model_arguments import FinetuningArguments
from ..runs.models import load_or_initialize, load_or_train_tokenizer
from ..runs.results import write_results
from ..runs.trainers import Seq2SeqTrainerInRowOrder
from .arguments import RowArguments, TaskArguments
from .rows import naming_row, stripped
from .tasks import EVALUATION_SEED, InfillingTask, PairTask, generation_settings, length_budget


def finetune(
    model_args: FinetuningArguments,
    row_args: RowArguments,
    task_args: TaskArguments,
    training_args: Seq2SeqTrainingArguments,
    command: str = "",
) -> dict[str, Any]:
    """
    Train on the rows, generate for those of the evaluation data, score them, and leave all in `output_dir`: the model, its
    tokenizer, `metrics.json` and `predictions.jsonl`; `results.jsonl` beside it gets a line. Without rows to train on the model
    is only scored. A run that was interrupted goes on from its last checkpoint.

    Returns:
        `dict[str, Any]`: what stands in `metrics.json`.

    Raises:
        `ValueError`: settings that do not fit each other, the model or the rows; nothing has been trained then.
    """
    _check(model_args, row_args, task_args, training_args)
    check_same_run(training_args.output_dir, model_args, row_args, task_args)
    seed = training_args.seed
    set_seed(seed)
    train = load_rows(row_args, "train", seed) if row_args.has_training else None
    scored = load_rows(row_args, "evaluation", EVALUATION_SEED) if row_args.evaluation_data else None
    texts = tokenizer_texts(train, row_args, task_args)
    tokenizer = load_or_train_tokenizer(model_args, texts, Path(training_args.output_dir))
    model = load_or_initialize(model_args, tokenizer)
    check_agreement(tokenizer, model.config)
    is_infilling = task_args.task == "infilling"
    budget = length_budget(task_args, model.config.max_position_embeddings)
    task = (InfillingTask if is_infilling else PairTask)(task_args, tokenizer, budget, seed)
    train_set = task.training_set(train, str(row_args.source("train"))) if train else None
    scored_set = task.evaluation_set(scored, str(row_args.source("evaluation"))) if scored else None
    task.prepare(model)
    metrics = {
        "task": task_args.task,
        "method": "glm-lora" if model_args.lora_r else "glm",
        "model": model_args.model or "new",
        "seed": seed,
        "train_rows": len(train or ()),
        "evaluation_data": " ".join(row_args.evaluation_data or ()) or None,
        "eval_rows": len(scored or ()),
        "parameters": model.num_parameters(),
    }
    training_args.predict_with_generate = not is_infilling
    collator = task.collator(model)
    if model_args.lora_r:
        model = add_lora(model, model_args.lora_r, task_type="SEQ_2_SEQ_LM")
    trainer = Seq2SeqTrainerInRowOrder(
        model,
        training_args,
        data_collator=collator,
        train_dataset=train_set,
        eval_dataset=scored_set,
        processing_class=tokenizer,
    )
    if train_set is not None:
        trained = train_from_checkpoint(trainer, model_args.max_seconds)
        metrics |= {name: trained[name] for name in ("train_loss", "train_runtime") if name in trained}
        metrics["steps"] = trainer.state.global_step
        save(trainer)
    scores, predictions = task.evaluate(trainer, scored_set) if scored_set is not None else ({}, [])
    metrics |= {**scores, "command": command}
    if trainer.is_world_process_zero():
        write_results(training_args.output_dir, metrics, predictions)
    return metrics


def load_rows(row_args: RowArguments, which: Literal["train", "evaluation"], seed: int) -> Dataset:
    """The rows of a part of the run; or as many of them as are asked for, drawn with the seed and in their own order."""
    rows, number = load_table(row_args.source(which)), getattr(row_args, f"{which}_rows")
    if number is None:
        return rows
    if not 0 < number <= len(rows):
        raise ValueError(f"{number} rows were asked for, there are {len(rows)}. Ask for 1 to {len(rows)}.")
    return rows.select(sorted(random.Random(seed).sample(range(len(rows)), number)))


def tokenizer_texts(
    rows: Dataset | None, row_args: RowArguments, task_args: TaskArguments
) -> Iterator[dict[str, str]]:
    """What a new tokenizer is trained on: sources without their blanks, and targets."""
    templates = [task_args.source] + [task_args.target] * (task_args.task != "infilling")
    for number, row in enumerate(map(stripped, rows or ()), 1):
        for text in templates:
            with naming_row(str(row_args.source("train")), number):
                text = template(text).write(row)
            for mask in MASKS:
                text = text.replace(mask, "")
            yield {"text": text}


def _check(model_args, row_args, task_args, training_args) -> None:
    """Refuse what is bound to fail, before anything is loaded."""
    check_metrics(task_args.metrics)
    generation_settings(task_args)
    if not row_args.has_training and not row_args.evaluation_data:
        raise ValueError("There are no rows to train on and none to score: give --train_data or --evaluation_data.")
    if not row_args.has_training and not model_args.model:
        raise ValueError("Without --train_data (or with --train_rows 0) there is a --model to be scored: give it.")
    if model_args.lora_r and not model_args.model:
        raise ValueError("--lora_r adapts a trained model: give --model.")
    if training_args.eval_strategy != "no" and not row_args.evaluation_data:
        raise ValueError(f"eval_strategy is {training_args.eval_strategy!s} but there is no --evaluation_data.")
