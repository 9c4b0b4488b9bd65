# SPDX-License-Identifier: Apache-2.0
"""A ClozeTask run: zero-shot, few-shot or on all data, with the stock Trainer in the order of the rows; and the classifier to compare with."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    set_seed,
)

from configuration_glm import GLMConfig
from modeling_glm import GLMForMultipleChoice, GLMForSequenceClassification

from .agreement import check_agreement
from .checkpoints import check_same_run, save, train_from_checkpoint
from .classifier_rows import ClassifierEncoder
from .cloze import ClozeTask
from .cloze_arguments import FinetuningModelArguments, TaskArguments, TaskDataArguments, TrainingArguments
from .cloze_data import TaskData, load_data
from .cloze_evaluation import check_metrics, evaluate_predictions, majority_accuracy, prediction_lines, write_results
from .cloze_labels import known_labels
from .cloze_rows import ClozeEncoder
from .cloze_scoring import EncodedRows, collator_of, decide, encode_rows, loss_of, reproduced, score_rows
from .evaluation import TrainerInRowOrder
from .pretraining import load_or_train_tokenizer, new_config


def finetune(
    model_args: FinetuningModelArguments,
    task_args: TaskArguments,
    data_args: TaskDataArguments,
    training_args: TrainingArguments,
    command: str = "",
) -> dict[str, float | int | str]:
    """
    Train on a task, if asked to, and evaluate; leaves `metrics.json` and `predictions.jsonl` in `output_dir`, a line in
    `results.jsonl` beside it, and the model. A run that was interrupted goes on from its last checkpoint, if it has one.

    Returns:
        `dict`: what stands in `metrics.json`.

    Raises:
        `ValueError`: settings or rows that do not fit the task; `output_dir` holds the results of a run, or checkpoints of
        one with other settings. Nothing has been trained then.
    """
    task, output_dir = task_args.load(), Path(training_args.output_dir)
    _check(model_args, data_args, output_dir)
    if not model_args.zero_shot:
        check_same_run(output_dir, model_args, task_args, data_args)
    set_seed(training_args.seed)
    task, data = load_data(task, data_args, model_args, training_args.seed)
    tokenizer = load_or_train_tokenizer(model_args, _texts(task, data), output_dir)
    run = (ClassifierRun if model_args.method == "classifier" else ClozeRun)(task, tokenizer, model_args)
    evaluation = run.encode(data.evaluation)
    if data.labelled:
        check_metrics(task, data.evaluation)
    trainer = run.trainer(data, evaluation, training_args)
    metrics = {} if model_args.zero_shot else train_from_checkpoint(trainer)
    trainer.model.eval()
    scores = run.scores(trainer, data.evaluation, evaluation)
    predictions = run.predictions(trainer, data.evaluation, scores)
    found = {
        "task": task.name,
        "method": model_args.method,
        "model": model_args.model or "new",
        "seed": training_args.seed,
        "train_rows": data.drawn,
        "eval_rows": len(data.evaluation),
        **(evaluate_predictions(task, data.evaluation, predictions) if data.labelled else {}),
        **_majority(task, data),
        "pattern": task.pattern if isinstance(task.pattern, str) else task.name,
        "zero_shot": model_args.zero_shot,
        "use_peft": model_args.use_peft,
        "parameters": trainer.model.num_parameters(),
        "trained_parameters": 0 if model_args.zero_shot else trainer.model.num_parameters(only_trainable=True),
        **{name: metrics[name] for name in ("train_loss", "train_runtime") if name in metrics},
        "command": command,
    }
    if trainer.is_world_process_zero():
        write_results(output_dir, found, prediction_lines(task, data.evaluation, scores, predictions))
    if model_args.keep_model and not model_args.zero_shot:
        save(trainer, found)
    return found


class ClozeRun:
    """Candidates scored in a blank."""

    # what PEFT loads the adapter as: it has no type for choices, and these weights are those of the LM that fills blanks
    adapter_type = "SEQ_2_SEQ_LM"

    def __init__(self, task: ClozeTask, tokenizer: PreTrainedTokenizerBase, model_args: FinetuningModelArguments):
        self.task = task
        self.tokenizer = tokenizer
        self.model = self.make_model(model_args)
        check_agreement(tokenizer, self.model.config)
        self.max_length = self.model.config.max_sequence_length
        self.encoder = self.make_encoder()
        self.collator = self.make_collator()
        if model_args.use_peft:
            self.model = get_peft_model(self.model, self.lora(model_args))
            self.model.active_peft_config.task_type = self.adapter_type

    def make_model(self, model_args: FinetuningModelArguments) -> PreTrainedModel:
        """The model with its head."""
        if model_args.model:
            return GLMForMultipleChoice.from_pretrained(model_args.model)
        return GLMForMultipleChoice(new_config(model_args, self.tokenizer))

    def make_encoder(self) -> ClozeEncoder:
        """What turns rows into tokens."""
        return ClozeEncoder(self.task, self.tokenizer, self.max_length)

    def make_collator(self) -> DataCollatorWithPadding:
        """What turns rows into batches."""
        return collator_of(self.task, self.tokenizer)

    def lora(self, model_args: FinetuningModelArguments) -> LoraConfig:
        """The adapters."""
        targets = model_args.lora_target_modules
        return LoraConfig(
            r=model_args.lora_r,
            lora_alpha=model_args.lora_alpha,
            lora_dropout=model_args.lora_dropout,
            target_modules="all-linear" if targets == ["all-linear"] else targets,
        )

    def encode(self, rows: Sequence[dict]) -> EncodedRows:
        """The rows to evaluate on as tokens, before training: a bad one is refused before work is lost."""
        return encode_rows(self.task, self.tokenizer, rows, self.max_length)

    def trainer(self, data: TaskData, evaluation: EncodedRows, training_args: TrainingArguments) -> Trainer:
        """The stock Trainer, which predicts in the order of the rows."""
        evaluates = training_args.eval_strategy != "no" and data.labelled
        trainer = TrainerInRowOrder(
            model=self.model,
            args=training_args,
            data_collator=self.collator,
            train_dataset=self.encoder.training_dataset(data.train) if data.train else None,
            eval_dataset=evaluation.questions if evaluates else None,
            processing_class=self.tokenizer,
            compute_loss_func=self.loss(),
        )

        def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
            scores = self.scores_of_logits(data.evaluation, prediction.predictions)
            return evaluate_predictions(self.task, data.evaluation, self.predictions(trainer, data.evaluation, scores))

        trainer.compute_metrics = compute_metrics if evaluates else None
        return trainer

    def loss(self) -> object:
        """The loss in place of the model's own."""
        return loss_of(self.task.loss)

    def scores_of_logits(self, rows: Sequence[dict], logits) -> list[dict]:
        """What the Trainer gathered, named by the candidates; it fills rows with fewer of them up."""
        labels = [list(self.task.texts_of(row)) for row in rows]
        return [
            dict(zip(of_row, map(float, values), strict=False)) for of_row, values in zip(labels, logits, strict=True)
        ]

    def scores(self, trainer: Trainer, rows: Sequence[dict], encoded: EncodedRows) -> list[dict]:
        """The score of each candidate of each row."""
        trainer.compute_metrics = None

        def run(dataset: Dataset) -> list[list[float]]:
            logits = trainer.predict(dataset).predictions
            sizes = [len(choices) for choices in dataset["choice_ids"]]
            return [values[:size].tolist() for values, size in zip(logits, sizes, strict=True)]

        return score_rows(self.task, rows, encoded, run)

    def predictions(self, trainer: Trainer, rows: Sequence[dict], scores: Sequence[dict]) -> list[str]:
        """The label of each row."""
        lone = [index for index, of_row in enumerate(scores) if self.task.decision == "first" and len(of_row) == 1]
        batch_size = trainer.args.per_device_eval_batch_size
        written = reproduced(self.task, trainer.model, self.tokenizer, [rows[index] for index in lone], batch_size)
        found = dict(zip(lone, written, strict=True))
        return [decide(self.task, of_row, found.get(index)) for index, of_row in enumerate(scores)]


