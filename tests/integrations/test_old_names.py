# SPDX-License-Identifier: Apache-2.0
"""Adapters and pickles that were saved when the classes stood in other modules."""

import json
import subprocess
import sys

import pytest
import torch
from conftest import make_config
from peft import AutoPeftModel, LoraConfig, get_peft_model

import transformers_glm


@pytest.mark.parametrize(("name", "old"), [("GLMModel", "transformer_glm"), ("GLMForMultipleChoice", "modeling_glm")])
def test_an_adapter_that_names_the_old_module_of_its_base_loads(name, old, tmp_path):
    torch.manual_seed(0)
    getattr(transformers_glm, name)(make_config()).save_pretrained(tmp_path / "base")
    base = getattr(transformers_glm, name).from_pretrained(tmp_path / "base")
    adapted = get_peft_model(base, LoraConfig(init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    settings = json.loads(file.read_text())
    assert settings["auto_mapping"]["base_model_class"] == name
    settings["auto_mapping"]["parent_library"] = old
    file.write_text(json.dumps(settings))
    loaded = AutoPeftModel.from_pretrained(tmp_path / "adapter", import_allowlist=[old])
    assert type(loaded.get_base_model()) is getattr(transformers_glm, name)
    expected = adapted.state_dict()
    assert expected.keys() == loaded.state_dict().keys()
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, expected[key], atol=0, rtol=0)


PICKLED = """
import pickle
import transformers_glm
for old, name in [
    ("transformer_glm", "GLMModel"),
    ("modeling_glm", "GLMForMultipleChoice"),
    ("modeling_glm", "GLMForConditionalGeneration"),
]:
    assert pickle.loads(f"c{old}\\n{name}\\n.".encode()) is getattr(transformers_glm, name), name
import modeling_glm
assert modeling_glm.__name__ == modeling_glm.__spec__.name == "modeling_glm"
"""


def test_pickled_classes_are_found_by_their_old_modules_in_a_fresh_process(tmp_path):
    done = subprocess.run([sys.executable, "-c", PICKLED], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_that_never_was_is_an_error():
    import modeling_glm

    with pytest.raises(AttributeError, match="'modeling_glm' has no attribute 'GLMForNothing'"):
        _ = modeling_glm.GLMForNothing
