# SPDX-License-Identifier: Apache-2.0
"""Metrics of predicted labels and answers, the predictions and references of a row in the same place of two lists."""

import re
import string
from collections import Counter, defaultdict

from datasets import Sequence, Value

from .base import TEXT, Metric


class OfScikitLearn(Metric):
    """A metric of labels that scikit-learn computes."""

    library = "sklearn.metrics"


class Accuracy(OfScikitLearn):
    """
    accuracy (`float`): the share of predictions that are the label.

        >>> Accuracy().compute(predictions=["yes", "no"], references=["yes", "yes"])
        {'accuracy': 0.5}
    """

    def _compute(self, predictions, references):
        return {"accuracy": float(self.computing.accuracy_score(references, predictions))}


class MacroF1(OfScikitLearn):
    """
    f1 (`float`): the mean over the labels of F1, the harmonic mean of precision and recall; a label that is never predicted
    counts 0. The second metric of CommitmentBank.

        >>> MacroF1().compute(predictions=["a", "a", "b"], references=["a", "b", "b"])
        {'f1': 0.6666666666666666}
    """

    def _compute(self, predictions, references):
        return {"f1": float(self.computing.f1_score(references, predictions, average="macro", zero_division=0))}


class F1ByLabel(OfScikitLearn):
    """
    f1_LABEL (`float`) for each label that is predicted or true: its F1. That of the positive label is the second metric of
    MRPC and QQP.

        >>> F1ByLabel().compute(predictions=["1", "1", "0"], references=["1", "0", "0"])
        {'f1_0': 0.6666666666666666, 'f1_1': 0.6666666666666666}
    """

    def _compute(self, predictions, references):
        labels = sorted({*predictions, *references})
        values = self.computing.f1_score(references, predictions, labels=labels, average=None, zero_division=0)
        return {f"f1_{label}": float(value) for label, value in zip(labels, values, strict=True)}


class MatthewsCorrelation(OfScikitLearn):
    """
    matthews_correlation (`float`): the correlation of predicted and true labels (Matthews, 1975), from -1 to 1; 0 where only
    one label is predicted, or only one is true. The metric of CoLA and of SuperGLUE's broad diagnostics.

        >>> MatthewsCorrelation().compute(predictions=["1", "1", "0"], references=["1", "0", "0"])
        {'matthews_correlation': 0.5}
    """

    def _compute(self, predictions, references):
        return {"matthews_correlation": float(self.computing.matthews_corrcoef(references, predictions))}


class MultiRC(OfScikitLearn):
    """
    f1_a (`float`): F1 over all answers; exact_match (`float`): the share of questions all of whose answers are judged rightly
    (MultiRC, Khashabi et al., NAACL 2018).

    A prediction is a `dict`: the question, `group`, of an answer and how it is judged, `label`: 1 or 0. A reference is 1 for
    a right answer, 0 for a wrong one.

        >>> predictions = [{"group": "q1", "label": 1}, {"group": "q1", "label": 1}, {"group": "q2", "label": 0}]
        >>> MultiRC().compute(predictions=predictions, references=[1, 0, 0])
        {'f1_a': 0.6666666666666666, 'exact_match': 0.5}
    """

    inputs = {"predictions": {"group": TEXT, "label": Value("int64")}, "references": Value("int64")}

    def _compute(self, predictions, references):
        labels = [one["label"] for one in predictions]
        questions = defaultdict(list)
        for one, reference in zip(predictions, references, strict=True):
            questions[one["group"]].append(one["label"] == reference)
        return {
            "f1_a": float(self.computing.f1_score(references, labels, zero_division=0)),
            "exact_match": sum(map(all, questions.values())) / len(questions),
        }


class Record(Metric):
    """
    exact_match (`float`): the share of answers that equal one of the right ones; f1 (`float`): the mean of the best F1 of their
    words (ReCoRD, Zhang et al., arXiv:1810.12885; SQuAD).

    Answers are compared in lower case, without punctuation and articles. A reference is the `list` of the right answers of a
    row; a row without one is left out.

        >>> right = [["United Nations", "UN"], ["John Smith"]]
        >>> Record().compute(predictions=["the United Nations", "Mr. Smith"], references=right)
        {'exact_match': 0.5, 'f1': 0.75}
    """

    inputs = {"predictions": TEXT, "references": Sequence(TEXT)}

    def _compute(self, predictions, references):
        rows = [
            (_words(one), list(map(_words, right)))
            for one, right in zip(predictions, references, strict=True)
            if right
        ]
        if not rows:
            raise ValueError("No row has a right answer, so there is nothing to score.")
        return {
            "exact_match": sum(one in right for one, right in rows) / len(rows),
            "f1": sum(max(_f1(one, of_row) for of_row in right) for one, right in rows) / len(rows),
        }


def _words(text: str) -> list[str]:
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _f1(one: list[str], other: list[str]) -> float:
    common = sum((Counter(one) & Counter(other)).values())
    return 2 * common / (len(one) + len(other)) if common else 0.0


LABEL_METRICS = {
    "accuracy": Accuracy,
    "f1": MacroF1,
    "f1_by_label": F1ByLabel,
    "matthews": MatthewsCorrelation,
    "multirc": MultiRC,
    "record": Record,
}
