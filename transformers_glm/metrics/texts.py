# SPDX-License-Identifier: Apache-2.0
"""ROUGE, BLEU, chrF and METEOR of generated texts."""

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from types import SimpleNamespace
from typing import Literal

from datasets import Sequence as ListOf

from .answers import Answers
from .base import TEXT, Metric, create


Units = Literal["english", "words", "characters"]
# Han, kana, and the scripts of South-East Asia: between their words are no spaces
UNSPACED = re.compile(
    "[\u2e80-\u2fff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
# what rouge_score counts; in Chinese text a Latin word is one unit
UNITS = {"words": re.compile(r"\w+"), "characters": re.compile(r"[a-z0-9]+|\w")}


class TextMetric(Metric):
    """
    A metric of generated texts, each compared with one reference or more.

    `compute(predictions, references, units="english")` takes a `list` of `str`, a `list` of `list` of `str`, and what is
    compared: "english" (words of English, stemmed where the metric stems), "words" (of any language with spaces) or "characters".
    """

    inputs = {"predictions": TEXT, "references": ListOf(TEXT)}


class Rouge(TextMetric):
    """
    rouge1, rouge2, rougeL, rougeLsum (`float`): F-measures of ROUGE, the last sentence by sentence, as rouge_score computes
    them, times 100: means over the texts of the best reference.

        >>> Rouge().compute(predictions=["the cat sat"], references=[["the cat stood"]])
        {'rouge1': 66.66666666666666, 'rouge2': 50.0, 'rougeL': 66.66666666666666, 'rougeLsum': 66.66666666666666}
    """

    library = "rouge_score.rouge_scorer"

    def _compute(self, predictions, references, units="english"):
        kinds = ("rouge1", "rouge2", "rougeL", "rougeLsum")
        tokenizer = None  # its own, for English
        if units != "english":
            tokenizer = SimpleNamespace(tokenize=lambda text: UNITS[units].findall(text.lower()))
        scorer = self.computing.RougeScorer(kinds, use_stemmer=True, tokenizer=tokenizer)
        scores = []
        for prediction, accepted in zip(predictions, references, strict=True):
            prediction, *accepted = (SENTENCE_END.sub("\n", text) for text in (prediction, *accepted))
            scores.append(scorer.score_multi(accepted, prediction))
        return {kind: 100 * sum(score[kind].fmeasure for score in scores) / len(scores) for kind in kinds}


class Bleu(TextMetric):
    """
    bleu (`float`): BLEU-4 of all texts together, as sacrebleu computes it, of its 13a tokens or with `units="characters"` its
    Chinese ones, between 0 and 100; bleu_signature (`str`): how sacrebleu tokenized the texts.

        >>> Bleu().compute(predictions=["a cat sat on a mat"], references=[["the cat sat on a mat"]])["bleu"]
        75.98356856515926
    """

    library = "sacrebleu.metrics"

    def _compute(self, predictions, references, units="english"):
        bleu = self.computing.BLEU(tokenize="zh" if units == "characters" else "13a")
        score = bleu.corpus_score(predictions, [*zip_longest(*references)]).score
        return {"bleu": score, "bleu_signature": str(bleu.get_signature())}


class Chrf(TextMetric):
    """
    chrf (`float`): chrF2 of all texts together, as sacrebleu computes it, of characters whatever the units, between 0 and 100.

        >>> Chrf().compute(predictions=["the cat"], references=[["the cat"]])
        {'chrf': 100.0}
    """

    library = "sacrebleu.metrics"

    def _compute(self, predictions, references, units="english"):
        return {"chrf": self.computing.CHRF().corpus_score(predictions, [*zip_longest(*references)]).score}


class Meteor(TextMetric):
    """
    meteor_exact_stem (`float`): METEOR (Banerjee and Lavie, 2005) by the exact and the stem matches of nltk, times 100: the mean
    over the texts of the best reference.

    The third stage, synonyms, needs WordNet, which is a download: so this is a lower bound of the full METEOR, and is named
    after its stages.

        >>> Meteor().compute(predictions=["the cats sat"], references=[["the cat sat"]])
        {'meteor_exact_stem': 98.14814814814815}
    """

    library = "nltk.translate.meteor_score"

    def _compute(self, predictions, references, units="english"):
        split = re.compile(r"[a-z0-9]+|\S" if units == "characters" else r"\w+|[^\w\s]").findall
        without_synonyms = SimpleNamespace(synsets=lambda word: [])
        total = 0.0
        for prediction, accepted in zip(predictions, references, strict=True):
            words, *rights = (split(text.lower()) for text in (prediction, *accepted))
            # the weights of 2005
            total += self.computing.meteor_score(
                rights, words, wordnet=without_synonyms, alpha=0.9, beta=3.0, gamma=0.5
            )
        return {"meteor_exact_stem": 100 * total / len(predictions)}


TEXT_METRICS = {"rouge": Rouge, "bleu": Bleu, "chrf": Chrf, "meteor": Meteor, "answers": Answers}


def check_metrics(names: Sequence[str]) -> None:
    """Refuse metrics that are unknown, or whose library is not installed."""
    for name in names:
        create(name, TEXT_METRICS)


def check_units(texts: Iterable[str], units: Units, where: str) -> None:
    """
    Refuse units that the texts are not of: what they compare would be nothing, or whole sentences.

    Raises:
        `ValueError`: most letters of the texts are of a script without spaces and the units are words; or most are not of
            the Latin alphabet and the units are English, of which rouge_score keeps a to z alone.
    """
    if units == "characters":
        return
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    unspaced = sum(map(bool, map(UNSPACED.match, letters)))
    other = sum(not letter.isascii() for letter in letters)
    if 2 * unspaced > len(letters):
        raise ValueError(
            f"{where}: --units {units}, but the texts have no spaces between words. Give --units characters."
        )
    if units == "english" and 2 * other > len(letters):
        raise ValueError(f"{where}: --units english, but most letters are not of English. Give --units words.")


def score_texts(
    names: Sequence[str],
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    units: Units = "english",
) -> dict[str, float | str]:
    """
    Score generated texts.

    Args:
        names (`Sequence[str]`): of `rouge`, `bleu`, `chrf`, `meteor`, `answers`.
        predictions (`Sequence[str]`): generated texts.
        references (`Sequence[Sequence[str]]`): one text or more that may stand for each.
        units (`str`, *optional*, defaults to `"english"`): what is compared, see [`TextMetric`].

    Returns:
        `dict[str, float | str]`: numbers between 0 and 100, and sacrebleu's signature.
    """
    scores: dict[str, float | str] = {}
    for name in names:
        scores |= create(name, TEXT_METRICS).compute(predictions=predictions, references=references, units=units)
    return scores
