# SPDX-License-Identifier: Apache-2.0
"""Each recipe by itself, on small files of the published form; the tables of the documents are run in the tests of the tasks."""

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from transformers_glm.data.prepare import find_function
from transformers_glm.data.reader import TableSource, load_table


RECIPES = Path(__file__).parents[1] / "recipes"
TEXT = {"path": "text"}


def squad(*asked):
    about = {"version": "1", "data": [{"title": "t", "paragraphs": [{"context": "C.", "qas": list(asked)}]}]}
    return json.dumps(about)


def turns(*said):
    return [{"speaker": "SYSTEM" if n % 2 else "USER", "utterance": text, "n": [n, "n"][n % 2]} for n, text in said]


ASKED = {"id": "1", "question": "q?", "answers": [{"text": "a", "answer_start": 0}, {"text": "b", "answer_start": 1}]}
NONE = {"id": "2", "question": "none?", "answers": [], "is_impossible": True}
OF_SQUAD = [
    {
        "title": "t",
        "context": "C.",
        "id": "1",
        "question": "q?",
        "answers": {"text": ["a", "b"], "answer_start": [0, 1]},
    },
    {"title": "t", "context": "C.", "id": "2", "question": "none?", "answers": {"text": [], "answer_start": []}},
]
HI = [(0, "Hi"), (1, "Yes?"), (2, "No"), (3, "So?")]
RESPONSES = [
    {"history": "Hi", "speaker": None, "response": "Yes?"},
    {"history": "Hi\nYes?", "speaker": None, "response": "No"},
]
GOALS = {
    "P1.json": {"goal": {"a": [1, "x"]}, "log": [{"text": text, "metadata": {}} for text in ("Hi", "Yes?", "No")]}
}
TREE = {"stem": "What is heavy?", "choices": [{"text": "air", "label": "A"}, {"text": "iron", "label": "B"}]}
WORDS = [{"concepts": ["dog", "run"], "target": text} for text in ("One.", "Two.", "One.")]

# recipe: (files, settings of the source, rows)
FORMS = {
    "squad:rows": ([squad(ASKED, NONE)], {}, OF_SQUAD),
    "squad:answerable": ([squad(NONE, ASKED)], {"data_kwargs": {"field": "data"}}, OF_SQUAD[:1]),
    "dialogue:responses": (
        [json.dumps({"id": 7, "turns": [["A", "Hi"], ["B", "Yes?"]]})],
        {},
        [{"id": 7, "history": "A: Hi", "speaker": "B", "response": "Yes?"}],
    ),
    "dialogue:daily_dialog": (["Hi __eou__ Yes? __eou__ No __eou__\n"], {"data_kwargs": TEXT}, RESPONSES),
    "dialogue:persona_chat": (
        [json.dumps({"valid": [{"personality": ["I p.", "q."], "utterances": [{"candidates": ["x", "g"], "history": ["h", "i"]}]}]})],
        {"split": "valid"},
        [{"personality": "I p. q.", "history": "h\ni", "response": "g"}],
    ),
    "dialogue:multiwoz": ([json.dumps(GOALS, indent=1)], {"data_kwargs": TEXT}, RESPONSES),
    "dialogue:schema_guided": (
        [json.dumps([{"dialogue_id": n, "turns": turns(*part)}], indent=n) for n, part in ((1, HI), (2, HI[:2]))],
        {"data_kwargs": TEXT},
        [
            {"history": "USER: Hi", "speaker": "SYSTEM", "response": "Yes?"},
            {"history": "USER: Hi\nSYSTEM: Yes?\nUSER: No", "speaker": "SYSTEM", "response": "So?"},
            {"history": "USER: Hi", "speaker": "SYSTEM", "response": "Yes?"},
        ],
    ),
    "same_source:common_gen": (
        [json.dumps(WORDS)],
        {"split": "validation"},
        [{"concepts": ["dog", "run"], "target": "One.", "references": ["One.", "Two."]}],
    ),
    "same_source:e2e": (
        [json.dumps([{"mr": "m", "ref": "r"}, {"mr": "m", "ref": "s"}])],
        {},
        [{"mr": "m", "ref": text, "references": [text]} for text in "rs"],
    ),
    "reddit_tifu:with_summary": (
        [json.dumps([{"documents": "D", "tldr": None}, {"documents": "E", "tldr": "T"}])],
        {},
        [{"documents": "E", "tldr": "T"}],
    ),
    "trec:coarse": (["HUM:ind Who is it ?\n"], {"data_kwargs": TEXT}, [{"category": "HUM", "text": "Who is it ?"}]),
    "trec:fine": (["HUM:ind Who is it ?\n"], {"data_kwargs": TEXT}, [{"category": "HUM:ind", "text": "Who is it ?"}]),
    "massive:partition": (
        [json.dumps([{"utt": part, "partition": part} for part in ("train", "dev", "test")])],
        {"split": "dev"},
        [{"utt": "dev", "partition": "dev"}],
    ),
    "piqa:with_labels": (
        [json.dumps({"goal": "Boil", "sol1": "cool", "sol2": "heat"}), "1\n"],
        {"names": ["row", "label"]},
        [{"goal": "Boil", "sol1": "cool", "sol2": "heat", "label": "1"}],
    ),
    "arc:flat": (
        [json.dumps({"question": TREE, "answerKey": "B"})],
        {},
        [{"question": "What is heavy?", "answerKey": "B", "choices": {"text": ["air", "iron"], "label": ["A", "B"]}}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("recipe", FORMS)
def test_a_recipe_makes_rows_of_a_published_form(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    contents, settings, rows = FORMS[recipe]
    names = settings.get("names", [""] * len(contents))
    paths = [tmp_path / f"{number}.json" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    paths = [f"{name}={path}".lstrip("=") for name, path in zip(names, paths, strict=True)]
    settings = {name: value for name, value in settings.items() if name != "names"}
    assert load_table(TableSource(paths, prepare=recipe, **settings)).to_list() == rows


def test_turns_are_texts_or_objects_too():
    responses, objects = (
        find_function("dialogue:responses"),
        [{"speaker": "A", "text": "Hi"}, {"speaker": "B", "text": "Yes?"}],
    )
    assert list(responses([{"turns": objects}])) == [{"history": "A: Hi", "speaker": "B", "response": "Yes?"}]
    assert list(responses([{"turns": ["Hi", "Yes?", "No"]}])) == RESPONSES


def test_the_function_of_the_document_works_as_written(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    document = (RECIPES.parent / "docs" / "tasks.md").read_text(encoding="utf-8")
    function = dedent(re.search(r"^    def .*?\n\n", document, re.DOTALL | re.MULTILINE)[0])
    (tmp_path / "my_file.py").write_text(function)
    (tmp_path / "a.txt").write_text("short\nlong enough,<br />I think\n")
    prepare = f"{tmp_path / 'my_file.py'}:long_enough"
    for split, texts in (("train", ["long enough, I think"]), ("validation", ["short", "long enough, I think"])):
        source = TableSource([str(tmp_path / "a.txt")], split=split, prepare=prepare)
        assert load_table(source)["text"][:] == texts


def test_every_recipe_is_shown_here_and_says_what_it_reads():
    modules = {path.stem for path in RECIPES.glob("*.py")}
    assert {name.partition(":")[0] for name in FORMS} == modules
    assert all(find_function(name).__doc__ for name in FORMS)
    assert not [name for name in modules if not (RECIPES / f"{name}.py").read_text().split('"""')[1].strip()]
