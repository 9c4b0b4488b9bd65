# SPDX-License-Identifier: Apache-2.0
"""Exact match and F1 of answers, by the arithmetic of the programs that SQuAD and CMRC 2018 were published with."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from datasets import Sequence as ListOf

from .base import TEXT, Metric


NO_ANSWER = "no answer"  # how a question without an answer is answered (SQuAD 2.0)
ARTICLES = re.compile(r"\b(a|an|the)\b")
HAN = re.compile("([\u4e00-\u9fa5])")
CHINESE_MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》…·、「」（）－～『』")


class Compared(NamedTuple):
    """An answer as exact match and as F1 compare it."""

    text: str
    units: list[str]


class Answers(Metric):
    """
    exact_match, f1 (`float`): of answers to questions, times 100: means over the questions of the best right answer.

    `compute(predictions, references, units="english")` takes a `list` of `str`, and for each a `list` of right answers. English
    answers are compared without case, punctuation and articles, and those of other languages with spaces (`"words"`) without
    case and punctuation: F1 is of the words that both have (SQuAD, Rajpurkar et al., 2016). Those of Chinese
    (`"characters"`) without case and marks: F1 is of the longest run of characters and Latin words that both have (CMRC
    2018, Cui et al., 2019). The answer `no answer` is that of a question without one; SQuAD 2.0 takes an empty one for it.

        >>> Answers().compute(predictions=["The Thames"], references=[["River Thames", "Thames"]])
        {'exact_match': 100.0, 'f1': 100.0}
    """

    inputs = {"predictions": TEXT, "references": ListOf(TEXT)}
    library = "nltk.tokenize"  # of the Latin words in Chinese text

    def _compute(self, predictions, references, units="english"):
        exact, f1, shared = 0, 0.0, _longest_run if units == "characters" else _common
        for prediction, accepted in zip(predictions, references, strict=True):
            if not accepted:
                raise ValueError(f"An answer has no reference; that of a question without an answer is {NO_ANSWER!r}.")
            found, *right = (self._compared(text, units) for text in (prediction, *accepted))
            exact += any(found.text == one.text for one in right)
            f1 += max(_f1(found.units, one.units, shared) for one in right)
        return {"exact_match": 100 * exact / len(predictions), "f1": 100 * f1 / len(predictions)}

    def _compared(self, text, units):
        text = text.lower().strip()
        if text == NO_ANSWER:
            return Compared(text, [text]) if units == "characters" else Compared("", [])
        if units == "characters":
            text = "".join(letter for letter in text if letter not in CHINESE_MARKS)
            words = self.computing.NLTKWordTokenizer().tokenize
            return Compared(
                text, [unit for part in HAN.split(text) for unit in ([part] if HAN.match(part) else words(part))]
            )
        text = "".join(letter for letter in text if letter not in string.punctuation)
        words = (ARTICLES.sub(" ", text) if units == "english" else text).split()
        return Compared(" ".join(words), words)


def _f1(found: Sequence[str], right: Sequence[str], shared: Callable) -> float:
    if shared is _common and not (found and right):
        return float(found == right)
    both = shared(found, right)
    return 2 * both / (len(found) + len(right)) if both else 0.0


def _common(found: Sequence[str], right: Sequence[str]) -> int:
    return (Counter(found) & Counter(right)).total()


def _longest_run(found: Sequence[str], right: Sequence[str]) -> int:
    return SequenceMatcher(None, found, right, autojunk=False).find_longest_match().size