class ClassifierRun(ClozeRun):
    """A head on [CLS]."""

    adapter_type = "SEQ_CLS"

    def make_model(self, model_args: FinetuningModelArguments) -> PreTrainedModel:
        """The model with its head."""
        names = self.make_encoder_of(GLMConfig.max_sequence_length).label_names
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
        if model_args.model:
            return GLMForSequenceClassification.from_pretrained(model_args.model, **labels)
        config = new_config(model_args, self.tokenizer)
        config.id2label, config.label2id = labels["id2label"], labels["label2id"]
        return GLMForSequenceClassification(config)

    def make_encoder_of(self, max_length: int) -> ClassifierEncoder:
        """An encoder for rows of a length."""
        return ClassifierEncoder(self.task, self.tokenizer, max_length)

    def make_encoder(self) -> ClassifierEncoder:
        """What turns rows into tokens."""
        return self.make_encoder_of(self.max_length)

    def make_collator(self) -> DataCollatorWithPadding:
        """What turns rows into batches."""
        return DataCollatorWithPadding(self.tokenizer)

    def lora(self, model_args: FinetuningModelArguments) -> LoraConfig:
        """The adapters, and the head, which is new and is trained whole."""
        config = super().lora(model_args)
        config.task_type, config.modules_to_save = self.adapter_type, ["classifier"]
        return config

    def loss(self) -> None:
        """The model's own."""
        return None

    def scores_of_logits(self, rows: Sequence[dict], logits) -> list[dict]:
        """What the Trainer gathered, as scores of the labels."""
        return self.encoder.scores(rows, logits)

    def encode(self, rows: Sequence[dict]) -> EncodedRows:
        """The rows to evaluate on as tokens."""
        return EncodedRows(self.encoder.dataset(rows), [])

    def scores(self, trainer: Trainer, rows: Sequence[dict], encoded: EncodedRows) -> list[dict]:
        """The score of each label of each row."""
        trainer.compute_metrics = None
        return self.scores_of_logits(rows, trainer.predict(encoded.questions).predictions)

    def predictions(self, trainer: Trainer, rows: Sequence[dict], scores: Sequence[dict]) -> list[str]:
        """The label of each row."""
        return [str(max(of_row, key=of_row.get)) for of_row in scores]


