# SPDX-License-Identifier: Apache-2.0
import math

import evaluate
import pytest
import torch
from transformers import EvalPrediction

from transformers_glm.metrics.spans import METRICS, SpanMetrics, reduce_logits


def load(name):
    return evaluate.load(str(METRICS / f"{name}.py"), keep_in_memory=True)


def test_accuracy_counts_labelled_tokens_only():
    result = load("span_accuracy").compute(predictions=[5, 6, 7, 8], references=[-100, 6, 7, 9])
    assert result == {"accuracy": 2 / 3, "tokens": 3}


def test_perplexity_is_that_of_the_labels_probabilities():
    predictions = [0.0, math.log(0.5), math.log(0.125)]
    result = load("span_perplexity").compute(predictions=predictions, references=[-100, 7, 8])
    assert result == {"perplexity": pytest.approx(4.0), "tokens": 2}


@pytest.mark.parametrize("name", ["span_accuracy", "span_perplexity"])
def test_nothing_to_score_is_an_error(name):
    with pytest.raises(ValueError, match="Every label is -100"):
        load(name).compute(predictions=[1], references=[-100])


def test_two_numbers_are_left_of_each_distribution():
    logits = torch.log(torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]]))
    tokens, log_probabilities = reduce_logits(logits, torch.tensor([[-100, 2, 2]]))
    assert tokens.tolist() == [[0, 1, 2]]
    assert log_probabilities.exp().tolist() == [[1.0, pytest.approx(0.3), pytest.approx(0.5)]]


def test_batches_add_up_to_what_all_logits_at_once_give():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 5, 11), torch.randint(0, 11, (6, 5))
    labels[:, ::2] = -100
    metrics = SpanMetrics()
    for start, is_last in ((0, False), (4, True)):
        rows = slice(start, start + 4)
        reduced = reduce_logits(logits[rows], labels[rows])
        result = metrics(EvalPrediction(predictions=reduced, label_ids=labels[rows]), compute_result=is_last)
        assert is_last or result == {}
    chosen, expected = logits[labels != -100], labels[labels != -100]
    assert result["tokens"] == 12
    assert result["accuracy"] == pytest.approx((chosen.argmax(-1) == expected).float().mean().item())
    assert result["perplexity"] == pytest.approx(torch.nn.functional.cross_entropy(chosen, expected).exp().item())


def test_a_result_begins_anew():
    metrics = SpanMetrics()
    labels = torch.tensor([[1]])
    for token, accuracy in ((1, 1.0), (2, 0.0)):
        prediction = EvalPrediction(predictions=(torch.tensor([[token]]), torch.zeros(1, 1)), label_ids=labels)
        assert metrics(prediction)["accuracy"] == accuracy
