# SPDX-License-Identifier: Apache-2.0
"""A release of Transformers that calls its hooks otherwise is refused by name, before it writes other text."""

import importlib.util
from pathlib import Path

import pytest
import transformers
from conftest import CLS, MASK
from generation_rows import MODEL, PART_AS, prompts, with_sop
from transformers.generation import GenerationMixin
from without_package import run_python

import generation_glm
from generation_glm import HOOKS, find_changed_hooks
from transformers_glm.hub.repository import make_repository


pytestmark = pytest.mark.core


# the hook as Transformers 5.23 had it: its cache would be dropped without a word
def prepare_inputs_for_generation(
    self, input_ids, next_sequence_length=None, past_key_values=None, attention_mask=None, inputs_embeds=None,
    is_first_iteration=False, **kwargs,
):  # fmt: skip
    raise NotImplementedError


REFUSED_IN_A_REPOSITORY = """
import json, sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.generation import GenerationMixin

def prepare_inputs_for_generation(self, input_ids, past=None, **kwargs): pass

GenerationMixin.prepare_inputs_for_generation = prepare_inputs_for_generation
model = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1], trust_remote_code=True)
inputs = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)("Ada [MASK] it.", return_tensors="pt")
model(**inputs)  # one pass is as right as ever
try:
    model.generate(**inputs)
except RuntimeError as error:
    print(json.dumps(str(error)))
"""


def import_again():
    spec = importlib.util.spec_from_file_location("generation_glm_again", Path(generation_glm.__file__))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_release_has_the_hooks_that_the_code_was_written_for():
    assert find_changed_hooks() is None
    assert (
        transformers.__version__.startswith(f"{generation_glm.WRITTEN_FOR}.") or import_again().CHANGED_HOOKS is None
    )


@pytest.mark.parametrize("function", HOOKS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("change", ["renamed", "new", "gone"])
def test_every_change_of_a_signature_is_found(function, change):
    names = HOOKS[function].split()
    other = {"renamed": [*names[:-1], "other"], "new": [*names, "other"], "gone": names[:-1]}[change]
    # the code was written for other parameters than the release has
    found = find_changed_hooks({function: " ".join(other)})
    assert function.__name__ in found
    assert ("gone: ['other']" in found) == (change != "gone") and (f"new: ['{names[-1]}']" in found) == (
        change != "new"
    )


def test_a_changed_hook_is_found_at_import_and_refused_before_anything_is_generated(monkeypatch):
    monkeypatch.setattr(GenerationMixin, "prepare_inputs_for_generation", prepare_inputs_for_generation)
    changed = import_again().CHANGED_HOOKS
    assert "prepare_inputs_for_generation (new: ['past_key_values'], gone: ['cache']" in changed
    monkeypatch.undo()
    monkeypatch.setattr(generation_glm, "CHANGED_HOOKS", changed)
    reads = []
    handle = MODEL.register_forward_pre_hook(lambda *_: reads.append(1))
    for inputs in (prompts(PART_AS), with_sop(prompts(PART_AS)), prompts([[CLS, 11, 12]]), prompts([[CLS, MASK]])):
        with pytest.raises(RuntimeError, match=r"generates with Transformers 5\.\d+, and .* has changed") as raised:
            MODEL.generate(**inputs)
        message = str(raised.value)
        assert (
            transformers.__version__ in message and f"Install transformers=={generation_glm.WRITTEN_FOR}.*" in message
        )
    handle.remove()
    assert not reads


@pytest.mark.slow
def test_a_repository_with_code_refuses_a_changed_hook_too(text_model, tokenizer, tmp_path):
    for part in (text_model, tokenizer):
        part.save_pretrained(tmp_path / "saved")
    make_repository(tmp_path / "saved", tmp_path / "repository")
    message = run_python(
        REFUSED_IN_A_REPOSITORY, tmp_path / "repository", cwd=tmp_path, home=tmp_path / "home", package=False
    )
    assert "prepare_inputs_for_generation (new: ['past'], gone:" in message


@pytest.mark.filterwarnings("ignore:.*past_key_values.*:FutureWarning")
def test_the_old_name_of_the_cache_is_still_taken():
    inputs = prompts(PART_AS)
    cache = MODEL(**inputs, use_cache=True).cache
    old = MODEL.generate(**inputs, past_key_values=cache, max_new_tokens=4)
    assert old.tolist() == MODEL.generate(**inputs, max_new_tokens=4).tolist()
