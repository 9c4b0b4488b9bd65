# SPDX-License-Identifier: Apache-2.0
"""What a cloze task says: its questions, with blanks, and their answers, as data (paper, section 2.3)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

from ..data.templates import template, value_of


Row = Mapping[str, Any]
Answer = str | Sequence[str]
Task = TypeVar("Task", bound="Cloze")


def label_key(label: Any) -> str:
    """How labels are compared: `True`, `"True"` and `"true"` are one, and so are `1` and `"1"`."""
    key = str(label)
    return key.lower() if key in ("True", "False") else key


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """
    How a candidate is scored. Its score is the sum of the natural logarithms of its tokens' probabilities, unless a setting says more.

    Args:
        with_eop (`bool`, *optional*, defaults to `False`): the end of the piece is scored too, as in the original.
        length_normalization (`bool`, *optional*, defaults to `False`): the mean over the tokens instead of the sum.
        calibration (`str`, *optional*):
            Subtract the answer's score on a content-free question. `"contextual"`: the logarithm of the candidates'
            probabilities, averaged over the questions with `content_free` texts in the place of the fields (Zhao et al.,
            2021). `"pmi"`: the candidate's score in the `domain` pattern (PMI-DC, Holtzman et al., 2021).
        content_free (`Sequence[str]`, *optional*, defaults to `("N/A", "")`): texts for `"contextual"`.
        domain (`str`, *optional*): the pattern for `"pmi"`, which may have fields too.
        weights (`Mapping[label, float]`, *optional*): the logarithm of a label's weight is added to its score.
    """

    with_eop: bool = False
    length_normalization: bool = False
    calibration: Literal["contextual", "pmi"] | None = None
    content_free: Sequence[str] = ("N/A", "")
    domain: str | None = None
    weights: Mapping[Any, float] | None = None

    def __post_init__(self):
        if self.calibration not in (None, "contextual", "pmi"):
            raise ValueError(f"calibration={self.calibration!r} is not known: contextual, pmi or None.")
        if self.calibration == "pmi" and self.domain is None:
            raise ValueError('calibration="pmi" compares with a question without the row: give it as `domain`.')
        if not self.content_free:
            raise ValueError("content_free is empty: give a text to put in the place of the fields.")
        for label, weight in (self.weights or {}).items():
            if not weight > 0:
                raise ValueError(f"The weight of label {label!r} is {weight}. Weights are greater than 0.")


@dataclass(frozen=True)
class Cloze:
    """
    A question with blanks, c(x), and what each label writes into them, v(y): all that can be said of a [`ClozeTask`].

    Args:
        pattern (`str` or `Callable[[Mapping], str]`):
            Text with fields of the row in double braces (Jinja2, see [`Template`]) and a `[MASK]` for each blank, or a function.
            With a field `{{ candidate }}` each candidate has a question of its own.
        verbalizer (`Mapping[label, answer]` or `Callable[[Mapping], Sequence | Mapping]`, *optional*):
            The answer of each label (a list of answers where there are several blanks), or a function that gives the
            candidates of a row, with their labels or 0, 1, 2, ... Answers are written as given: with byte-level
            vocabularies they begin with a space where a word begins. Without verbalizer and candidates each label's name
            is its candidate, see `with_labels`.
        candidates (`str` or `Sequence[str]`, *optional*):
            In place of the verbalizer: an expression that finds a row's list of candidates, with or without their labels,
            `choices` or `question.choices`; or a template for each of them.
        answer (`str`, *optional*, defaults to `"{{ candidate }}"`): template of what a candidate writes into the blank.
        name (`str`, *optional*): what reports call the task.
        metrics (`Sequence[str]`, *optional*, defaults to `("accuracy",)`): names of `transformers_glm/metrics/registry.py`.
        shorten (`Sequence[str]`, *optional*): fields that may be cut where a row is too long; all of the pattern by default.
        texts (`Sequence[str]`, *optional*):
            One or two templates, what the classifier reads in place of the cloze question; by default the first field of the
            pattern, and the others.
        single_token (`bool`, *optional*, defaults to `False`): refuse answers of several tokens.
        scoring (`Scoring`, *optional*): how candidates are scored.
        loss (`str`, *optional*, defaults to `"cross_entropy"`):
            Over the candidates; `"generative"`: minus the score of the right one; `"mix"`: both; `"hinge"`.
        decision (`str`, *optional*, defaults to `"best"`):
            The label of the best candidate; or `"first"`: true where the first one is the best, or, being alone, is what the
            model writes by itself (WSC).
        label_field (`str`, *optional*, defaults to `"label"`): the field that holds the label.
        label_is (`str`, *optional*, defaults to `"label"`): or `"text"`, where it holds the text of the right candidate.
        id_field (`str`, *optional*, defaults to `"idx"`): the field that names a row in reports.
        prepare (`Callable[[dict, bool], Iterable[dict]]`, *optional*):
            Makes rows with the fields of the pattern of a row of the file, for training (`True`) or not.
        max_length (`int`, *optional*): Part A with the longest candidate; at most the model's `max_sequence_length`.
    """

    pattern: str | Callable[[Row], str]
    verbalizer: Mapping[Any, Answer] | Callable[[Row], Sequence[str] | Mapping[Any, Answer]] | None = None
    candidates: str | Sequence[str] | None = None
    answer: str = "{{ candidate }}"
    name: str = "cloze"
    metrics: Sequence[str] = ("accuracy",)
    shorten: Sequence[str] | None = None
    texts: Sequence[str] | None = None
    single_token: bool = False
    scoring: Scoring = field(default_factory=Scoring)
    loss: Literal["cross_entropy", "generative", "mix", "hinge"] = "cross_entropy"
    decision: Literal["best", "first"] = "best"
    label_field: str = "label"
    label_is: Literal["label", "text"] = "label"
    id_field: str = "idx"
    prepare: Callable[[dict, bool], Iterable[dict]] | None = None
    max_length: int | None = None

    def __post_init__(self):
        if self.verbalizer is not None and self.candidates is not None:
            raise ValueError("A task has a verbalizer or candidates of each row, not both.")
        for setting in ("loss", "decision", "label_is"):
            known = get_args(Cloze.__annotations__[setting])
            if (given := getattr(self, setting)) not in known:
                raise ValueError(f"{setting}={given!r} is not known. Choose one of {', '.join(known)}.")
        for text in self.templates:
            template(text)
        if isinstance(self.verbalizer, Mapping):
            keys = [label_key(label) for label in self.verbalizer]
            if len(set(keys)) < len(keys):
                raise ValueError(f"The verbalizer names a label twice: {keys}.")

    @classmethod
    def setting_names(cls) -> list[str]:
        """The names of all settings of a task and of its scoring."""
        return [one.name for one in (*fields(cls), *fields(Scoring)) if one.name != "scoring"]

    @property
    def templates(self) -> list[str]:
        """All templates, the expression that finds the candidates among them."""
        candidates = [f"{{{{ {self.candidates} }}}}"] if isinstance(self.candidates, str) else self.candidates or ()
        pattern = [] if callable(self.pattern) else [self.pattern]
        return [*pattern, self.answer, *(self.texts or ()), self.scoring.domain or "", *candidates]

    @property
    def fields(self) -> list[str]:
        """The fields that the pattern names; those of a function are not known."""
        named = [] if callable(self.pattern) else template(self.pattern).fields
        return [name for name in named if name != "candidate"]

    @property
    def labels(self) -> list[str] | None:
        """The labels of the verbalizer; None where each row has candidates of its own."""
        return [label_key(label) for label in self.verbalizer] if isinstance(self.verbalizer, Mapping) else None

    @property
    def asks_each_candidate(self) -> bool:
        """Whether each candidate has a question of its own."""
        return not callable(self.pattern) and "candidate" in template(self.pattern).fields

    def question(self, row: Row, candidate: str | None = None) -> str:
        """The text of a row, with its blanks."""
        if callable(self.pattern):
            return self.pattern(row)
        return template(self.pattern).write(row if candidate is None else {**row, "candidate": candidate})

    def texts_of(self, row: Row) -> dict[Any, list[str]]:
        """The candidates of a row before they are answers: of each label, a text for each blank."""
        if self.verbalizer is None and self.candidates is None:
            raise ValueError(
                "The task has no verbalizer yet: make one of the data's labels by task.with_labels(labels)."
            )
        if self.candidates is None:
            found = self.verbalizer(row) if callable(self.verbalizer) else self.verbalizer
        elif isinstance(self.candidates, str):
            found = _by_label(value_of(self.candidates, row), self.candidates)
        else:
            found = [template(text).write(row) for text in self.candidates]
        found = found if isinstance(found, Mapping) else dict(enumerate(found))
        texts = {label: one if isinstance(one, list | tuple) else [one] for label, one in found.items()}
        if wrong := [one for of_label in texts.values() for one in of_label if not isinstance(one, str | int | float)]:
            raise ValueError(f"The candidates {texts} have {wrong[0]!r} among them, which is not text.")
        return {label: list(map(str, of_label)) for label, of_label in texts.items()}

    def answers(self, row: Row) -> dict[Any, list[str]]:
        """
        The answer of each label of a row, a text for each blank.

        Raises:
            `ValueError`: there is no candidate, one is empty, two are the same.
        """
        texts = self.texts_of(row)
        empty = [label for label, of_label in texts.items() if not of_label or not all(map(str.strip, of_label))]
        if empty or not texts:
            raise ValueError(f"The candidates {texts} are empty: give each label an answer.")
        seen: dict[tuple, Any] = {}
        for label, of_label in texts.items():
            if (first := seen.setdefault(tuple(of_label), label)) != label:
                raise ValueError(
                    f"The candidates {first!r} and {label!r} are both {of_label}. Candidates must differ."
                )
        return {
            label: [template(self.answer).write({**row, "candidate": text}) for text in of_label]
            for label, of_label in texts.items()
        }

    def right_answer(self, row: Row) -> int | None:
        """
        Which of the candidates of a row is right, counted from 0; None where the row has no label.

        Raises:
            `ValueError`: the label is not one of the candidates.
        """
        label = row.get(self.label_field)
        if label is None:
            return None
        if self.decision == "first":
            return 0
        texts = self.texts_of(row)
        keys = [of_label[0] for of_label in texts.values()] if self.label_is == "text" else list(map(label_key, texts))
        if self.label_name(label) not in keys:
            raise ValueError(
                f"The label {label!r} is not among the candidates {keys}. Correct the row, or say with label_map which of "
                "the labels it means."
            )
        return keys.index(self.label_name(label))

    def label_name(self, label: Any) -> str:
        """What reports call a label: as labels are compared, and one that is a text as it stands there."""
        return str(label) if self.label_is == "text" else label_key(label)

    def with_labels(self: Task, names: Iterable[Any]) -> Task:
        """
        The task with a verbalizer of label names, underscores as spaces: for data whose labels are words.

        Raises:
            `ValueError`: there is no label, or they are fractions, which are not classes.
        """
        names = sorted({label_key(name) for name in names})
        if not names:
            raise ValueError(
                f"There is no label to make a verbalizer of: no row has one in the field {self.label_field!r}. Say which column "
                "that is by label_field or columns."
            )
        if scores := [name for name in names if re.fullmatch(r"[-+]?\d*\.\d+(e[-+]?\d+)?", name)]:
            raise ValueError(
                f"The field {self.label_field!r} holds numbers, {', '.join(scores[:5])}: they are scores, not classes, so their "
                "names cannot be the answers. Give labels that are classes, or a verbalizer with an answer for each."
            )
        return replace(self, verbalizer={name: name.replace("_", " ") for name in names})


def _by_label(found: Any, expression: str) -> dict[Any, Any]:
    """
    The candidates of a row by their labels: of a list of texts their numbers, else the labels that stand beside them.

        ["iron", "wood"]      {"text": ["iron", "wood"], "label": ["A", "B"]}      [{"text": "iron", "label": "A"}, ...]
    """
    if isinstance(found, Mapping) and isinstance(found.get("text"), list) and isinstance(found.get("label"), list):
        labels, texts = found["label"], found["text"]
    elif isinstance(found, list | tuple):
        labelled = all(isinstance(one, Mapping) and {"text", "label"} <= set(one) for one in found)
        labels = [one["label"] for one in found] if labelled else range(len(found))
        texts = [one["text"] for one in found] if labelled else found
    else:
        labels, texts = (), None
    if texts is None or len(labels) != len(texts):
        raise ValueError(
            f"The candidates {expression!r} must be a list, or their text and label, but here they are {found!r:.120}."
        )
    if len(set(map(label_key, labels))) < len(labels):
        raise ValueError(f"The candidates {expression!r} have a label twice: {list(labels)}.")
    return {
        label if isinstance(label, str | int) else label_key(label): text
        for label, text in zip(labels, texts, strict=True)
    }
