# SPDX-License-Identifier: Apache-2.0
"""What a task file may say: the settings, the kind of value of each, and what YAML is not to make of a text."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..task import ClozeTask


class Kind(NamedTuple):
    """The values that a setting takes, in words and as a test; `of_labels`: it takes such a value for each label."""

    words: str
    holds: Callable[[Any], bool]
    of_labels: bool = False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_text_or_texts(value: Any) -> bool:
    return _is_text(value) or _are_texts(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


TEXT = Kind("a text", _is_text)
TEXTS = Kind("a list of texts, [a, b]", _are_texts)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
KINDS = {
    "pattern": Kind("a text, or the number of one of its patterns", lambda one: _is_text(one) or type(one) is int),
    "patterns": Kind(
        "a text, or settings, {pattern: ..., verbalizer: ...}", lambda one: isinstance(one, str | dict), True
    ),
    "verbalizer": Kind("a text, ' glad', or a list of them, one for each blank", _is_text_or_texts, True),
    "candidates": Kind(
        "an expression, choices, or a list of templates, ['{{ choice1 }}', '{{ choice2 }}']", _is_text_or_texts
    ),
    "max_length": Kind("a whole number of 1 or more", lambda one: type(one) is int and one > 0),
    "weights": Kind("a number greater than 0", _is_number, True),
    **dict.fromkeys(("single_token", "with_eop", "length_normalization"), FLAG),
    **dict.fromkeys(("metrics", "shorten", "texts", "content_free"), TEXTS),
}


class _Loader(yaml.SafeLoader):
    """The safe loader of YAML, to which yes, no, on and off and dates are texts, and a key that occurs twice is an error."""

    yaml_implicit_resolvers = {
        first: [one for one in resolvers if not one[0].endswith((":bool", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        """As PyYAML's, which would keep the last value of a key."""
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|True|false|False"), "tTfF")


def read_settings(path: Path) -> dict[str, Any]:
    """
    The settings of a task file.

    Raises:
        `ValueError`: it is not YAML, or a setting is not known or has another kind of value; names the file, the setting, its
            value and what it takes.
    """
    try:
        settings = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except Exception as error:  # constructors of YAML's tags raise whatever they meet
        raise ValueError(f"{path} cannot be read: {error}. A task is settings, one `name: value` a line.") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds {type(settings).__name__}. A task is settings, one `name: value` a line.")
    check_settings(settings, str(path))
    for number, pattern in settings.get("patterns", {}).items():
        if type(number) is not int:
            raise ValueError(f"{path}: patterns are numbered, 0: ..., but one is called {number!r}.")
        if isinstance(pattern, dict):
            check_settings(pattern, f"{path}, pattern {number}")
    return settings


def check_settings(settings: Mapping[str, Any], where: str) -> None:
    """
    Refuse settings that a task does not have, and values of another kind than they take.

    Raises:
        `ValueError`: names `where` they stand, the setting, its value and what it takes.
    """
    names = ["patterns", *ClozeTask.setting_names()]
    for name, value in settings.items():
        if name not in names:
            raise ValueError(f"{where}: a task has no {name}. It has {', '.join(names)}.")
        kind, values = KINDS.get(name, TEXT), {name: value}
        if kind.of_labels:
            if not isinstance(value, dict):
                raise ValueError(
                    f"{where}: {name}: {value!r} is not a mapping. Write one line `label: value` for each."
                )
            values = {f"{name}, {label!r}": one for label, one in value.items()}
            if odd := [label for label in value if not isinstance(label, str | int | float)]:
                raise ValueError(
                    f"{where}: {name}: the label {odd[0]!r} is neither text nor a number. Put it in quotes."
                )
        for place, one in values.items():
            if not kind.holds(one):
                raise ValueError(
                    f"{where}: {place}: {one!r} is not {kind.words}. A text that YAML reads as something else, 5, true or null, "
                    "stands in quotes."
                )
