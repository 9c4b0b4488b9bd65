# SPDX-License-Identifier: Apache-2.0
"""What a ClozeTask is trained and scored by: candidates in a blank, and a head on [CLS] to compare with."""

from collections.abc import Sequence

from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import DataCollatorWithPadding, EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase, Trainer

from configuration_glm import GLMConfig
from modeling_glm import GLMForSequenceClassification
from multiple_choice_glm import GLMForMultipleChoice

from ..agreement import check_agreement
from ..runs.models import new_config
from ..runs.trainers import TrainerInRowOrder
from .arguments import FinetuningModelArguments, TrainingArguments
from .classifier_rows import ClassifierEncoder
from .data import TaskData
from .evaluation import evaluate_predictions
from .rows import ClozeEncoder
from .scoring import EncodedRows, collator_of, decide, encode_rows, loss_of, reproduced, score_rows
from .task import ClozeTask


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
