# SPDX-License-Identifier: Apache-2.0
"""Texts with the fields of a row in them, in the language of chat templates: Jinja2, in its sandbox."""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment


MASKS = ("[MASK]", "[sMASK]", "[gMASK]")
# full-width marks beside the ASCII ones, as Chinese texts end
PUNCTUATION = string.punctuation + "。？！；：，、…"
FILTERS = "capitalize default first int join last length list lower map reject replace round select string title trim unique upper"
TEXT_FILTERS = "capitalize lower string title trim upper"
# what a template is made of: no loops and no macros, which could run for ever, and no products, which could fill the memory
ALLOWED = """
    Template Output TemplateData If Name Const Getattr Getitem Slice Filter Test CondExpr Compare Operand And Or Not
    Concat Add Sub Neg List Tuple Keyword
"""


# {name}, {name!p}, {name[key]}, {name:, }: how fields were written before
SINGLE_BRACES = re.compile(r"\{\s*[A-Za-z_]\w*\s*([.\[!:][^{}]*)?\}")


class Part(NamedTuple):
    """A stretch of a filled template: its own text (`field` is None), or what a field of the row holds."""

    text: str
    field: str | None = None


class _Sandbox(ImmutableSandboxedEnvironment):
    """Fields are looked up in the row and in mappings and lists within it; Python's attributes are out of reach."""

    def __init__(self):
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_only_text)
        self.filters = {name: self.filters[name] for name in FILTERS.split()} | {"plain": without_final_punctuation}
        for name in TEXT_FILTERS.split():
            self.filters[name] = _of_text(self.filters[name])
        self.globals = {}

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A value of a mapping by its key, of a list by its place."""
        by_key = isinstance(obj, Mapping) and argument in obj
        by_place = isinstance(obj, Sequence) and not isinstance(obj, str) and isinstance(argument, int | slice)
        if by_key or by_place:
            try:
                return obj[argument]
            except IndexError:
                pass
        return self.undefined(obj=obj, name=argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`question.stem` is `question['stem']`."""
        return self.getitem(obj, attribute)


def without_final_punctuation(value: Any) -> Any:
    """The filter `plain`: `{{ hypothesis | plain }}`."""
    return str(_only_text(value)).rstrip().rstrip(PUNCTUATION)


def _of_text(function: Callable) -> Callable:
    """A filter that makes text of text: of an empty field Jinja would make the word None."""
    return wraps(function)(lambda value, *args, **kwargs: function(_only_text(value), *args, **kwargs))


def _only_text(value: Any) -> Any:
    """What an expression may write: texts, numbers and booleans."""
    if isinstance(value, StrictUndefined):
        return str(value)  # which raises and says what is missing
    if value is None:
        raise ValueError("a field is empty (None)")
    if isinstance(value, Mapping | list | tuple):
        raise ValueError(
            f"a field holds {value!r:.80}. Name one of its values, {{{{ question.stem }}}} or {{{{ answers[0] }}}}, or join "
            "them, {{ words | join(' ') }}"
        )
    if not isinstance(value, str | int | float):
        raise ValueError(f"a field holds {value!r:.80}, which is neither text nor a number")
    return value


ENVIRONMENT = _Sandbox()


class Template:
    """
    A text with fields of a row in double braces.

        Template('"{{ hypothesis | plain }}" ? [MASK], "{{ premise }}"').write(row)
        Template("{{ question.stem }} [MASK]")      Template("{{ words | join(', ') }}")
        Template("{% if title %}{{ title }}: {% endif %}{{ text }}")

    Filters are those of Jinja that make text of text or choose from lists, and `plain`, which leaves out the final punctuation. A
    task file may come from anybody: no attribute of a Python object, no loop and no product can be written in it.

    Args:
        text (`str`): the template.

    Raises:
        `ValueError`: it cannot be read, or has something in it that is not allowed; names it.
    """

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise ValueError(f"A template is a text, not {text!r}.")
        self.text = text
        self._parts = _parts_of(text)
        self.fields = list(dict.fromkeys(name for _, names in self._parts for name in names))
        self.blanks = sum(part.count(mask) for part, names in self._parts if isinstance(part, str) for mask in MASKS)

    def parts(self, row: Mapping[str, Any]) -> list[Part]:
        """
        The parts of the text of a row, each of which is of the template or of the field that is named first in it.

        Raises:
            `ValueError`: the row lacks a field, or it is empty (`None`) or no text.
        """
        return [self._part(part, names, row) for part, names in self._parts]

    def write(self, row: Mapping[str, Any]) -> str:
        """The text of a row; raises as `parts`."""
        return "".join(part.text for part in self.parts(row))

    def _part(self, part: Any, names: Sequence[str], row: Mapping[str, Any]) -> Part:
        if isinstance(part, str):
            return Part(part)
        try:
            return Part(part.render(row), names[0] if names else None)
        except (TemplateError, ValueError, TypeError) as error:
            raise ValueError(
                f"The template {self.text!r} cannot be written: {error}; the row has {', '.join(sorted(map(str, row)))}."
            ) from error


