# SPDX-License-Identifier: Apache-2.0
"""A ClozeTask run: zero-shot, few-shot or on all data, cloze or classifier, with its results."""

from pathlib import Path

from datasets import Dataset
from transformers import EvalPrediction, PreTrainedModel, Trainer, TrainingArguments, set_seed

from ..runs.checkpoints import check_same_run, save, train_from_checkpoint
from ..runs.models import load_or_train_tokenizer
from ..runs.results import write_results
from ..runs.trainers import TrainerInRowOrder
from .arguments import ClozeArguments, ClozeDataArguments, TaskArguments
from .classifier import ClassifierScorer
from .data import TaskData, load_data
from .evaluation import check_metrics, evaluate_predictions, majority_accuracy, prediction_lines
from .models import make_model, with_adapters
from .scoring import CandidateScorer, EncodedRows
from .task import ClozeTask


def finetune(
    model_args: ClozeArguments,
    task_args: TaskArguments,
    data_args: ClozeDataArguments,
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
    model = make_model(task, tokenizer, model_args)
    scorer = (ClassifierScorer if model_args.method == "classifier" else CandidateScorer)(
        task, tokenizer, model.config.max_sequence_length
    )
    evaluation = scorer.encode(data.evaluation)  # before training: a bad row is refused before work is lost
    if data.labelled:
        check_metrics(task, data.evaluation)
    model = with_adapters(model, model_args.lora_r) if model_args.lora_r else model
    trainer = _trainer(model, scorer, data, evaluation, training_args)
    metrics = {} if model_args.zero_shot else train_from_checkpoint(trainer, model_args.max_seconds)
    trainer.model.eval()
    trainer.compute_metrics = None

    def run(dataset: Dataset):
        return trainer.predict(dataset).predictions

    scores = scorer.scores(data.evaluation, evaluation, run)
    predictions = scorer.predictions(data.evaluation, scores, model, training_args.per_device_eval_batch_size)
    found = {
        "task": task.name,
        "method": model_args.method,
        "model": model_args.model or "new",
        "seed": training_args.seed,
        "train_rows": data.drawn,
        "eval_rows": len(data.evaluation),
        **(evaluate_predictions(task, data.evaluation, predictions) if data.labelled else {}),
        **majority_accuracy(task, data.evaluation if data.labelled else [], data.train_labels),
        "pattern": task.pattern if isinstance(task.pattern, str) else task.name,
        "zero_shot": model_args.zero_shot,
        "use_peft": model_args.lora_r > 0,
        "parameters": trainer.model.num_parameters(),
        "trained_parameters": 0 if model_args.zero_shot else trainer.model.num_parameters(only_trainable=True),
        **{name: metrics[name] for name in ("train_loss", "train_runtime") if name in metrics},
        "command": command,
    }
    if not model_args.zero_shot:
        save(trainer)
    if trainer.is_world_process_zero():
        write_results(output_dir, found, prediction_lines(task, data.evaluation, scores, predictions))
    return found


def _trainer(
    model: PreTrainedModel,
    scorer: CandidateScorer | ClassifierScorer,
    data: TaskData,
    evaluation: EncodedRows,
    training_args: TrainingArguments,
) -> Trainer:
    """The stock Trainer, which predicts in the order of the rows."""
    evaluates, rows = training_args.eval_strategy != "no" and data.labelled, data.evaluation

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        scores = scorer.named(rows, prediction.predictions)
        predictions = scorer.predictions(rows, scores, model, training_args.per_device_eval_batch_size)
        return evaluate_predictions(scorer.task, rows, predictions)

    return TrainerInRowOrder(
        model=model,
        args=training_args,
        data_collator=scorer.collator,
        train_dataset=scorer.encoder.training_dataset(data.train) if data.train else None,
        eval_dataset=evaluation.questions if evaluates else None,
        processing_class=scorer.encoder.tokenizer,
        compute_loss_func=scorer.loss,
        compute_metrics=compute_metrics if evaluates else None,
    )


def _texts(task: ClozeTask, data: TaskData) -> list[dict[str, str]]:
    """What a new tokenizer is trained on: the rows' texts and the answers of the verbalizer."""
    rows = data.train or data.evaluation
    texts = [value for row in rows for value in row.values() if isinstance(value, str)]
    answers = [text for of_label in task.answers({}).values() for text in of_label] if task.labels else []
    return [{"text": text} for text in texts + 2 * answers]


def _check(model_args: ClozeArguments, data_args: ClozeDataArguments, output_dir: Path) -> None:
    """Refuse what is bound to fail, before anything is loaded."""
    if (output_dir / "metrics.json").exists():
        raise ValueError(
            f"{output_dir} holds the results of a finished run (metrics.json). Give another --output_dir, or remove the folder "
            "to run again."
        )
    if not data_args.evaluation_data:
        raise ValueError("There is nothing to evaluate on: give --evaluation_data.")
    if model_args.zero_shot and model_args.method == "classifier":
        raise ValueError("A classifier's head is new, so it cannot be scored zero-shot. Leave out --zero_shot.")
    if not model_args.zero_shot and not data_args.train_data:
        raise ValueError("There is nothing to train on: give --train_data, or --zero_shot.")
    if model_args.zero_shot and not model_args.model:
        raise ValueError("--zero_shot scores with a trained model: give --model.")
