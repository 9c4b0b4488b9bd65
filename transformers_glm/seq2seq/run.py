# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning to write texts with the stock Seq2SeqTrainer: summaries, questions, translations, responses, blanks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets
from peft import LoraConfig, TaskType, get_peft_model
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
    set_seed,
)

from ..agreement import check_agreement
from ..blanking.collator import DataCollatorForBlankInfilling
from ..blanking.objectives import ObjectiveSettings
from ..data.documents import tokenize_documents
from ..data.sources import DocumentSource, load_documents
from ..data.task_rows import Row, RowSource, draw_rows, load_rows
from ..data.templates import Template
from ..metrics.texts import check_metrics
from ..runs.checkpoints import check_same_run, save, train_from_checkpoint
from ..runs.models import load_or_initialize, load_or_train_tokenizer
from ..runs.results import write_results
from ..runs.trainers import Seq2SeqTrainerInRowOrder
from .arguments import GenerationArguments, ModelArguments, RowArguments, TrainingArguments
from .dialogue import DialogueFormat, responses
from .mixing import MixingCollator, mix
from .references import join_same_sources
from .tasks import EVALUATION_SEED, InfillingTask, PairTask, length_budget


@dataclass
class Settings:
    """The arguments of a run."""

    model: ModelArguments
    rows: RowArguments
    generation: GenerationArguments
    training: TrainingArguments

    @property
    def is_glm(self) -> bool:
        """Whether the model has blanks."""
        return self.model.method == "glm"

    @property
    def is_infilling(self) -> bool:
        """Whether words of texts are blanked, rather than targets written."""
        return self.rows.task == "infilling"


def finetune(settings: Settings, command: str) -> dict[str, Any]:
    """
    Train on the rows, generate for those of the evaluation data, score them, and leave all in `output_dir`: the model, its
    tokenizer, `metrics.json` and `predictions.jsonl`; `results.jsonl` beside it gets a line. Without `train_data` the model
    is only scored. A run that was interrupted goes on from its last checkpoint.

    Args:
        settings ([`Settings`]): the arguments.
        command (`str`): the command line, for the results.

    Returns:
        `dict[str, Any]`: what stands in `metrics.json`.

    Raises:
        `ValueError`: settings that do not fit each other, the model or the rows; nothing has been trained then.
    """
    _check(settings)
    check_same_run(settings.training.output_dir, settings.model, settings.rows)
    args, seed = settings.rows, settings.training.seed
    set_seed(seed)
    train = draw_rows(load_task_rows(args.train_data, args.train_split, args), args.train_rows, seed)
    scored = load_task_rows(args.evaluation_data, args.evaluation_split, args)
    if args.join_references:
        templates = Template(args.source), Template(args.target)
        scored = join_same_sources(scored, *templates, args.references, _named(args.evaluation_data))
    scored = draw_rows(scored, args.evaluation_rows, EVALUATION_SEED)
    model, tokenizer = load_model(settings, train)
    budget = length_budget(args, model.config.max_position_embeddings, settings.is_glm)
    kind = InfillingTask if settings.is_infilling else PairTask
    task = kind(args, settings.generation, tokenizer, budget, settings.is_glm, seed)
    train_set = task.training_set(train, _named(args.train_data)) if train else None
    scored_set = task.evaluation_set(scored, _named(args.evaluation_data)) if scored else None
    metrics = _identity(settings, len(train_set or ()), len(scored)) | {"parameters": model.num_parameters()}
    if args.pretrain_data:
        train_set = mix(train_set, load_pretraining_rows(args, tokenizer, budget), args.pretrain_share, seed)
    task.prepare(model)
    trainer = make_trainer(settings, model, tokenizer, train_set, scored_set)
    if train_set is not None:
        trained = train_from_checkpoint(trainer, settings.training.max_seconds)
        metrics |= {name: trained[name] for name in ("train_loss", "train_runtime") if name in trained}
        metrics["steps"] = trainer.state.global_step
        save(trainer)
    scores, predictions = task.evaluate(trainer, scored_set) if scored_set is not None else ({}, [])
    metrics |= {**scores, "command": command}
    if trainer.is_world_process_zero():
        write_results(settings.training.output_dir, metrics, predictions)
    return metrics


