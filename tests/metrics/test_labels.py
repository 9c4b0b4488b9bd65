# SPDX-License-Identifier: Apache-2.0
import doctest

import pytest

from transformers_glm.metrics import labels, metric, registry, spans, texts


JUDGED = [{"group": group, "label": label} for group, label in (("q1", 1), ("q1", 0), ("q2", 1), ("q2", 1))]
BY_HAND = [
    ("accuracy", ["a", "a", "b", "b"], ["a", "b", "b", "c"], {"accuracy": 0.5}),
    # a: precision 1/2, recall 1; b: 1/2, 1/2; c: never predicted
    ("f1", ["a", "a", "b", "b"], ["a", "b", "b", "c"], {"f1": (2 / 3 + 1 / 2 + 0) / 3}),
    # 1: precision 2/3, recall 2/3; 0: 1, 1/2; 2: predicted, never there
    ("f1_by_label", [*"11102"], [*"11001"], {"f1_0": 2 / 3, "f1_1": 2 / 3, "f1_2": 0}),
    # two classes: (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))
    ("matthews", [*"11100"], [*"11001"], {"matthews_correlation": (2 * 1 - 1 * 1) / (3 * 3 * 2 * 2) ** 0.5}),
    ("matthews", ["1", "1"], ["1", "0"], {"matthews_correlation": 0}),
    # right answers found: 2 of 2, and one too many; the first question is right, the second is not
    ("multirc", JUDGED, [1, 0, 1, 0], {"f1_a": 0.8, "exact_match": 0.5}),
    # the best of several answers, without articles and case; a row without one does not count
    (
        "record",
        ["The United Nations!", "Mr. Smith", "nobody", "Ada"],
        [["UN", "united nations"], ["John Smith"], ["Ada"], []],
        {"exact_match": 1 / 3, "f1": (1 + 1 / 2 + 0) / 3},
    ),
]


@pytest.mark.parametrize("module", [labels, registry, spans, texts], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings_are_right(module):
    failed, examples = doctest.testmod(module)
    assert examples and not failed


@pytest.mark.parametrize(("name", "predictions", "references", "expected"), BY_HAND)
def test_each_metric_is_what_it_is_by_hand(name, predictions, references, expected):
    assert metric(name).compute(predictions=predictions, references=references) == pytest.approx(expected)


def test_no_right_answer_is_an_error():
    with pytest.raises(ValueError, match="nothing to score"):
        metric("record").compute(predictions=["a"], references=[[]])
