# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING.md: each question's file is there and has what the table says, and what it tells to run exists."""

import ast
import re
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([a-z][^|]*) \| (`[^|]*) \| `(\w+)` \|$", PAGE, flags=re.MULTILINE)


def test_the_table_has_ten_questions_and_more():
    assert len(ROWS) == len({question for question, _, _ in ROWS}) >= 10


@pytest.mark.parametrize(("question", "files", "name"), ROWS, ids=[question for question, _, _ in ROWS])
def test_a_file_answers_the_question_by_what_it_defines(question, files, name):
    *others, path = [ROOT / file for file in re.findall(r"`([^`]+)`", files)]
    assert all(other.exists() for other in others)
    source = path.read_text(encoding="utf-8")
    defined = {
        one.name if isinstance(one, ast.FunctionDef | ast.ClassDef) else one.targets[0].id
        for one in ast.parse(source).body
        if isinstance(one, ast.FunctionDef | ast.ClassDef | ast.Assign)
        and (not isinstance(one, ast.Assign) or isinstance(one.targets[0], ast.Name))
    }
    assert name in defined


def test_the_make_targets_and_files_that_it_names_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^ *(?:\d\. `)?make ([a-z-]+)", PAGE, flags=re.MULTILINE))
    assert {"test", "check", "style", "test-newest"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    paths = re.findall(r"`((?:tests|transformers_glm|docs)/[\w/.-]*)`", PAGE)
    assert paths and [path for path in paths if not (ROOT / path).exists()] == []
