# SPDX-License-Identifier: Apache-2.0
import doctest

import pytest

from transformers_glm.metrics import labels, metric, registry, spans, texts


def compute(name, predictions, references):
    return metric(name).compute(predictions=predictions, references=references)


@pytest.mark.parametrize("module", [labels, registry, spans, texts], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings_are_right(module):
    failed, examples = doctest.testmod(module)
    assert examples and not failed


def test_accuracy_and_macro_f1_by_hand():
    predictions, references = ["a", "a", "b", "b"], ["a", "b", "b", "c"]
    assert compute("accuracy", predictions, references) == {"accuracy": 0.5}
    # a: precision 1/2, recall 1; b: 1/2, 1/2; c: never predicted
    assert compute("f1", predictions, references) == {"f1": pytest.approx((2 / 3 + 1 / 2 + 0) / 3)}


def test_f1_of_each_label_and_matthews_correlation_by_hand():
    predictions, references = ["1", "1", "1", "0", "2"], ["1", "1", "0", "0", "1"]
    # 1: precision 2/3, recall 2/3; 0: 1, 1/2; 2: predicted, never there
    assert compute("f1_by_label", predictions, references) == {
        "f1_0": pytest.approx(2 / 3),
        "f1_1": pytest.approx(2 / 3),
        "f1_2": 0.0,
    }
    # two classes: (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))
    expected = (2 * 1 - 1 * 1) / (3 * 3 * 2 * 2) ** 0.5
    found = compute("matthews", ["1", "1", "1", "0", "0"], ["1", "1", "0", "0", "1"])
    assert found == {"matthews_correlation": pytest.approx(expected)}
    assert compute("matthews", ["1", "1"], ["1", "0"]) == {"matthews_correlation": 0.0}


def test_multirc_counts_answers_and_whole_questions():
    predictions = [{"group": group, "label": label} for group, label in (("q1", 1), ("q1", 0), ("q2", 1), ("q2", 1))]
    # right answers found: 2 of 2, and one too many; the first question is right, the second is not
    assert compute("multirc", predictions, [1, 0, 1, 0]) == {"f1_a": pytest.approx(0.8), "exact_match": 0.5}


def test_record_takes_the_best_of_several_answers_without_articles_and_case():
    predictions = ["The United Nations!", "Mr. Smith", "nobody", "Ada"]
    references = [["UN", "united nations"], ["John Smith"], ["Ada"], []]
    assert compute("record", predictions, references) == {
        "exact_match": pytest.approx(1 / 3),
        "f1": pytest.approx((1 + 1 / 2 + 0) / 3),
    }
    with pytest.raises(ValueError, match="nothing to score"):
        compute("record", ["a"], [[]])
