# SPDX-License-Identifier: Apache-2.0
"""Scores of candidates: log-probabilities in the blank, calibrated, weighted, and the losses on them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from multiple_choice_glm import GLMForMultipleChoice

from .collator import DataCollatorForCloze
from .questions import Cloze, Row, label_key
from .rows import ClozeEncoder, without_the_row


# of a dataset of ClozeEncoder, the scores (C,) of each row's candidates
Run = Callable[[Dataset], list[list[float]]]


def score(
    task: Cloze,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    batch_size: int = 16,
    packed: bool = True,
) -> list[dict[Any, float]]:
    """The scores of [`ClozeTask.scores`]."""
    model = scorer(model)
    collator = collator_of(task, tokenizer)

    def run(dataset: Dataset) -> list[list[float]]:
        return (_run if packed else _alone)(model, collator, dataset, batch_size)

    return score_rows(task, rows, encode_rows(task, tokenizer, rows, model.config.max_sequence_length), run)


@dataclass
class EncodedRows:
    """Rows of a task as tokens; `without` are the questions that calibrated scores are compared with."""

    questions: Dataset
    without: list[Dataset]


def encode_rows(task: Cloze, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], max_length: int) -> EncodedRows:
    """
    All that is scored of rows, so that what is wrong with one is found before anything is computed.

    Raises:
        `ValueError`: names the row and what is wrong with it; there are weights of labels that the task does not have.
    """
    unknown = sorted({label_key(label) for label in task.scoring.weights or {}} - set(task.labels or ()))
    if task.labels is not None and unknown:
        raise ValueError(f"There are weights of {unknown}, which are no labels. The labels: {task.labels}.")
    without = [] if task.scoring.calibration is None else without_the_row(task, rows)
    return EncodedRows(
        ClozeEncoder(task, tokenizer, max_length).dataset(rows),
        [ClozeEncoder(one, tokenizer, max_length).dataset(emptied) for one, emptied in without],
    )


def score_rows(task: Cloze, rows: Sequence[Row], encoded: EncodedRows, run: Run) -> list[dict[Any, float]]:
    """
    Have the candidates of encoded rows scored, and calibrate and weight the scores as the task says.

    Args:
        task (`ClozeTask`): the task.
        rows (`Sequence[Mapping]`): the rows.
        encoded (`EncodedRows`): what [`encode_rows`] made of them.
        run (`Callable`): computes the scores of an encoded dataset.
    """
    scores = run(encoded.questions) if rows else []
    labels = [list(task.texts_of(row)) for row in rows]
    if encoded.without:
        without = [_run_once(run, dataset) for dataset in encoded.without]
        scores = [_calibrated(task, of_row, others) for of_row, *others in zip(scores, *without, strict=True)]
    named = [dict(zip(of_row, values, strict=True)) for of_row, values in zip(labels, scores, strict=True)]
    return _weighted(task, named)


def collator_of(task: Cloze, tokenizer: PreTrainedTokenizerBase) -> DataCollatorForCloze:
    """The collator that lays out what the task scores."""
    scoring = task.scoring
    return DataCollatorForCloze(tokenizer, scoring.with_eop, scoring.length_normalization)


def scorer(model: PreTrainedModel) -> GLMForMultipleChoice:
    """The scoring head round the weights of a model with another head."""
    if isinstance(model, GLMForMultipleChoice):
        return model
    with torch.device("meta"):
        head = GLMForMultipleChoice(model.config)
    head.glm, head.lm_head = model.glm, model.lm_head
    return head.train(model.training)


def loss_of(name: str) -> Callable[..., torch.Tensor] | None:
    """
    A loss over candidates, for `Trainer(compute_loss_func=...)`; None is the model's own, cross entropy.

        generative   -score of the right one          hinge   sum of max(0, 1 + score - score of the right one), others only
        mix          generative + cross entropy
    """
    if name == "cross_entropy":
        return None

    def loss(outputs, labels, num_items_in_batch=None):
        scores = outputs["logits"]
        labels = labels.to(scores.device)
        right = scores.gather(1, labels[:, None])
        of_row = -right.squeeze(1)
        if name == "mix":
            of_row = of_row + nn.functional.cross_entropy(scores, labels, reduction="none")
        if name == "hinge":
            of_row = (1 + scores - right).clamp(min=0).sum(1) - 1
        return of_row.mean() if num_items_in_batch is None else of_row.sum() / num_items_in_batch

    return loss


@torch.no_grad()
def reproduced(
    task: Cloze,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    batch_size: int = 16,
) -> list[bool]:
    """Whether the model, given the tokens before it, would write each token of a row's first candidate, eop included."""
    model = scorer(model)
    first = replace(task, scoring=replace(task.scoring, with_eop=True, calibration=None, weights=None))
    dataset = ClozeEncoder(first, tokenizer, model.config.max_sequence_length).dataset(rows)
    collator, found = collator_of(first, tokenizer), []
    for start in range(0, len(dataset), batch_size):
        batch = collator([{**row, "choice_ids": row["choice_ids"][:1]} for row in _rows(dataset, start, batch_size)])
        inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask", "position_ids")}
        blocks = batch["block_position_ids"].to(model.device)
        hidden = model.glm(**inputs, block_position_ids=blocks).last_hidden_state
        ids, indices = batch["choice_ids"][:, 0].to(model.device), batch["choice_indices"][:, 0].to(model.device)
        predicting = hidden.gather(1, indices.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1]))
        written = nn.functional.linear(predicting, model.glm.word_embeddings.weight).argmax(-1)
        found += ((written == ids) | (indices < 0)).all(-1).tolist()
    return found


