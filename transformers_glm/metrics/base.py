# SPDX-License-Identifier: Apache-2.0
"""What the metrics share: the base of those of `evaluate`, and scored tokens."""

import inspect
import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from itertools import chain
from typing import NamedTuple

import evaluate
from datasets import Features, Value


TEXT = Value("string")


class Metric(evaluate.Metric):
    """
    A metric of `evaluate`. The first paragraph of a subclass's docstring, its description, says what `compute` returns; the
    others say what is particular to its inputs.

    Args:
        inputs (`dict`): the `datasets` features of `predictions` and `references`; a subclass may have others.
        library (`str`, *optional*): the module of the extra `eval` that `_compute` has as `self.computing`.

    Raises:
        `ImportError`: the library is not installed.
    """

    inputs: Mapping = {"predictions": TEXT, "references": TEXT}
    library: str | None = None

    def __init__(self, **kwargs):
        try:
            self.computing = self.library and import_module(self.library)
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs {self.library}. Install it: pip install transformers-glm[eval]; or choose "
                "others with --metrics."
            ) from error
        super().__init__(**kwargs)

    def _info(self):
        description, _, inputs = inspect.getdoc(type(self)).partition("\n\n")
        return evaluate.MetricInfo(
            description=description,
            citation="",
            inputs_description=inputs,
            features=Features(self.inputs),
        )


def create(name: str, known: Mapping[str, type[Metric]]) -> Metric:
    """
    The metric of that name, which holds its inputs in memory.

    Raises:
        `ValueError`: there is no metric of that name.
        `ImportError`: its library is not installed.
    """
    if name not in known:
        raise ValueError(f"No metric is called {name!r}. There are {', '.join(known)}.")
    return known[name](keep_in_memory=True)


class Scored(NamedTuple):
    """
    Scored tokens.

    Args:
        log_probabilities (`list[float]`): natural logarithm of each token's probability, given all before it.
        hits (`list[bool]`): whether it is the most probable token.
    """

    log_probabilities: list[float]
    hits: list[bool]

    @classmethod
    def together(cls, parts: Iterable["Scored"]) -> "Scored":
        """The tokens of all parts."""
        log_probabilities, hits = zip(*parts, strict=True)
        return cls([*chain(*log_probabilities)], [*chain(*hits)])

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return len(self.hits)

    @property
    def accuracy(self) -> float:
        """The share of tokens that are the most probable ones."""
        return sum(self.hits) / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(-mean log p)."""
        return math.exp(-math.fsum(self.log_probabilities) / self.tokens)
