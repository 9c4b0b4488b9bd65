# SPDX-License-Identifier: Apache-2.0
"""What the README says runs: its Python blocks, one after the other, and the flags of its commands."""

import re
import shlex
from pathlib import Path

import pytest
from transformers import TrainingArguments

from transformers_glm.runs.configs import find_config


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


@pytest.mark.parametrize("command", re.findall(r"transformers-glm ([a-z2-]+ [^\n`#]*)", README))
def test_the_flags_of_the_commands_exist(command):
    name, *arguments = shlex.split(command.split(" < ")[0])
    module = ROOT / "transformers_glm" / "commands" / f"{name.replace('-', '_')}.py"
    folders = ["runs", *re.findall(r"from \.\.(\w+)\.arguments import", module.read_text(encoding="utf-8"))]
    files = [path for folder in folders for path in (ROOT / "transformers_glm" / folder).glob("*arguments.py")]
    known = "".join(path.read_text(encoding="utf-8") for path in [module, *files])
    known += " ".join(TrainingArguments.__dataclass_fields__)
    for flag in [argument.lstrip("-") for argument in arguments if argument.startswith("--")]:
        assert re.search(rf"\b{flag.replace('-', '[-_]')}\b", known), f"transformers-glm {name} knows no --{flag}"
    if arguments and arguments[0].startswith(("pretrain_", "cloze_", "seq2seq_")):
        assert find_config(arguments[0]).is_file()


def test_every_folder_is_listed():
    listed = README.partition("## Files")[2].partition("## Words")[0]
    folders = [*(ROOT / "transformers_glm").glob("*/__init__.py"), *(ROOT / "tests").glob("conftest.py")]
    names = {f"{path.parent.name}/" for path in folders} | {"transformers_glm/", "scripts/", "configs/", "benchmarks/"}
    assert [name for name in names if name not in listed] == []
    assert {path.stem.split("_")[-1] for path in ROOT.glob("*.py")} == {"glm"}  # what *_glm.py stands for


def test_it_is_short():
    assert len(README.splitlines()) <= 200