def decide(task: Cloze, scores: dict[Any, float], first_is_written: bool | None = None) -> str:
    """The label of a row with these scores; `first_is_written` says what [`reproduced`] said of a lone first candidate."""
    best = max(scores, key=scores.get)
    if task.decision == "best":
        return label_key(best)
    if len(scores) == 1:
        return label_key(bool(first_is_written))
    return label_key(best == next(iter(scores)))


def _rows(dataset: Dataset, start: int, number: int) -> list[dict]:
    return [dataset[index] for index in range(start, min(start + number, len(dataset)))]


@torch.no_grad()
def _run(model, collator, dataset: Dataset, batch_size: int) -> list[list[float]]:
    scores = []
    for start in range(0, len(dataset), batch_size):
        rows = _rows(dataset, start, batch_size)
        batch = collator(rows)
        del batch["labels"]
        moved = {name: value.to(model.device) if torch.is_tensor(value) else value for name, value in batch.items()}
        logits = model(**moved).logits.tolist()
        scores += [values[: len(row["choice_ids"])] for values, row in zip(logits, rows, strict=True)]
    return scores


def _alone(model, collator, dataset: Dataset, batch_size: int) -> list[list[float]]:
    """As `_run`, with a row of its own for each candidate."""
    single, sizes = [], []
    for row in dataset:
        documents = row.pop("document_ids", None)
        sizes.append(len(row["choice_ids"]))
        for number, choice in enumerate(row["choice_ids"], start=1):
            pairs = zip(row["input_ids"], documents or [number] * len(row["input_ids"]), strict=True)
            part_a = [token for token, document in pairs if document == number]
            single.append({"input_ids": part_a, "choice_ids": [choice], "labels": row["labels"]})
    scores = iter(_run(model, collator, Dataset.from_list(single), batch_size))
    return [[next(scores)[0] for _ in range(size)] for size in sizes]


def _run_once(run: Run, dataset: Dataset) -> list[list[float]]:
    """`run`, with equal rows computed once: without the row's fields most questions are the same."""
    keys = [str((row["input_ids"], row["choice_ids"])) for row in dataset]
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    indices = sorted(first.values())
    scores = dict(zip(indices, run(dataset.select(indices)), strict=True))
    return [scores[first[key]] for key in keys]


def _calibrated(task: Cloze, scores: list[float], without: Sequence[list[float]]) -> list[float]:
    if task.scoring.calibration == "pmi":
        (base,) = without
    else:
        base = torch.tensor(without).log_softmax(-1).logsumexp(0).sub(math.log(len(without))).tolist()
    return [score - of_base for score, of_base in zip(scores, base, strict=True)]


def _weighted(task: Cloze, scores: list[dict[Any, float]]) -> list[dict[Any, float]]:
    weights = {label_key(label): math.log(weight) for label, weight in (task.scoring.weights or {}).items()}
    return [
        {label: value + weights.get(label_key(label), 0.0) for label, value in of_row.items()} for of_row in scores
    ]
