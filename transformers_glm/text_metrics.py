# SPDX-License-Identifier: Apache-2.0
"""ROUGE, BLEU, chrF and METEOR of generated texts, through `evaluate`."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal

import evaluate

from .evaluation import METRICS


Units = Literal["english", "words", "characters"]
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
