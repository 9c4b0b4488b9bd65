# SPDX-License-Identifier: Apache-2.0
"""Weights: from scratch, on disk, tied, resized."""

import pytest
import torch
from conftest import EOS, make_config, make_model
from drawn_rows import padded_batch
from tiny_models import FIGURE_2, LABELS, WEIGHTS, same
from without_package import run_python

from modeling_glm import GLMForConditionalGeneration, GLMModel


pytestmark = pytest.mark.core


def standard_deviations(model):
    """Of each kind of parameter, over all layers."""
    kinds = {}
    for name, parameter in model.named_parameters():
        kinds.setdefault(".".join(part for part in name.split(".") if not part.isdigit()), []).append(
            parameter.flatten()
        )
    return {name: torch.cat(parameters).std().item() for name, parameters in kinds.items()}


def assert_published_initialization(model):
    deviations = standard_deviations(model)
    scaled = 0.02 / (2 * model.config.num_layers) ** 0.5
    for name, deviation in deviations.items():
        expected = 0.02
        if name.endswith("bias") or "layernorm" in name:
            expected = 0
        elif "attention.dense.weight" in name or "dense_4h_to_h.weight" in name:
            expected = scaled
        assert deviation == pytest.approx(expected, rel=0.05), name
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "layernorm" in name:
            assert (parameter == 1).all(), name


WIDE = {"hidden_size": 128, "num_layers": 8, "initializer_range": 0.02, "vocab_size": 500}


def test_weights_from_scratch_have_the_published_standard_deviations():
    torch.manual_seed(0)
    assert_published_initialization(GLMForConditionalGeneration(make_config(**WIDE)))
    assert_published_initialization(GLMModel._from_config(make_config(**WIDE)))


def test_weights_missing_from_a_checkpoint_are_initialized_as_from_scratch(tmp_path):
    torch.manual_seed(0)
    model = GLMForConditionalGeneration(make_config(**WIDE))
    kept = {name: tensor for name, tensor in model.state_dict().items() if "layernorm" in name}
    model.save_pretrained(tmp_path, state_dict=kept)
    loaded, report = GLMForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert {name for name in model.state_dict() if "layernorm" not in name} - {"lm_head.weight"} <= set(
        report["missing_keys"]
    )
    assert_published_initialization(loaded)


def test_checkpoint_keys():
    layer = [
        *("input_layernorm.weight", "input_layernorm.bias"),
        *("attention.query_key_value.weight", "attention.query_key_value.bias"),
        *("attention.dense.weight", "attention.dense.bias"),
        *("post_attention_layernorm.weight", "post_attention_layernorm.bias"),
        *("mlp.dense_h_to_4h.weight", "mlp.dense_h_to_4h.bias"),
        *("mlp.dense_4h_to_h.weight", "mlp.dense_4h_to_h.bias"),
    ]
    assert set(WEIGHTS) == {
        "lm_head.weight",
        "glm.word_embeddings.weight",
        "glm.transformer.position_embeddings.weight",
        "glm.transformer.block_position_embeddings.weight",
        *(f"glm.transformer.layers.{index}.{name}" for index in range(2) for name in layer),
        "glm.transformer.final_layernorm.weight",
        "glm.transformer.final_layernorm.bias",
    }
    assert (
        WEIGHTS["glm.transformer.position_embeddings.weight"].shape[0] == 65
    )  # one row more than max_sequence_length
    assert WEIGHTS["glm.transformer.block_position_embeddings.weight"].shape[0] == 65
    assert set(GLMModel(make_config()).state_dict()) == {
        name.removeprefix("glm.") for name in WEIGHTS if name.startswith("glm.")
    }


def test_a_saved_model_is_safetensors_without_the_tied_head(tmp_path):
    from safetensors import safe_open

    model = make_model()
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    with safe_open(tmp_path / "model.safetensors", "pt") as saved:
        assert set(saved.keys()) == set(WEIGHTS) - {"lm_head.weight"}
    loaded, report = GLMForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert loaded.lm_head.weight is loaded.glm.word_embeddings.weight
    with torch.no_grad():
        same(loaded(**padded_batch([FIGURE_2])).logits, model(**padded_batch([FIGURE_2])).logits, 0)


