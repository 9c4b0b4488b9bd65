# SPDX-License-Identifier: Apache-2.0
"""What docs/deployment.md says runs: its Python blocks, one after the other, and its commands."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest


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


def test_the_commands_of_the_script_parse(demo):
    spec = importlib.util.spec_from_file_location("push_to_hub", ROOT / "scripts" / "push_to_hub.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    commands = re.findall(r"^    python scripts/push_to_hub\.py (.*)$", PAGE + script.__doc__, flags=re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        script.parse(shlex.split(command, comments=True))
    script.main(shlex.split(commands[0]))
    assert (Path("output") / "demo-hub" / "modeling_glm.py").is_file()