def value_of(expression: str, row: Mapping[str, Any]) -> Any:
    """
    What an expression finds in a row, of any type: `choices`, `answers.text`, `answers | map(attribute="text") | list`.

    Raises:
        `ValueError`: it cannot be read, or the row has no such field.
    """
    template(f"{{{{ {expression} }}}}")  # refuses what is not allowed
    try:
        found = ENVIRONMENT.compile_expression(expression, undefined_to_none=False)(row)
        return found if not isinstance(found, StrictUndefined) else str(found)  # which raises
    except (TemplateError, ValueError, TypeError) as error:
        raise ValueError(
            f"{expression!r} is not found: {error}; the row has {', '.join(sorted(map(str, row)))}."
        ) from error


@lru_cache
def template(text: str) -> Template:
    """A template, parsed once."""
    return Template(text)


def _parts_of(text: str) -> list[tuple[Any, list[str]]]:
    """Of each part of a template its own text, or what renders it, and the names of the fields in it."""
    try:
        parsed = ENVIRONMENT.parse(text)
    except (TemplateError, RecursionError) as error:
        raise ValueError(
            f"The template {text!r} cannot be read: {error}. Fields are written {{{{ name }}}}."
        ) from error
    for node in parsed.find_all(nodes.Node):
        _check(node, text)
    parts = []
    for node in parsed.body:
        for item in node.nodes if isinstance(node, nodes.Output) else [node]:
            if isinstance(item, nodes.TemplateData):
                parts.append((item.data, []))
                continue
            if any(mask in data.data for data in item.find_all(nodes.TemplateData) for mask in MASKS):
                raise ValueError(f"The template {text!r} has its blank within an {{% if %}}. It stands outside of it.")
            body = [nodes.Output([item], lineno=1)] if isinstance(item, nodes.Expr) else [item]
            names = list(dict.fromkeys(name.name for name in nodes.Output([item]).find_all(nodes.Name)))
            parts.append((ENVIRONMENT.from_string(nodes.Template(body, lineno=1)), names))
    return parts


def _check(node: nodes.Node, text: str) -> None:
    """Refuse what a template must not have in it."""
    if type(node).__name__ not in ALLOWED.split():
        raise ValueError(
            f"The template {text!r} has a {type(node).__name__} in it, which is not allowed: fields, filters and "
            "{% if %} are. Rows are made ready by a function, --prepare."
        )
    if isinstance(node, nodes.TemplateData) and (found := SINGLE_BRACES.search(node.data)):
        raise ValueError(
            f"The template {text!r} has {found[0]} in single braces, which would not be a field. Fields stand in double braces: "
            "{{ name }}, {{ name | plain }} without its final punctuation, {{ target.name }} of a field in a field, "
            "{{ words | join(', ') }} of a list; and braces that are meant so are written {{ '{name}' }}."
        )
    if isinstance(node, nodes.Name) and node.name == "self":
        raise ValueError(
            f"The template {text!r} has a field 'self', a name that Jinja keeps. Give the column another name."
        )
    if isinstance(node, nodes.Filter) and node.name not in ENVIRONMENT.filters:
        raise ValueError(
            f"The template {text!r} has a filter {node.name!r}. There are {', '.join(sorted(ENVIRONMENT.filters))}."
        )
