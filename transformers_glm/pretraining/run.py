# SPDX-License-Identifier: Apache-2.0
"""Pretraining by autoregressive blank infilling with the stock Trainer."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback, TrainingArguments, set_seed

from configuration_glm import GLMConfig

from ..agreement import check_agreement
from ..blanking.batching import check_packing_is_possible
from ..blanking.collator import DataCollatorForBlankInfilling
from ..blanking.objectives import ObjectiveSettings
from ..data.documents import hold_out, load_documents, tokenize_documents
from ..data.reader import Table
from ..metrics.spans import SpanMetrics, reduce_logits
from ..runs.checkpoints import check_same_run, save, train_from_checkpoint
from ..runs.model_arguments import ModelArguments
from ..runs.models import load_or_initialize, load_or_train_tokenizer
from .arguments import PretrainingArguments
from .optimizer import use_muon
from .whole_batches import EndlessStream, PackToTrain, WholeBatches, empty_row


logger = logging.getLogger(__name__)

AS_MANY_AS_FIT = 10**9  # steps, where only the time is given
STREAM_BUFFER = 10_000  # rows that a stream is shuffled in
EVALUATION_SEED = 0  # evaluation data is blanked the same way in every run


def pretrain(
    model_args: ModelArguments,
    data_args: PretrainingArguments,
    training_args: TrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[Trainer, dict[str, float]]:
    """
    Pretrain a model, and save it with its tokenizer and `metrics.json` in `output_dir`.

    Begins where the last checkpoint in `output_dir` ends, if there is one.

    Returns:
        `tuple[Trainer, dict[str, float]]`: the trainer, and what stands in `metrics.json`.
    """
    _check(data_args, training_args)
    check_same_run(training_args.output_dir, model_args, data_args)
    set_seed(training_args.seed)
    # one process downloads, trains the tokenizer and fills the caches that the others then read
    first_alone = partial(training_args.main_process_first, local=training_args.save_on_each_node)
    with first_alone(desc="text and tokenizer"):
        train, evaluation = load_text(data_args, training_args.seed)
        tokenizer = load_or_train_tokenizer(model_args, train, Path(training_args.output_dir))
    model = load_or_initialize(model_args, tokenizer)
    check_agreement(tokenizer, model.config)
    max_length = _row_length(data_args, model.config)
    with first_alone(desc="rows"):
        train, evaluation = to_rows(train, evaluation, tokenizer, data_args, training_args.seed, max_length)
    training_args.batch_eval_metrics = True
    if training_args.ddp_find_unused_parameters is None:
        training_args.ddp_find_unused_parameters = (
            False  # DDP need not look for parameters without a gradient: a GLM has none
        )
    collator = make_collator(tokenizer, data_args, training_args.seed, max_length)
    train, evaluation = in_whole_batches(train, evaluation, collator, training_args)
    trainer = Trainer(
        model=model,
        args=training_args,
        data_collator=PackToTrain(collator) if data_args.packing else collator,
        train_dataset=train,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        compute_metrics=SpanMetrics(),
        preprocess_logits_for_metrics=reduce_logits,
        callbacks=list(callbacks),
    )
    if data_args.muon_learning_rate is not None:
        use_muon(trainer, data_args.muon_learning_rate)
    metrics = train_from_checkpoint(trainer, data_args.max_seconds)
    if evaluation is not None:
        metrics |= trainer.evaluate()
    metrics |= {"steps": trainer.state.global_step, "parameters": model.num_parameters()}
    save(trainer, metrics)
    return trainer, metrics


def load_text(data_args: PretrainingArguments, seed: int) -> tuple[Table, Dataset | None]:
    """The documents to train on, and those to evaluate on, if any."""
    settings = {"columns": data_args.columns, "document": data_args.document}
    train = load_documents(data_args.source("train", **settings), streaming=data_args.streaming)
    if data_args.evaluation_data:
        return train, load_documents(data_args.source("evaluation", **settings))
    if not data_args.evaluation_documents:
        return train, None
    train, evaluation = hold_out(train, data_args.evaluation_documents, seed)
    return train, Dataset.from_list(list(evaluation)) if isinstance(evaluation, IterableDataset) else evaluation


def make_collator(
    tokenizer: PreTrainedTokenizerFast, data_args: PretrainingArguments, seed: int, max_length: int
) -> DataCollatorForBlankInfilling:
    """The collator with the blanks that are asked for."""
    packing = {"packing": data_args.packing, "max_length": 2 * max_length if data_args.packing else None}
    return DataCollatorForBlankInfilling(tokenizer, **_blanks(data_args), **packing, seed=seed)


def to_rows(
    train: Table,
    evaluation: Dataset | None,
    tokenizer: PreTrainedTokenizerFast,
    data_args: PretrainingArguments,
    seed: int,
    max_length: int,
) -> tuple[Table, Dataset | None]:
    """Rows of tokens to train on; those to evaluate on are blanked for good, so that two evaluations compare."""
    train = tokenize_documents(train, tokenizer, max_length, data_args.workers)
    if isinstance(train, IterableDataset):
        train = train.shuffle(seed=seed, buffer_size=STREAM_BUFFER)
    if evaluation is not None:
        evaluation = tokenize_documents(evaluation, tokenizer, max_length, data_args.workers)
        collator = make_collator(tokenizer, data_args, EVALUATION_SEED, max_length)
        evaluation = evaluation.map(collator.blank, load_from_cache_file=False, desc="Blanking")
    return train, evaluation


def in_whole_batches(
    train: Table,
    evaluation: Dataset | None,
    collator: DataCollatorForBlankInfilling,
    training_args: TrainingArguments,
) -> tuple[WholeBatches | EndlessStream, WholeBatches | None]:
    """The same rows for any number of processes, and of accumulated batches, that make the same batch together."""
    processes, empty = training_args.world_size, empty_row(collator.tokenizer)
    batch = training_args.train_batch_size * processes * training_args.gradient_accumulation_steps
    if isinstance(train, IterableDataset):
        training_args.accelerator_config.dispatch_batches = False  # it would need batches of one length
        train = EndlessStream(train, batch, empty, collator.set_epoch)
    else:
        train = WholeBatches(train, batch, empty)
    if evaluation is not None:
        evaluation = WholeBatches(evaluation, training_args.eval_batch_size * processes, empty)
    return train, evaluation


def _blanks(data_args: PretrainingArguments) -> dict[str, Any]:
    return {
        "mixture": data_args.mixture or {"token": 1.0},
        "mask_ratio": data_args.mask_ratio,
        "mean_span_length": data_args.mean_span_length,
        "document_span": tuple(data_args.document_span),
    }


def _check(data_args: PretrainingArguments, training_args: TrainingArguments) -> None:
    """Refuse what is bound to fail, before anything is loaded."""
    if not data_args.train_data:
        raise ValueError("There is no text to train on. Give files, folders or a dataset of the Hub: --train_data.")
    ObjectiveSettings(**_blanks(data_args))
    if data_args.packing:
        check_packing_is_possible(data_args.max_length or GLMConfig.max_sequence_length)
    asked = training_args.resume_from_checkpoint
    if asked and asked not in ("True", "true") and not Path(asked).is_dir():
        raise ValueError(
            f"--resume_from_checkpoint {asked} is not a folder. Leave it out to go on from the last checkpoint."
        )
    if data_args.streaming and training_args.dataloader_num_workers:
        logger.warning(
            "A stream is read without workers, which would read it in another order: dataloader_num_workers is 0."
        )
        training_args.dataloader_num_workers = 0
    if data_args.max_seconds is not None and training_args.max_steps <= 0:
        training_args.max_steps = AS_MANY_AS_FIT
    if data_args.streaming and training_args.max_steps <= 0:
        raise ValueError("A stream has no length: say with --max_steps or --max_seconds how long to train.")
    evaluates = data_args.evaluation_data or data_args.evaluation_documents
    if training_args.eval_strategy != "no" and not evaluates:
        raise ValueError(
            f"eval_strategy is {training_args.eval_strategy!s} but there is nothing to evaluate on. Give "
            "--evaluation_data or --evaluation_documents."
        )


def _row_length(data_args: PretrainingArguments, config: GLMConfig) -> int:
    length = data_args.max_length or config.max_sequence_length
    if length > config.max_sequence_length:
        raise ValueError(
            f"max_length {length} is more than the model's max_sequence_length {config.max_sequence_length}. Give "
            "shorter rows or a larger position table."
        )
    return length
