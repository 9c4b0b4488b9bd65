# SPDX-License-Identifier: Apache-2.0
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import EOP, EOS, GMASK, MASK, PAD, SMASK, SOP, make_config
from transformers import PreTrainedConfig

from configuration_glm import DROPPED_FIELDS, GLMConfig


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[1]


def test_the_defaults_are_glm_large():
    config = GLMConfig()
    assert (config.vocab_size, config.hidden_size) == (30592, 1024)
    assert (config.num_layers, config.num_attention_heads) == (24, 16)
    assert (config.max_sequence_length, config.intermediate_size) == (512, 4096)
    assert (config.hidden_act, config.layernorm_epsilon, config.initializer_range) == ("gelu", 1e-5, 0.02)
    assert config.embedding_dropout_prob == config.attention_dropout_prob == config.output_dropout_prob == 0.1
    assert config.use_cache and config.tie_word_embeddings
    assert config.model_type == "glm_infilling"  # "glm" is GLM-4's


def test_a_saved_configuration_is_read_back(tmp_path):
    config = make_config()
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == "glm_infilling"
    assert saved["mask_token_ids"] == [MASK, SMASK, GMASK]
    assert (saved["decoder_start_token_id"], saved["pad_token_id"], saved["eos_token_id"]) == (SOP, PAD, [EOP, EOS])
    again = GLMConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()


def test_the_usual_names_are_aliases():
    config = GLMConfig(num_hidden_layers=3, max_position_embeddings=77, layer_norm_eps=1e-6, attention_dropout=0.2)
    assert (config.num_layers, config.max_sequence_length) == (3, 77)
    assert (config.layernorm_epsilon, config.attention_dropout_prob) == (1e-6, 0.2)
    assert config.num_hidden_layers == 3 and config.sop_token_id is None


def test_a_whole_number_is_a_probability_and_an_epsilon():
    # JSON writers drop the point
    assert GLMConfig(attention_dropout_prob=0, layernorm_epsilon=1, initializer_range=1).attention_dropout_prob == 0


def test_fields_of_released_configurations_that_mean_nothing_are_dropped(tmp_path):
    released = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_layers": 2,
        "attention_scale": 1.0,
        "checkpoint_activations": False,
        "checkpoint_num_layers": 1,
        "output_predict": True,
        "parallel_output": True,
        "pool_token": "cls",
        "relative_encoding": False,
        "spell_func": "lstm",
        "spell_length": None,
    }
    config = GLMConfig(**released)
    assert set(DROPPED_FIELDS) < set(released)
    config.save_pretrained(tmp_path)
    assert not set(json.loads((tmp_path / "config.json").read_text())) & set(DROPPED_FIELDS)
    assert all(reason for reason in DROPPED_FIELDS.values())


def test_every_field_has_a_reader():
    own = {field.name for field in fields(GLMConfig)} - {field.name for field in fields(PreTrainedConfig)}
    own -= {"use_cache", "tie_word_embeddings", "pad_token_id", "eos_token_id"}  # Transformers reads these
    code = "".join(path.read_text() for path in ROOT.glob("*_glm.py") if path.name != "configuration_glm.py")
    assert len(own) > 10
    for name in own:
        assert re.search(rf"config\.{name}\b", code), name


def test_every_field_is_documented():
    for field in {field.name for field in fields(GLMConfig)} - {field.name for field in fields(PreTrainedConfig)}:
        assert f"        {field} (`" in GLMConfig.__doc__, field


def test_a_configuration_for_a_tokenizer_has_its_vocabulary_and_special_tokens(tokenizer):
    config = GLMConfig.for_tokenizer(tokenizer, hidden_size=32, num_attention_heads=4, vocab_size=512)
    assert (config.vocab_size, config.hidden_size) == (512, 32)
    assert config.mask_token_ids == tokenizer.convert_tokens_to_ids(["[MASK]", "[sMASK]", "[gMASK]"])
    assert config.decoder_start_token_id == tokenizer.convert_tokens_to_ids("<|startofpiece|>")
    assert config.eos_token_id == tokenizer.convert_tokens_to_ids(["<|endofpiece|>", "<|endoftext|>"])
    assert config.pad_token_id == tokenizer.pad_token_id
    assert GLMConfig.for_tokenizer(tokenizer).vocab_size == len(tokenizer)
