# SPDX-License-Identifier: Apache-2.0
"""Registration, each time in a fresh process: the order of imports must not matter, and an import must cost nothing."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from transformers_glm.integrations.trl_support import check_trainers


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[2]
CHECK = """
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMultipleChoice
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY
config = AutoConfig.for_model("glm_infilling", hidden_size=8, num_attention_heads=2, num_layers=1, vocab_size=9)
assert type(config).__module__ == "configuration_glm"
for auto, name in [
    (AutoModel, "GLMModel"),
    (AutoModelForSeq2SeqLM, "GLMForConditionalGeneration"),
    (AutoModelForCausalLM, "GLMForConditionalGeneration"),
    (AutoModelForSequenceClassification, "GLMForSequenceClassification"),
    (AutoModelForMultipleChoice, "GLMForMultipleChoice"),
]:
    assert type(auto.from_config(config)).__name__ == name
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING, tokenizer_class_from_name
import tokenization_glm
for name in ("GLMTokenizer", "GLMGPT2Tokenizer", "GLMRobertaTokenizer", "GLMBertTokenizer", "GLMChineseTokenizer"):
    assert tokenizer_class_from_name(name) is getattr(tokenization_glm, name)
assert TOKENIZER_MAPPING[type(config)] is tokenization_glm.GLMTokenizer
assert "blank-infilling" in PIPELINE_REGISTRY.supported_tasks
from transformers import GlmConfig
assert type(AutoConfig.for_model("glm")) is GlmConfig  # GLM-4's stays
"""


def run(code):
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_importing_the_package_imports_neither_torch_nor_what_else_takes_time():
    loaded = run("import sys, transformers_glm; print(*sys.modules)").split()
    heavy = {"torch", "datasets", "evaluate", "peft", "accelerate", "transformers.trainer", "modeling_glm", "sklearn"}
    assert not heavy & set(loaded)


def test_the_package_registers_what_is_imported_after_it():
    run("import transformers_glm" + CHECK)


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [
        "from transformers import AutoModel, pipeline; import transformers_glm",
        "from modeling_glm import GLMModel; import transformers_glm",
        "from transformers_glm import fill_blanks, GLMTokenizer, GLMConfig",
        "import tokenization_glm, transformers, transformers_glm",
        "import transformers_glm, modeling_glm",
        "import transformers_glm, multiple_choice_glm",
        "import multiple_choice_glm, transformers_glm",
        "from transformers_glm.integrations.pipeline import BlankInfillingPipeline; from transformers import pipeline",
        "import transformers_glm, importlib; importlib.reload(transformers_glm)",
    ],
)
def test_the_order_of_imports_does_not_matter(first):
    run(first + CHECK)


def test_every_public_name_loads():
    import transformers_glm

    for name in transformers_glm.__all__:
        assert getattr(transformers_glm, name) is not None
    assert set(dir(transformers_glm)) == set(transformers_glm.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'GlmModel'"):
        _ = transformers_glm.GlmModel


def test_a_release_of_trl_without_the_base_of_its_trainers_is_told_of(caplog):
    check_trainers(SimpleNamespace())
    assert "This release of TRL is not known" in caplog.text
