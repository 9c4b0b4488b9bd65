# SPDX-License-Identifier: Apache-2.0
"""Span-token accuracy and perplexity, without holding logits."""

from pathlib import Path

import evaluate
import torch
from transformers import EvalPrediction

from blank_infilling_glm import IGNORE


METRICS = Path(__file__).parent / "modules"  # of evaluate, loaded by their path


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
        self.accuracy = evaluate.load(str(METRICS / "span_accuracy.py"), keep_in_memory=True)
        self.perplexity = evaluate.load(str(METRICS / "span_perplexity.py"), keep_in_memory=True)

    def __call__(self, prediction: EvalPrediction, compute_result: bool = True) -> dict[str, float]:
        """Add a batch; with `compute_result`, the metrics of all batches since the last result."""
        labelled = prediction.label_ids != IGNORE
        labels = prediction.label_ids[labelled]
        tokens, log_probabilities = (values[labelled] for values in prediction.predictions)
        self.accuracy.add_batch(predictions=tokens.tolist(), references=labels.tolist())
        self.perplexity.add_batch(predictions=log_probabilities.tolist(), references=labels.tolist())
        if not compute_result:
            return {}
        return self.accuracy.compute() | self.perplexity.compute()