def test_an_untied_head_is_saved_and_loaded(tmp_path):
    model = make_model(tie_word_embeddings=False)
    assert model.lm_head.weight is not model.glm.word_embeddings.weight
    model.save_pretrained(tmp_path)
    loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
    same(loaded.lm_head.weight, model.lm_head.weight, 0)


def test_the_base_model_loads_from_the_headed_one_and_back(tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "headed")
    base = GLMModel.from_pretrained(tmp_path / "headed")
    base.save_pretrained(tmp_path / "base")
    again = GLMForConditionalGeneration.from_pretrained(tmp_path / "base")
    with torch.no_grad():
        same(again(**padded_batch([FIGURE_2])).logits, model(**padded_batch([FIGURE_2])).logits, 0)


def test_resized_embeddings_stay_tied_and_survive_a_reload(tmp_path):
    model = make_model()
    with torch.no_grad():
        before = model(**padded_batch([FIGURE_2])).logits
    model.resize_token_embeddings(110)
    assert model.config.vocab_size == 110
    assert model.lm_head.weight is model.glm.word_embeddings.weight
    model.save_pretrained(tmp_path)
    loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.lm_head.weight is loaded.glm.word_embeddings.weight
    with torch.no_grad():
        logits = loaded(**padded_batch([FIGURE_2])).logits
    assert logits.shape[-1] == 110
    same(logits[..., :99], before)


def test_the_embedding_of_padding_learns_where_it_is_also_the_end_of_the_text():
    # released GPT-2 and Chinese vocabularies have one token for both
    model = make_model(pad_token_id=EOS, tie_word_embeddings=False).train()
    model(**padded_batch([FIGURE_2]), labels=torch.tensor([LABELS])).loss.backward()
    assert model.glm.word_embeddings.weight.grad[EOS].any()


IN_A_FRESH_PROCESS = """
import json, sys, torch
import transformers_glm
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
inputs = tokenizer(sys.argv[2], return_tensors="pt")
result = {"config": type(AutoConfig.from_pretrained(folder)).__name__, "tokenizer": type(tokenizer).__name__}
with torch.no_grad():
    for auto in (AutoModelForSeq2SeqLM, AutoModelForCausalLM, AutoModel):
        model = auto.from_pretrained(folder)
        output = model.eval()(**inputs)
        result[auto.__name__] = [type(model).__name__, output[0].double().sum(-1).tolist()]
result["pipeline"] = pipeline("blank-infilling", model=folder)(sys.argv[2], max_new_tokens=5)
print(json.dumps(result))
"""


def test_a_saved_model_gives_the_same_in_a_fresh_process(tmp_path, tokenizer, text_model):
    from transformers_glm.infilling import fill_blanks

    text_model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    text = "Ada Lovelace wrote the [MASK] program."
    result = run_python(IN_A_FRESH_PROCESS, tmp_path, text, cwd=tmp_path, home=tmp_path / "home", package=True)
    inputs = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        logits = text_model(**inputs).logits.double().sum(-1)
        states = text_model.glm(**inputs).last_hidden_state.double().sum(-1)
    assert result["config"] == "GLMConfig" and result["tokenizer"] == "GLMTokenizer"
    for auto in ("AutoModelForSeq2SeqLM", "AutoModelForCausalLM"):
        assert result[auto][0] == "GLMForConditionalGeneration"
        same(torch.tensor(result[auto][1]), logits, 1e-4)
    assert result["AutoModel"][0] == "GLMModel"
    same(torch.tensor(result["AutoModel"][1]), states, 1e-4)
    filled = fill_blanks(text_model, tokenizer, text, max_new_tokens=5)
    assert result["pipeline"]["text"] == filled.text and result["pipeline"]["pieces"] == filled.pieces
