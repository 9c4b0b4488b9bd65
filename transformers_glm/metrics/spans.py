# SPDX-License-Identifier: Apache-2.0
"""Accuracy and perplexity per blanked token, of a GLM and of models that see the text to the left."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from datasets import Value
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase

from blank_infilling_glm import IGNORE

from ..blanking.batching import pad
from .base import Metric, Scored


class SpanMetric(Metric):
    """A metric of the labelled tokens alone: a reference is a label, and where it is -100 nothing counts."""

    inputs = {"predictions": Value("float64"), "references": Value("int64")}

    def _compute(self, predictions, references):
        predictions, references = np.asarray(predictions), np.asarray(references)
        labelled = references != IGNORE
        if not labelled.any():
            raise ValueError("Every label is -100, so there is nothing to score. Is the evaluation data blanked?")
        return self._of_labelled(predictions[labelled], references[labelled]) | {"tokens": int(labelled.sum())}


class SpanAccuracy(SpanMetric):
    """
    accuracy (`float`): the share of labelled tokens that are predicted; tokens (`int`): how many labelled tokens there are.

    A prediction is the most probable token of a position, given the true ones before it.

        >>> SpanAccuracy().compute(predictions=[5, 6, 7, 8], references=[-100, 6, 7, 9])
        {'accuracy': 0.6666666666666666, 'tokens': 3}
    """

    def _of_labelled(self, predictions, references):
        return {"accuracy": float((predictions == references).mean())}


class SpanPerplexity(SpanMetric):
    """
    perplexity (`float`): exp(-mean log p) over the labelled tokens; tokens (`int`): how many labelled tokens there are.

    A prediction is the natural logarithm of the label's probability.

        >>> SpanPerplexity().compute(predictions=[0.0, -0.5, -1.5], references=[-100, 7, 8])
        {'perplexity': 2.718281828459045, 'tokens': 2}
    """

    def _of_labelled(self, predictions, references):
        return {"perplexity": float(np.exp(-predictions.mean()))}


SPAN_METRICS = {"span_accuracy": SpanAccuracy, "span_perplexity": SpanPerplexity}


def reduce_logits(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Keep of each distribution over the vocabulary two numbers: for `Trainer(preprocess_logits_for_metrics=...)`.

    Args:
        logits (`torch.Tensor` of shape `(B, T, V)`): what the model says.
        labels (`torch.Tensor` of shape `(B, T)`): aligned with the logits, -100 is left out.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: the most probable token and the log-probability of the label, both of
        shape `(B, T)`; 0 where there is no label.
    """
    labelled = labels != IGNORE
    predictions, log_probabilities = torch.zeros_like(labels), torch.zeros_like(labels, dtype=torch.float32)
    chosen = logits[labelled].float()  # (labelled, V)
    predictions[labelled] = chosen.argmax(-1)
    of_the_label = chosen.gather(-1, labels[labelled].unsqueeze(-1)).squeeze(-1)
    log_probabilities[labelled] = of_the_label - chosen.logsumexp(-1)
    return predictions, log_probabilities


class SpanMetrics:
    """
    `accuracy` and `perplexity` per blanked token, for a Trainer with `batch_eval_metrics=True`.

        Trainer(..., compute_metrics=SpanMetrics(), preprocess_logits_for_metrics=reduce_logits)
    """

    def __init__(self):
        self.metrics = [SpanAccuracy(keep_in_memory=True), SpanPerplexity(keep_in_memory=True)]

    def __call__(self, prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Add a batch; with `compute_result`, the metrics of all batches since the last result."""
        labelled = prediction.label_ids != IGNORE
        labels = prediction.label_ids[labelled].tolist()
        for metric, values in zip(self.metrics, prediction.predictions, strict=True):
            metric.add_batch(predictions=values[labelled].tolist(), references=labels)
        results = [metric.compute() for metric in self.metrics] if compute_result else []
        return {name: value for result in results for name, value in result.items()}


def text_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that occur within a text: all except the special tokens."""
    return sorted(set(range(len(tokenizer))) - set(tokenizer.all_special_ids))


@torch.inference_mode()
def score_rows(
    model: PreTrainedModel,
    rows: Sequence[Mapping[str, Sequence[int]]],
    pad_token_id: int,
    batch_size: int = 8,
    tokens: Sequence[int] | None = None,
) -> Iterator[Scored]:
    """
    Score the labelled tokens of each row by a GLM.

    Args:
        model ([`GLMForConditionalGeneration`]): the model.
        rows (`Sequence[Mapping[str, Sequence[int]]]`): as of `lay_out`.
        pad_token_id (`int`): id of the padding.
        batch_size (`int`, *optional*, defaults to 8): rows that are scored together.
        tokens (`Sequence[int]`, *optional*):
            The ids that are scored, among which alone the probability is shared out; all by default. With those of
            [`text_tokens`] a GLM, which has to know where a piece ends, and models without an end answer the same question,
            "which token of the text stands here?"
    """
    others = torch.full([model.config.vocab_size], tokens is not None, device=model.device)
    if tokens is not None:
        others[list(tokens)] = False
    for start in range(0, len(rows), batch_size):
        batch = pad(rows[start : start + batch_size], pad_token_id=pad_token_id, side="left")
        batch = {column: values.to(model.device) for column, values in batch.items()}
        labels = batch.pop("labels")
        first = int((labels != IGNORE).any(0).nonzero()[0])
        labels = labels[:, first:]  # of a vocabulary's size for each position, only those that are scored
        logits = model(**batch, logits_to_keep=labels.shape[1], use_cache=False).logits
        for row_logits, row_labels in zip(logits, labels, strict=True):
            scored = (row_labels != IGNORE) & ~others[row_labels.clamp(min=0)]
            chosen, wanted = row_logits[scored].float().masked_fill(others, -math.inf), row_labels[scored]
            of_wanted = chosen.log_softmax(-1).gather(-1, wanted[:, None]).squeeze(-1)
            yield Scored(of_wanted.tolist(), (chosen.argmax(-1) == wanted).tolist())


def blanked_places(example: Mapping[str, Sequence[int]]) -> list[int]:
    """
    Where the blanked tokens of an example stand in the whole text, in the order of Part B.

        text         x1 x2 x3 x4 x5 x6        input_ids  x1 x2 [M] x4 [M]  S x5 x6  S x3        places  4, 5, 2
    """
    both = zip(example["position_ids"], example["block_position_ids"], strict=True)
    part_b = [(blank, place) for blank, place in both if place]
    lengths = Counter(blank for blank, _ in part_b)  # of the pieces, sop included
    shifts = {blank: sum(n - 2 for other, n in lengths.items() if other < blank) for blank in lengths}
    return [blank + shifts[blank] + place - 2 for blank, place in part_b if place > 1]
