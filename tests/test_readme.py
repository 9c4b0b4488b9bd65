# SPDX-License-Identifier: Apache-2.0
"""What the README says runs: its Python blocks, one after the other, and the flags of its commands."""

import re
import shlex
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_run(text_model, tokenizer, tmp_path, monkeypatch):
    text_model.save_pretrained(tmp_path / "output" / "demo")
    tokenizer.save_pretrained(tmp_path / "output" / "demo")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    namespace = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README block {number}", "exec"), namespace)


def test_the_commands_name_files_that_exist():
    named = re.findall(r"(?:scripts|configs|benchmarks|docs|tests)/[\w./-]+", README)
    assert named
    assert [name for name in named if not (ROOT / name.rstrip(".")).exists()] == []


def test_the_make_targets_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(re.findall(r"make ([a-z-]+)", README)) <= set(targets)


@pytest.mark.parametrize("command", re.findall(r"python (scripts/\w+\.py[^\n`#]*)", README))
def test_the_flags_of_the_commands_exist(command):
    script, *arguments = shlex.split(command.split(" < ")[0])
    package = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "transformers_glm").rglob("*.py"))
    known = (ROOT / script).read_text(encoding="utf-8") + package
    for flag in [argument.lstrip("-") for argument in arguments if argument.startswith("--")]:
        assert re.search(rf"\b{flag.replace('-', '[-_]')}\b", known), f"{script} knows no --{flag}"


def test_the_file_list_names_every_folder_and_all_that_stands_outside_of_one():
    listed = README.partition("## Files")[2].partition("## Words")[0]
    package = ROOT / "transformers_glm"
    shipped = [
        *ROOT.glob("*.py"),
        *(ROOT / "scripts").glob("*.py"),
        *package.glob("[a-z]*.py"),
        package / "__main__.py",
    ]
    folders = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert [name for name in (*(path.name for path in shipped), *folders) if name not in listed] == []


def test_it_is_short():
    assert len(README.splitlines()) <= 200
