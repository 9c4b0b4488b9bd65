# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformers_glm.data.templates import Part, Template, template, value_of


ROW = {
    "premise": "It pours. ",
    "hypothesis": "It rains!",
    "n": 3,
    "yes": True,
    "empty": "",
    "none": None,
    "words": ["a", "b"],
    "question": {"stem": "Why?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},
    "#1 String": "quoted",
    "self": "the row's own self",
    "items": ["i"],
    "keys": "k",
}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[MASK] {{ premise }}", "[MASK] It pours. "),
        ('"{{ hypothesis | plain }}" ? [MASK]', '"It rains" ? [MASK]'),
        ("{{ question.stem }} {{ question['stem'] }}", "Why? Why?"),
        ("{{ question.choices[-1].text }}", "y"),
        ("{{ question.choices | map(attribute='label') | join('/') }}", "A/B"),
        ("{{ words | join(', ') }} {{ words[:1] | first }} {{ words | length }}", "a, b a 2"),
        ("{% if empty %}{{ empty }}: {% endif %}{{ n }}", "3"),
        ("{% if n == 3 and not empty %}three{% else %}other{% endif %}", "three"),
        ("{{ 'yes' if yes else 'no' }} {{ n + 1 }} {{ n ~ 'rd' }}", "yes 4 3rd"),
        ("{{ missing | default('there is none') }}", "there is none"),
        ("{{ items | first }} {{ keys }}", "i k"),
        ("{ not a field } {{ '{{' }}\n", "{ not a field } {{\n"),
        ("{{ premise | trim | upper }}", "IT POURS."),
    ],
)
def test_a_template_is_written_with_the_fields_of_a_row(text, written):
    assert Template(text).write(ROW) == written
    assert Template(text) is not template(text) is template(text)


@pytest.mark.parametrize(
    "filtered", ["none | upper", "none | trim", "none | plain", "words | title", "missing | lower"]
)
def test_a_filter_makes_no_word_of_an_empty_field(filtered):
    with pytest.raises(ValueError, match=r"is empty \(None\)|holds \['a', 'b'\]|'missing' is undefined"):
        Template(f"{{{{ {filtered} }}}}").write(ROW)


@pytest.mark.parametrize("old", ["{premise} [MASK]", "{hypothesis!p}", "{question[stem]}", "{words:, }", "{ n }"])
def test_fields_in_single_braces_are_refused(old):
    with pytest.raises(ValueError, match="in single braces, which would not be a field"):
        Template(old)
    assert Template("{{ '" + old + "' }}").write(ROW) == old


def test_parts_are_of_the_template_or_of_the_field_that_is_named_first():
    made = Template(
        "{{ premise }}{{ hypothesis | plain }} [MASK]{% if n %} {{ n }}{{ premise }}{% endif %}, {{ question.stem }}"
    )
    assert made.parts(ROW) == [
        Part("It pours. ", "premise"),
        Part("It rains", "hypothesis"),
        Part(" [MASK]"),
        Part(" 3It pours. ", "n"),
        Part(", "),
        Part("Why?", "question"),
    ]
    assert made.fields == ["premise", "hypothesis", "n", "question"]
    assert (made.blanks, Template("[MASK] [sMASK][gMASK]").blanks, Template("{{ n }}").blanks) == (1, 3, 0)


@given(st.text())
def test_what_a_field_holds_is_plain_text_whatever_it_is(text):
    row = {"text": text}
    assert Template("[MASK] {{ text }}").parts(row) == [Part("[MASK] "), Part(text, "text")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ premise.__class__ }}", "no attribute '__class__'"),
        ("{{ premise.upper }}", "no attribute 'upper'"),
        ("{{ words.append }}", "no attribute 'append'"),
        ("{{ question.items }}", "no attribute 'items'"),
        ("{{ words[5] }}", "no element 5"),
        ("{{ missing }}", "'missing' is undefined; the row has #1 String, empty, hypothesis, items, keys, n"),
        ("{{ question.missing }}", "no attribute 'missing'"),
        ("{{ none }}", r"a field is empty \(None\)"),
        ("{{ words }}", r"a field holds \['a', 'b'\]. Name one of its values, .* or join them"),
        ("{{ question }}", "a field holds {'stem': 'Why"),
        ("{{ n + premise }}", "unsupported operand"),
        ("{{ question.choices | map(attribute='text.__class__') | join }}", "no attribute '__class__'"),
    ],
)
def test_what_a_row_does_not_hold_as_text_is_refused(text, words):
    with pytest.raises(ValueError, match=f"(?s)The template .* cannot be written: .*{words}"):
        Template(text).write(ROW)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ premise.upper() }}", "has a Call in it, which is not allowed"),
        ("{{ range(9) }}", "has a Call in it"),
        ("{{ premise * 1000000000 }}", "has a Mul in it"),
        ("{{ n ** 9 }}", "has a Pow in it"),
        ("{{ '%1000000000d' % n }}", "has a Mod in it"),
        ("{% for x in words %}{{ x }}{% endfor %}", "has a For in it.*--prepare"),
        ("{% macro f() %}{% endmacro %}", "has a Macro in it"),
        ("{% set x = 1 %}", "has a Assign in it"),
        ("{% include 'x' %}", "has a Include in it"),
        ("{{ premise | format(1) }}", "has a filter 'format'. There are capitalize, .*plain"),
        ("{{ premise | center(1000000000) }}", "has a filter 'center'"),
        ("{{ premise | attr('x') }}", "has a filter 'attr'"),
        ("{% if n %}[MASK]{% endif %}", r"has its blank within an {% if %}"),
        ("{{ premise", "cannot be read: .*Fields are written {{ name }}"),
        ("{{ premise!p }}", "cannot be read"),
        ("{{ self }}", "has a field 'self', a name that Jinja keeps. Give the column another name"),
        (5, "A template is a text, not 5"),
        (None, "A template is a text, not None"),
    ],
)
def test_a_template_of_a_stranger_can_do_nothing_but_write_fields(text, words):
    with pytest.raises(ValueError, match=words):
        Template(text)


def test_an_expression_finds_a_value_of_any_type():
    assert value_of("words", ROW) == ["a", "b"]
    assert value_of("question.choices", ROW) == ROW["question"]["choices"]
    assert value_of('question.choices | map(attribute="text") | list', ROW) == ["x", "y"]
    assert value_of("[premise, n]", ROW) == ["It pours. ", 3]
    assert value_of("none", ROW) is None
    for expression, words in (
        ("missing", "'missing' is not found: 'missing' is undefined; the row has"),
        ("premise.upper()", "has a Call in it"),
        ("words.__class__", "no attribute '__class__'"),
    ):
        with pytest.raises(ValueError, match=words):
            value_of(expression, ROW)
