# SPDX-License-Identifier: Apache-2.0
"""Metrics of predicted labels and answers, the predictions and references of a row in the same place of two lists."""

import re
import string
from collections import Counter, defaultdict

from datasets import Sequence, Value

from .base import TEXT, Metric


class Accuracy(Metric):
    """
    The share of predictions that are the label.

    Returns:
        accuracy (`float`): from 0 to 1.

        >>> Accuracy().compute(predictions=["yes", "no"], references=["yes", "yes"])
        {'accuracy': 0.5}
    """

    library = "sklearn"

    def _compute(self, predictions, references):
        from sklearn.metrics import accuracy_score

        return {"accuracy": float(accuracy_score(references, predictions))}


class MacroF1(Metric):
    """
    The mean over the labels of F1, the harmonic mean of precision and recall; the second metric of CommitmentBank.

    Returns:
        f1 (`float`): from 0 to 1; a label that is never predicted counts 0.

        >>> MacroF1().compute(predictions=["a", "a", "b"], references=["a", "b", "b"])
        {'f1': 0.6666666666666666}
    """

    library = "sklearn"

    def _compute(self, predictions, references):
        from sklearn.metrics import f1_score

        return {"f1": float(f1_score(references, predictions, average="macro", zero_division=0))}


class F1ByLabel(Metric):
    """
    F1 of each label by itself: that of the positive one is the second metric of MRPC and QQP.

    Returns:
        f1_LABEL (`float`) for each label that is predicted or there: from 0 to 1; 0 for one that is never right.

        >>> F1ByLabel().compute(predictions=["1", "1", "0"], references=["1", "0", "0"])
        {'f1_0': 0.6666666666666666, 'f1_1': 0.6666666666666666}
    """

    library = "sklearn"

    def _compute(self, predictions, references):
        from sklearn.metrics import f1_score

        labels = sorted({*predictions, *references})
        values = f1_score(references, predictions, labels=labels, average=None, zero_division=0)
        return {f"f1_{label}": float(value) for label, value in zip(labels, values, strict=True)}


class MatthewsCorrelation(Metric):
    """
    The correlation of predicted and true labels (Matthews, 1975), the metric of CoLA and of SuperGLUE's broad diagnostics.

    Returns:
        matthews_correlation (`float`): from -1 to 1; 0 where only one label is predicted, or only one is true.

        >>> MatthewsCorrelation().compute(predictions=["1", "1", "0"], references=["1", "0", "0"])
        {'matthews_correlation': 0.5}
    """

    library = "sklearn"

    def _compute(self, predictions, references):
        from sklearn.metrics import matthews_corrcoef

        return {"matthews_correlation": float(matthews_corrcoef(references, predictions))}


class MultiRC(Metric):
    """
    MultiRC, whose questions have several answers each: F1 over all answers, and the share of questions all of whose answers
    are judged rightly.

    Args:
        predictions (`list` of `dict`): for each answer its question, `group`, and how it is judged, `label`: 1 or 0.
        references (`list` of `int`): 1 for right answers, 0 for wrong ones.

    Returns:
        f1_a (`float`), exact_match (`float`): from 0 to 1.

        >>> predictions = [{"group": "q1", "label": 1}, {"group": "q1", "label": 1}, {"group": "q2", "label": 0}]
        >>> MultiRC().compute(predictions=predictions, references=[1, 0, 0])
        {'f1_a': 0.6666666666666666, 'exact_match': 0.5}
    """

    inputs = {"predictions": {"group": TEXT, "label": Value("int64")}, "references": Value("int64")}
    library = "sklearn"
    paper = """
@inproceedings{khashabi-etal-2018-looking,
    title = {Looking Beyond the Surface: A Challenge Set for Reading Comprehension over Multiple Sentences},
    author = {Khashabi, Daniel and Chaturvedi, Snigdha and Roth, Michael and Upadhyay, Shyam and Roth, Dan},
    booktitle = {Proceedings of NAACL},
    year = {2018}
}
"""

    def _compute(self, predictions, references):
        from sklearn.metrics import f1_score

        labels = [one["label"] for one in predictions]
        questions = defaultdict(list)
        for one, reference in zip(predictions, references, strict=True):
            questions[one["group"]].append(one["label"] == reference)
        return {
            "f1_a": float(f1_score(references, labels, zero_division=0)),
            "exact_match": sum(map(all, questions.values())) / len(questions),
        }


class Record(Metric):
    """
    Answers in words, as ReCoRD and SQuAD count them: in lower case, without punctuation and articles. exact_match is the
    share that equals one of the right answers, f1 the mean of the best F1 of their words. A row without a right answer is
    left out.

    Args:
        predictions (`list` of `str`): one answer for each row.
        references (`list` of `list` of `str`): the right answers of each row.

    Returns:
        exact_match (`float`), f1 (`float`): from 0 to 1.

        >>> right = [["United Nations", "UN"], ["John Smith"]]
        >>> Record().compute(predictions=["the United Nations", "Mr. Smith"], references=right)
        {'exact_match': 0.5, 'f1': 0.75}
    """

    inputs = {"predictions": TEXT, "references": Sequence(TEXT)}
    paper = """
@article{zhang2018record,
    title = {{ReCoRD}: Bridging the Gap between Human and Machine Commonsense Reading Comprehension},
    author = {Zhang, Sheng and Liu, Xiaodong and Liu, Jingjing and Gao, Jianfeng and Duh, Kevin and Van Durme, Benjamin},
    journal = {arXiv:1810.12885},
    year = {2018}
}
"""

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
