# SPDX-License-Identifier: Apache-2.0
"""What docs/deployment.md says runs: its Python blocks, one after the other, and its commands."""

import re
import shlex
from pathlib import Path

import pytest

from transformers_glm.commands import push


ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


@pytest.fixture
def demo(text_model, tokenizer, tmp_path, monkeypatch):
    text_model.save_pretrained(tmp_path / "output" / "demo")
    tokenizer.save_pretrained(tmp_path / "output" / "demo")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_python_blocks_run(demo):
    for package in ("sentence_transformers", "onnx", "onnxscript", "onnxruntime", "transformers.exporters"):
        pytest.importorskip(package)
    namespace = {}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)):
        exec(compile(block, f"docs/deployment.md block {number}", "exec"), namespace)


def test_the_commands_parse(demo):
    form = r"^    (?:python scripts/push_to_hub\.py|transformers-glm push) (.*)$"
    commands = re.findall(form, PAGE + push.__doc__, flags=re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        push.parse_flags(shlex.split(command, comments=True))
    push.main(shlex.split(commands[0]))
    assert (Path("output") / "demo-hub" / "modeling_glm.py").is_file()
