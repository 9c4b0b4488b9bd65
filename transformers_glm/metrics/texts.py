# SPDX-License-Identifier: Apache-2.0
"""ROUGE, BLEU, chrF and METEOR of generated texts, through `evaluate`."""

import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Literal

import evaluate

from .spans import METRICS


Units = Literal["english", "words", "characters"]
# Han, kana, and the scripts of South-East Asia: between their words are no spaces
UNSPACED = re.compile(
    "[\u2e80-\u2fff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
NEEDED = {"rouge": "rouge_score", "bleu": "sacrebleu", "chrf": "sacrebleu", "meteor": "nltk"}  # extra `eval`


def check_metrics(names: Sequence[str]) -> None:
    """Refuse metrics that are unknown, or whose library is not installed."""
    unknown = sorted(set(names) - set(NEEDED))
    if unknown:
        raise ValueError(f"No metric is called {', '.join(unknown)}. There are {', '.join(NEEDED)}.")
    missing = sorted({NEEDED[name] for name in names if find_spec(NEEDED[name]) is None})
    if missing:
        raise ImportError(
            f"The metrics need {', '.join(missing)}. Install them: pip install transformers-glm[eval]; or choose others "
            "with --metrics."
        )


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
        names (`Sequence[str]`): of `rouge`, `bleu`, `chrf`, `meteor`.
        predictions (`Sequence[str]`): generated texts.
        references (`Sequence[Sequence[str]]`): one text or more that may stand for each.
        units (`str`, *optional*, defaults to `"english"`):
            What is compared: words of English (stemmed where a metric stems), `"words"` of another language with spaces, or
            `"characters"` of Chinese and the like.

    Returns:
        `dict[str, float | str]`: numbers between 0 and 100, and sacrebleu's signature.
    """
    scores: dict[str, float | str] = {}
    for name in names:
        metric = evaluate.load(str(METRICS / f"{name}.py"), keep_in_memory=True)
        scores |= metric.compute(predictions=predictions, references=references, units=units)
    return scores
