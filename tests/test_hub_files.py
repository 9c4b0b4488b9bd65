# SPDX-License-Identifier: Apache-2.0
"""The files that a Hub repository holds: they stand alone, and import each other from a folder of their own or from the top."""

import ast
import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch
from without_package import run_python

from modeling_glm import GLMForConditionalGeneration


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[1]
HUB_FILES = sorted(path.name for path in ROOT.glob("*.py"))
NAMES = {name.removesuffix(".py") for name in HUB_FILES}
# what Transformers itself needs, and what is imported where it is needed, with a word on what to install
ALWAYS_THERE = {
    "numpy",
    "torch",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "sentencepiece",
    *sys.stdlib_module_names,
}
CODE = [
    *ROOT.glob("*.py"),
    *(path for folder in ("transformers_glm", "scripts", "benchmarks") for path in (ROOT / folder).rglob("*.py")),
]


def is_import_error(handler):
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(name, ast.Name) and name.id in ("ImportError", "ModuleNotFoundError") for name in names)


def says_what_to_install(node):
    return isinstance(node.handlers[0].body[-1], ast.Raise)


def guarded_imports(path):
    """The statements `try: from .x import y` / `except ImportError: from x import y` of a file."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Try) and any(map(is_import_error, node.handlers)) and not says_what_to_install(node)
    ]


def test_the_hub_files_are_these():
    assert HUB_FILES == [
        "blank_infilling_glm.py",
        "configuration_glm.py",
        "encoding_glm.py",
        "generation_glm.py",
        "inputs_glm.py",
        "modeling_glm.py",
        "multiple_choice_glm.py",
        "tokenization_glm.py",
    ]


def test_guarded_imports_are_the_hub_files_and_have_two_equal_arms():
    for path in CODE:
        for node in guarded_imports(path):
            assert path.name in HUB_FILES and path.parent == ROOT, f"{path}:{node.lineno}"
            relative, [handler] = node.body, node.handlers
            assert not node.orelse and not node.finalbody
            for ours, theirs in zip(relative, handler.body, strict=True):
                assert isinstance(ours, ast.ImportFrom) and isinstance(theirs, ast.ImportFrom)
                assert (ours.level, theirs.level) == (1, 0)
                assert ours.module == theirs.module and ours.module in NAMES
                assert [alias.name for alias in ours.names] == [alias.name for alias in theirs.names]


def test_the_hub_files_import_each_other_only_so():
    for name in HUB_FILES:
        tree = ast.parse((ROOT / name).read_text())
        guarded = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Try) and any(map(is_import_error, node.handlers))
            for line in range(node.lineno, node.end_lineno + 1)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno in guarded:
                continue
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                top = (module or "").split(".")[0]
                assert getattr(node, "level", 0) == 0, f"{name}:{node.lineno}"
                assert top in ALWAYS_THERE, f"{name}:{node.lineno}"


def test_the_other_arm_works_too(tmp_path, monkeypatch):
    for name in HUB_FILES:
        shutil.copy(ROOT / name, tmp_path)
    folder = tmp_path.rename(tmp_path.with_name("hub_copy"))
    monkeypatch.syspath_prepend(folder.parent)
    try:
        for name in NAMES:
            importlib.import_module(f"hub_copy.{name}")
        modeling = sys.modules["hub_copy.modeling_glm"]
        assert modeling.GLMConfig.__module__ == "hub_copy.configuration_glm"
        assert modeling.find_blanks.__module__ == "hub_copy.blank_infilling_glm"
        assert modeling.GLMGenerationMixin.__module__ == "hub_copy.generation_glm"
    finally:
        for name in [name for name in sys.modules if name.startswith("hub_copy")]:
            del sys.modules[name]


SAVE = """
import sys
from conftest import TEXTS, make_model
from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMModel
from tokenization_glm import GLMTokenizer
GLMConfig.register_for_auto_class()
GLMModel.register_for_auto_class("AutoModel")
GLMForConditionalGeneration.register_for_auto_class("AutoModelForSeq2SeqLM")
GLMTokenizer.register_for_auto_class()
tokenizer = GLMTokenizer.train(TEXTS * 20, vocab_size=400)
make_model(tokenizer=tokenizer).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
print(len(tokenizer))
"""
LOAD = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
folder = sys.argv[1]
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
inputs = tokenizer("Ada [MASK] the first program.", return_tensors="pt")
with torch.no_grad():
    logits = model(**inputs).logits
print(json.dumps({
    "modules": [type(config).__module__, type(model).__module__, type(tokenizer).__module__],
    "input_ids": inputs["input_ids"].tolist(), "logits": logits.double().sum(-1).tolist(),
    "generated": model.generate(**inputs, max_new_tokens=4).tolist(),
}))
"""


@pytest.mark.slow
def test_a_hub_repository_loads_where_the_package_is_not_installed(tmp_path):
    folder = tmp_path / "model"
    run_python(SAVE, folder, cwd=tmp_path, home=tmp_path / "home", package=True)
    assert sorted(path.name for path in folder.glob("*.py")) == HUB_FILES
    for name in HUB_FILES:
        assert (folder / name).read_text() == (ROOT / name).read_text()
    result = run_python(LOAD, folder, cwd=tmp_path, home=tmp_path / "home", package=False)
    assert all(module.startswith("transformers_modules.") for module in result["modules"])

    model = GLMForConditionalGeneration.from_pretrained(folder).eval()
    input_ids = torch.tensor(result["input_ids"])
    with torch.no_grad():
        logits = model(input_ids).logits.double().sum(-1)
    torch.testing.assert_close(torch.tensor(result["logits"], dtype=torch.double), logits, rtol=1e-4, atol=1e-4)
    assert model.generate(input_ids, max_new_tokens=4).tolist() == result["generated"]
