# SPDX-License-Identifier: Apache-2.0
"""Exact match and F1 of answers, compared with the arithmetic of the published programs, written out again."""

import json
import random
import re
import string
from collections import Counter
from pathlib import Path

import pytest

from transformers_glm.metrics import metric


CMRC = Path(__file__).parents[3] / "shared" / "data" / "qa" / "cmrc2018" / "dev.json"


def naive_english(prediction, right):
    def normalized(text):
        text = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def f1(one):
        a, b = normalized(prediction).split(), normalized(one).split()
        same = sum((Counter(a) & Counter(b)).values())
        if not a or not b:
            return float(a == b)
        return 2 * (same / len(a)) * (same / len(b)) / (same / len(a) + same / len(b)) if same else 0.0

    return max(normalized(prediction) == normalized(one) for one in right), max(map(f1, right))


def naive_chinese(prediction, right):
    marks = "-:_*^/\\~`+=，。：？！“”；’《》…·、「」（）－～『』"

    def without_marks(text):
        return "".join(letter for letter in text.lower().strip() if letter not in marks)

    def units(text):
        found, word = [], ""
        for letter in without_marks(text) + "\0":
            if re.match("[\u4e00-\u9fa5\0]", letter):
                found += word.split()  # the Latin words drawn here have no marks that nltk would part
                word = ""
                found.append(letter)
            else:
                word += letter
        return found[:-1]

    def f1(one):
        a, b = units(prediction), units(one)
        longest = max(
            (
                n
                for n in range(len(a) + 1)
                for i in range(len(a) - n + 1)
                for j in range(len(b))
                if a[i : i + n] == b[j : j + n]
            ),
            default=0,
        )
        return 2 * longest / (len(a) + len(b)) if longest else 0.0

    return max(without_marks(prediction) == without_marks(one) for one in right), max(map(f1, right))


@pytest.mark.parametrize(
    "units, naive, words",
    [
        ("english", naive_english, ["the", "a", "Thames", "thames,", "River", "of", "'an'", "x-y", "AN", "U.S."]),
        ("characters", naive_chinese, ["光", "荣", "和", "《", "》", " ", "force ", "GLM ", "，", "3 "]),
    ],
)
def test_answers_are_scored_as_the_published_programs_do(units, naive, words):
    pytest.importorskip("nltk", reason="metrics are the extra eval")
    rng = random.Random(0)
    drawn = ("" if units == "characters" else " ").join
    for _ in range(300):
        prediction, *right = (drawn(rng.choices(words, k=rng.randrange(1, 6))) for _ in range(rng.randrange(2, 4)))
        found = metric("answers").compute(predictions=[prediction], references=[right], units=units)
        exact, f1 = naive(prediction, right)
        assert found == {"exact_match": 100 * exact, "f1": pytest.approx(100 * f1)}, (prediction, right)


@pytest.mark.parametrize(
    "prediction, f1", [("no answer", 100), ("", 100), ("No answer", 100), ("the", 100), ("Paris", 0)]
)
def test_a_question_without_an_answer(prediction, f1):
    """As SQuAD 2.0 scores it: an empty answer is right, and so is one of articles alone."""
    pytest.importorskip("nltk", reason="metrics are the extra eval")
    assert metric("answers").compute(predictions=[prediction], references=[["no answer"]])["f1"] == f1


@pytest.mark.skipif(not CMRC.is_file(), reason="CMRC 2018 is not here (../shared/data)")
def test_right_answers_of_cmrc_2018_score_100_and_cut_ones_less():
    pytest.importorskip("nltk", reason="metrics are the extra eval")
    articles = json.loads(CMRC.read_text(encoding="utf-8"))["data"]
    asked = [one for article in articles for part in article["paragraphs"] for one in part["qas"]][:300]
    right = [[answer["text"] for answer in one["answers"]] for one in asked]
    firsts = [accepted[0] for accepted in right]
    whole = metric("answers").compute(predictions=firsts, references=right, units="characters")
    assert whole == {"exact_match": 100, "f1": pytest.approx(100)}
    cut = metric("answers").compute(predictions=[text[:-1] for text in firsts], references=right, units="characters")
    assert cut["exact_match"] < 20 and 60 < cut["f1"] < 100
