# SPDX-License-Identifier: Apache-2.0
"""Exported programs, for any batch and length, compute what the model computes."""

import pytest
import torch
from conftest import GMASK, MASK, SMASK, SOP, make_config
from torch.export import Dim, export
from without_package import run_python

import transformers_glm  # noqa: F401  registers GLM
from blank_infilling_glm import derive_positions
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMModel


OTHERS = [
    pytest.param(model_class, marks=pytest.mark.slow) for model_class in (GLMModel, GLMForSequenceClassification)
]
CLASSES = [GLMForConditionalGeneration, *OTHERS]


def make(model_class):
    torch.manual_seed(0)
    return model_class(make_config(num_labels=3)).eval()


def batch(rows, length, positions, seed):
    """Rows of two blanks and their pieces, with padding on both sides; with their positions, or without."""
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(3, 80, (rows, length), generator=generator)
    input_ids[:, 3], input_ids[:, 5] = MASK, SMASK
    input_ids[:, 7], input_ids[1:, 9] = SOP, SOP
    attention_mask = torch.ones_like(input_ids)
    attention_mask[0, :2], attention_mask[-1, -2:] = 0, 0
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if positions:
        derived = derive_positions(input_ids, attention_mask.bool(), mask_token_ids=[MASK, SMASK, GMASK], sop=SOP)
        inputs["position_ids"], inputs["block_position_ids"] = derived
    return inputs


def check_equal(run, model, positions, tolerance):
    for rows, length, seed in ((2, 12, 1), (3, 17, 2), (5, 40, 3)):
        inputs = batch(rows, length, positions, seed)
        with torch.no_grad():
            expected = model(**inputs)[0]
        torch.testing.assert_close(run(**inputs), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("positions", [True, False], ids=["given positions", "derived positions"])
@pytest.mark.parametrize("model_class", CLASSES)
def test_torch_export(model_class, positions, tmp_path):
    model, inputs = make(model_class), batch(2, 12, positions, seed=0)
    shapes = dict.fromkeys(inputs, {0: Dim("batch"), 1: Dim("sequence")})
    program = export(model, (), {**inputs, "use_cache": False}, dynamic_shapes={**shapes, "use_cache": None})
    torch.export.save(program, tmp_path / "glm.pt2")
    loaded = torch.export.load(tmp_path / "glm.pt2").module()
    check_equal(lambda **inputs: loaded(**inputs, use_cache=False)[0], model, positions, tolerance=1e-5)


@pytest.mark.slow
def test_an_exported_program_runs_where_only_transformers_is(tmp_path):
    model, inputs = make(GLMForConditionalGeneration), batch(2, 12, True, seed=0)
    program = export(model, (), {**inputs, "use_cache": False})
    torch.export.save(program, tmp_path / "glm.pt2")
    torch.save(inputs, tmp_path / "inputs.pt")
    code = """
import json, sys, torch
import transformers.modeling_outputs  # the classes of what the program returns
program = torch.export.load(sys.argv[1]).module()
print(json.dumps(program(**torch.load(sys.argv[2], weights_only=True), use_cache=False)[0].tolist()))
"""
    found = run_python(code, tmp_path / "glm.pt2", tmp_path / "inputs.pt", cwd=tmp_path, home=tmp_path, package=False)
    torch.testing.assert_close(torch.tensor(found), model(**inputs)[0].detach(), rtol=1e-5, atol=1e-5)


@pytest.fixture
def onnx():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="pip install onnx onnxscript onnxruntime")
    return pytest.importorskip("transformers.exporters", reason="this version of Transformers exports nothing")


@pytest.mark.slow
@pytest.mark.parametrize("positions", [True, False], ids=["given positions", "derived positions"])
@pytest.mark.parametrize("model_class", CLASSES)
def test_onnx(model_class, positions, onnx, tmp_path):
    model = make(model_class)
    config = onnx.OnnxConfig(dynamic=True)
    inputs = {**batch(2, 12, positions, seed=0), "use_cache": False}
    exported = onnx.OnnxExporter().export(model, inputs, config=config)
    check_equal(lambda **inputs: exported(**inputs)[0], model, positions, tolerance=1e-4)
    exported.save_pretrained(tmp_path)
    loaded = onnx.ExportedModel.from_pretrained(tmp_path)
    check_equal(lambda **inputs: loaded(**inputs)[0], model, positions, tolerance=1e-4)
