# SPDX-License-Identifier: Apache-2.0
"""The old Hub code in the working folder has the names of our modules: it is found at import and named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transformers_glm.hub.code import HUB_MODULES


ROOT = Path(__file__).parents[2]


def import_in(folder, code="import transformers_glm"):
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["modeling_glm", "tokenization_glm"])
@pytest.mark.parametrize(
    "before", ["", "import sys; sys.path.insert(0, ''); import {name}; "], ids=["found", "imported"]
)
def test_a_file_of_the_old_code_is_named_and_not_run_in_our_place(name, before, tmp_path):
    (tmp_path / f"{name}.py").write_text("class GLMForConditionalGeneration: pass\n")
    finished = import_in(tmp_path, before.format(name=name) + "import transformers_glm")
    assert finished.returncode == 1
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: transformers_glm needs its own") and str(tmp_path / f"{name}.py") in last
    assert "run from another folder" in last


def test_files_of_other_names_are_nobody_s_business(tmp_path):
    (tmp_path / "modeling_chatglm.py").write_text("")
    assert import_in(tmp_path).returncode == 0


def test_a_missing_file_of_ours_is_named(monkeypatch):
    from transformers_glm.integrations import shadows

    monkeypatch.setattr(shadows, "HUB_MODULES", [*HUB_MODULES, "missing_glm"])
    with pytest.raises(ImportError, match="missing_glm is not found"):
        shadows.refuse_shadows()
