# SPDX-License-Identifier: Apache-2.0
"""Scores of candidates: log-probabilities in the blank, calibrated, weighted, and the losses on them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from multiple_choice_glm import GLMForMultipleChoice

from .collator import DataCollatorForCloze
from .questions import Cloze, Row, label_key
from .rows import ClozeEncoder, without_the_row


# of an encoded dataset, the model's logits of each row; those beyond a row's candidates mean nothing
Run = Callable[[Dataset], Sequence[Sequence[float]]]


@dataclass
class EncodedRows:
    """Rows of a task as tokens; `without` are the content-free questions that calibration subtracts."""

    questions: Dataset
    without: list[Dataset] = field(default_factory=list)


class CandidateScorer:
    """
    Scores the candidates of a task in their blank, calibrates and weights the scores, and decides by them.

    Args:
        task (`ClozeTask`): the task.
        tokenizer ([`GLMTokenizer`]): the tokenizer.
        max_length (`int`): the model's length.

    Raises:
        `ValueError`: there are weights of labels that the task does not have; as [`ClozeEncoder`].
    """

    def __init__(self, task: Cloze, tokenizer: PreTrainedTokenizerBase, max_length: int):
        unknown = sorted({label_key(label) for label in task.scoring.weights or {}} - set(task.labels or ()))
        if task.labels is not None and unknown:
            raise ValueError(f"There are weights of {unknown}, which are no labels. The labels: {task.labels}.")
        self.task, self.tokenizer, self.max_length = task, tokenizer, max_length
        self.encoder = ClozeEncoder(task, tokenizer, max_length)
        self.collator = DataCollatorForCloze(tokenizer, task.scoring.with_eop, task.scoring.length_normalization)
        self.loss = loss_of(task.loss)

    def encode(self, rows: Sequence[Row]) -> EncodedRows:
        """All that is scored of rows, so that what is wrong with one is found, and named, before anything is computed."""
        without = [] if self.task.scoring.calibration is None else without_the_row(self.task, rows)
        encoders = [(ClozeEncoder(task, self.tokenizer, self.max_length), emptied) for task, emptied in without]
        return EncodedRows(self.encoder.dataset(rows), [encoder.dataset(emptied) for encoder, emptied in encoders])

    def named(self, rows: Sequence[Row], scores: Sequence[Sequence[float]]) -> list[dict[Any, float]]:
        """Scores by the candidates of each row; what fills a row up is left out."""
        labels = [list(self.task.texts_of(row)) for row in rows]
        return [
            dict(zip(of_row, map(float, values), strict=False)) for of_row, values in zip(labels, scores, strict=True)
        ]

    def scores(self, rows: Sequence[Row], encoded: EncodedRows, run: Run) -> list[dict[Any, float]]:
        """The score of each candidate of each row, calibrated and weighted as the task says."""
        scores = _scored(run, encoded.questions) if rows else []
        if encoded.without:
            without = [_scored_once(run, dataset) for dataset in encoded.without]
            scores = [self._calibrated(of_row, others) for of_row, *others in zip(scores, *without, strict=True)]
        weights = {label_key(label): math.log(weight) for label, weight in (self.task.scoring.weights or {}).items()}
        return [
            {label: value + weights.get(label_key(label), 0.0) for label, value in of_row.items()}
            for of_row in self.named(rows, scores)
        ]

    def _calibrated(self, scores: list[float], without: Sequence[list[float]]) -> list[float]:
        if self.task.scoring.calibration == "pmi":
            (base,) = without
        else:
            base = torch.tensor(without).log_softmax(-1).logsumexp(0).sub(math.log(len(without))).tolist()
        return [score - of_base for score, of_base in zip(scores, base, strict=True)]

    def predictions(
        self, rows: Sequence[Row], scores: Sequence[dict[Any, float]], model: PreTrainedModel, batch_size: int
    ) -> list[str]:
        """The label of each row; the model is asked where a first candidate is alone."""
        lone = [index for index, of_row in enumerate(scores) if self.task.decision == "first" and len(of_row) == 1]
        written = reproduced(self.task, model, self.tokenizer, [rows[index] for index in lone], batch_size)
        found = dict(zip(lone, written, strict=True))
        return [decide(self.task, of_row, found.get(index)) for index, of_row in enumerate(scores)]


def score(
    task: Cloze, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], batch_size: int = 16
) -> list[dict[Any, float]]:
    """The scores of [`ClozeTask.scores`]."""
    model = scoring_head(model)
    own = CandidateScorer(task, tokenizer, model.config.max_sequence_length)

    @torch.no_grad()
    def run(dataset: Dataset) -> list[list[float]]:
        scores = []
        for batch in _batches(own.collator, list(dataset), batch_size, model.device):
            del batch["labels"]
            scores += model(**batch).logits.tolist()
        return scores

    return own.scores(rows, own.encode(rows), run)


def scoring_head(model: PreTrainedModel) -> GLMForMultipleChoice:
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
    model = scoring_head(model)
    first = replace(task, scoring=replace(task.scoring, with_eop=True, calibration=None, weights=None))
    dataset = ClozeEncoder(first, tokenizer, model.config.max_sequence_length).dataset(rows)
    alone = [{**row, "choice_ids": row["choice_ids"][:1]} for row in dataset]
    found = []
    for batch in _batches(DataCollatorForCloze(tokenizer, with_eop=True), alone, batch_size, model.device):
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids", "block_position_ids")}
        hidden = model.glm(**inputs).last_hidden_state
        ids, indices = batch["choice_ids"][:, 0], batch["choice_indices"][:, 0]
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


def _batches(
    collator: DataCollatorForCloze, rows: Sequence[Row], batch_size: int, device: torch.device
) -> Iterator[dict[str, Any]]:
    for start in range(0, len(rows), batch_size):
        batch = collator(rows[start : start + batch_size])
        yield {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}


def _scored(run: Run, dataset: Dataset) -> list[list[float]]:
    """The scores of each row's own candidates."""
    sizes = [len(choices) for choices in dataset["choice_ids"]]
    return [list(map(float, values[:size])) for values, size in zip(run(dataset), sizes, strict=True)]


def _scored_once(run: Run, dataset: Dataset) -> list[list[float]]:
    """The same, with equal rows computed once: without the row's fields most questions are the same."""
    keys = [str((row["input_ids"], row["choice_ids"])) for row in dataset]
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    indices = sorted(first.values())
    scores = dict(zip(indices, _scored(run, dataset.select(indices)), strict=True))
    return [scores[first[key]] for key in keys]