def load_model(settings: Settings, train: Sequence[Row]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The checkpoint or a new model, and its tokenizer, which is trained on the rows' texts where there is none."""
    args = settings.rows
    templates = [Template(args.source)] + ([] if settings.is_infilling else [Template(args.target)])
    name = _named(args.train_data)
    texts = [
        {"text": template.text_of(row, f"{name}, row {n}")} for n, row in enumerate(train, 1) for template in templates
    ]
    tokenizer = load_or_train_tokenizer(settings.model, texts, Path(settings.training.output_dir))
    if not settings.is_glm:
        return new_bart(settings.model.config, tokenizer), tokenizer
    model = load_or_initialize(settings.model, tokenizer)
    check_agreement(tokenizer, model.config)
    return model, tokenizer


def new_bart(sizes: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> BartForConditionalGeneration:
    """A BART with the sizes of a GLMConfig: half of the layers in its encoder, half in its decoder."""
    layers, heads, width = (sizes.get(name, 0) for name in ("num_layers", "num_attention_heads", "hidden_size"))
    if not (layers > 1 and heads and width):
        raise ValueError(
            f"A new BART needs num_layers (2 or more), num_attention_heads and hidden_size in --config: {sizes}."
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


def load_pretraining_rows(args: RowArguments, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Rows of the text whose blanks are learned beside the task."""
    documents = [
        load_documents(DocumentSource(path, column=args.pretrain_column, document=args.pretrain_document))
        for path in args.pretrain_data
    ]
    return tokenize_documents(concatenate_datasets(documents), tokenizer, max_length)


def make_trainer(
    settings: Settings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Dataset | None,
    scored_set: Dataset | None,
) -> Seq2SeqTrainer:
    """The stock trainer, which predicts in the order of the rows; with LoRA the adapters are trained and saved."""
    training = settings.training
    training.predict_with_generate = not settings.is_infilling
    two_streams = DataCollatorForSeq2Seq(tokenizer, model=model)
    one_row = DataCollatorForBlankInfilling(tokenizer, settings.rows.pretrain_mixture, seed=training.seed)
    if settings.model.use_peft:
        rank = settings.model.lora_rank
        lora = LoraConfig(
            task_type=TaskType.SEQ_2_SEQ_LM, r=rank, lora_alpha=2 * rank, target_modules=["query_key_value"]
        )
        model = get_peft_model(model, lora)
    return Seq2SeqTrainerInRowOrder(
        model,
        training,
        data_collator=MixingCollator(two_streams, one_row),
        train_dataset=train_set,
        eval_dataset=scored_set,
        processing_class=tokenizer,
    )


def _identity(settings: Settings, train_rows: int, eval_rows: int) -> dict[str, Any]:
    """What tells a run apart."""
    return {
        "task": settings.rows.task,
        "method": settings.model.method + ("-lora" if settings.model.use_peft else ""),
        "model": settings.model.model or "new",
        "seed": settings.training.seed,
        "train_rows": train_rows,
        "evaluation_data": " ".join(settings.rows.evaluation_data or ()) or None,
        "eval_rows": eval_rows,
    }


def _named(paths: Sequence[str] | None) -> str:
    return str(RowSource(paths or ()))


def load_task_rows(paths: Sequence[str] | None, split: str, args: RowArguments) -> Sequence[Row]:
    """The rows of files or a Hub dataset, of dialogues one for each response; none without paths."""
    if not paths:
        return []
    source = RowSource(paths, args.data_name, split, args.columns, args.rows_at)
    rows = load_rows(source)
    if args.turns is None:
        return rows
    form = DialogueFormat(args.turns, args.speaker_key, args.text_key, args.respond_as, args.turn_separator)
    return list(responses(rows, form, str(source)))


def _check(settings: Settings) -> None:
    """What can be known to fail before anything is loaded."""
    args, model = settings.rows, settings.model
    check_metrics(args.metrics)
    generation = settings.generation
    wrong = {
        "There are neither --train_data nor --evaluation_data: give one of them.": not (
            args.train_data or args.evaluation_data
        ),
        "Without --train_data there is a --model to be scored: give it.": not (args.train_data or model.model),
        "--use_peft adapts a trained model: give --model.": model.use_peft and not model.model,
        "A baseline has no blanks: --method bart goes without --model, --use_peft, --pretrain_data and infilling.": (
            not settings.is_glm and bool(model.model or model.use_peft or args.pretrain_data or settings.is_infilling)
        ),
        "--pretrain_data is mixed into the training rows: give --train_data.": bool(
            args.pretrain_data and not args.train_data
        ),
        f"--num_beams {generation.num_beams}: one beam at least.": generation.num_beams < 1,
        f"--min_target_length {generation.min_target_length} leaves no room below --max_target_length "
        f"{args.max_target_length}.": generation.min_target_length >= args.max_target_length,
        "--join_references joins rows to be scored: give --evaluation_data, and a task that is not infilling.": (
            args.join_references and (settings.is_infilling or not args.evaluation_data)
        ),
        f"eval_strategy is {settings.training.eval_strategy!s} but there is no --evaluation_data.": (
            settings.training.eval_strategy != "no" and not args.evaluation_data
        ),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(message)
    ObjectiveSettings(args.pretrain_mixture or {"token": 1.0})
