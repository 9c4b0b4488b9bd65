# SPDX-License-Identifier: Apache-2.0
"""`device_map="auto"` with more weights than memory: what does not fit is read from the disk, and nothing else changes."""

import accelerate
import pytest
import torch
from conftest import make_config
from packaging.version import Version
from transformers import AutoModelForSeq2SeqLM

import transformers_glm  # noqa: F401  registers GLM
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMModel
from multiple_choice_glm import GLMForMultipleChoice


pytestmark = pytest.mark.core


TEXTS = ["Ada [MASK] the first program.", "It was [MASK] and never [MASK]!"]
NOTHING = 1000  # bytes: not even a norm fits
all_on_disk = pytest.mark.skipif(
    Version(accelerate.__version__) < Version("1.15"),
    reason="Accelerate before 1.15 refuses a model wholly on the disk",
)


def bytes_of(module):
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


@pytest.fixture
def make(tokenizer, tmp_path):
    """Make a model of four layers, and load it again with this many bytes of memory."""

    def make(model_class, budget, **settings):
        torch.manual_seed(0)
        model = model_class(make_config(tokenizer, num_layers=4, **settings)).eval()
        model.save_pretrained(tmp_path / "model")
        if budget != NOTHING:
            layers = model.base_model.transformer.layers
            budget = bytes_of(model) - bytes_of(layers[0]) * 2
        loaded = model_class.from_pretrained(
            tmp_path / "model",
            device_map="auto",
            max_memory={"cpu": budget},
            offload_folder=tmp_path / "offloaded",
        )
        return model, loaded

    return make


def inputs_for(model, tokenizer):
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    if isinstance(model, GLMForMultipleChoice):
        return tokenizer.build_inputs_for_multiple_choice(inputs, [["wrote", "read"], ["big", "new"]])
    return inputs


def test_a_layer_is_whole_in_memory_or_whole_on_the_disk(make):
    model, loaded = make(GLMForConditionalGeneration, "two layers less")
    places = {name: device for name, device in loaded.hf_device_map.items() if "layers" in name}
    assert places.keys() == {f"glm.transformer.layers.{number}" for number in range(4)}
    assert set(places.values()) == {"cpu", "disk"}
    for name, device in places.items():
        on_disk = {parameter.is_meta for parameter in loaded.get_submodule(name).parameters()}
        assert on_disk == {device == "disk"}
    assert loaded.lm_head.weight is loaded.glm.word_embeddings.weight


@pytest.mark.parametrize("budget", ["two layers less", pytest.param(NOTHING, marks=all_on_disk)])
@pytest.mark.parametrize(
    "model_class", [GLMForConditionalGeneration, GLMForMultipleChoice, GLMForSequenceClassification, GLMModel]
)
@torch.no_grad()
def test_offloaded_weights_compute_the_same(model_class, budget, make, tokenizer):
    model, loaded = make(model_class, budget)
    assert any(parameter.is_meta for parameter in loaded.parameters())
    inputs = inputs_for(model, tokenizer)
    torch.testing.assert_close(loaded(**inputs)[0], model(**inputs)[0], rtol=0, atol=0)
    # positions are derived from embeddings, which may be on the disk
    embeddings = model.get_input_embeddings()(inputs.pop("input_ids"))
    outputs = (each(inputs_embeds=embeddings, **inputs)[0] for each in (loaded, model))
    torch.testing.assert_close(*outputs, rtol=0, atol=0)


@pytest.mark.parametrize("budget", ["two layers less", pytest.param(NOTHING, marks=all_on_disk)])
def test_offloaded_weights_generate_the_same_and_are_saved_whole(budget, make, tokenizer, tmp_path):
    model, loaded = make(GLMForConditionalGeneration, budget)
    inputs = inputs_for(model, tokenizer)
    for settings in ({}, {"num_beams": 3}, {"cache_implementation": "static", "disable_compile": True}):
        expected = model.generate(**inputs, max_new_tokens=6, **settings)
        assert torch.equal(loaded.generate(**inputs, max_new_tokens=6, **settings), expected)
    loaded.save_pretrained(tmp_path / "again")
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "again").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


@all_on_disk
@torch.no_grad()
def test_an_untied_head_scores_choices_too(make, tokenizer):
    model, loaded = make(GLMForMultipleChoice, NOTHING, tie_word_embeddings=False)
    inputs = inputs_for(model, tokenizer)
    logits = model(**inputs).logits
    torch.testing.assert_close(loaded(**inputs).logits, logits)
    model.lm_head.weight.zero_()
    count = (inputs["choice_ids"] != -100).sum(-1)
    torch.testing.assert_close(model(**inputs).logits, -count * torch.tensor(len(tokenizer)).log())