def _majority(task: ClozeTask, data: TaskData) -> dict[str, float]:
    if not (data.labelled and data.train and known_labels(task)):
        return {}
    labels = [row[task.label_field] for row in data.evaluation]
    return {"majority_accuracy": majority_accuracy(labels, data.train_labels)}


def _texts(task: ClozeTask, data: TaskData) -> list[dict[str, str]]:
    """What a new tokenizer is trained on: the rows' texts and the answers of the verbalizer."""
    rows = data.train or data.evaluation
    texts = [value for row in rows for value in row.values() if isinstance(value, str)]
    answers = [text for of_label in task.answers({}).values() for text in of_label] if task.labels else []
    return [{"text": text} for text in texts + 2 * answers]


def _check(model_args: FinetuningModelArguments, data_args: TaskDataArguments, output_dir: Path) -> None:
    """What can be known to fail before anything is loaded."""
    if (output_dir / "metrics.json").exists():
        raise ValueError(
            f"{output_dir} holds the results of a finished run (metrics.json). Give another --output_dir, or remove the folder "
            "to run again."
        )
    if not data_args.eval_data:
        raise ValueError("There is nothing to evaluate on: give --eval_data.")
    if model_args.zero_shot and model_args.method == "classifier":
        raise ValueError("A classifier's head is new, so it cannot be scored zero-shot. Leave out --zero_shot.")
    if not model_args.zero_shot and not data_args.train_data:
        raise ValueError("There is nothing to train on: give --train_data, or --zero_shot.")
    if model_args.zero_shot and not model_args.model:
        raise ValueError("--zero_shot scores with a trained model: give --model.")
