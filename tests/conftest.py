# SPDX-License-Identifier: Apache-2.0
"""A model small enough to compute by hand and large enough in its weights for attention to matter, and its tokenizer."""

import os


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # data loader workers are forked

import pytest
import torch
from hypothesis import settings

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer


# the same examples in every run, so that a change is judged by what it changed; HYPOTHESIS_PROFILE=default looks for new ones
settings.register_profile("same examples", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same examples"))

TEXTS = [
    "Ada Lovelace wrote the first program. It was for a machine that was never built!",
    "Grace Hopper found a moth in the relay; she taped it into the log book, and smiled.",
    "Is a blank a hole in the text? It is a question that the text asks of its reader.",
    "机器能思考吗？图灵提出了这个问题。他的回答是一个游戏！",
]
MASK, SMASK, GMASK, SOP, EOP, PAD, CLS, EOS = 90, 91, 92, 93, 94, 0, 1, 2


def make_config(tokenizer=None, **kwargs):
    """A configuration of two layers whose special tokens are the tokenizer's, or the constants above."""
    settings = {
        "hidden_size": 32,
        "num_layers": 2,
        "num_attention_heads": 4,
        "max_sequence_length": 64,
        "initializer_range": 0.25,  # at 0.02 two layers hardly attend, and a wrong mask hardly shows
        "embedding_dropout_prob": 0.0,
        "attention_dropout_prob": 0.0,
        "output_dropout_prob": 0.0,
    }
    if tokenizer is not None:
        return GLMConfig.for_tokenizer(tokenizer, **{**settings, **kwargs})
    tokens = {
        "vocab_size": 99,
        "mask_token_ids": [MASK, SMASK, GMASK],
        "decoder_start_token_id": SOP,
        "pad_token_id": PAD,
        "eos_token_id": [EOP, EOS],
    }
    return GLMConfig(**{**settings, **tokens, **kwargs})


def make_model(seed=0, attn_implementation="sdpa", **kwargs):
    torch.manual_seed(seed)
    return GLMForConditionalGeneration._from_config(
        make_config(**kwargs), attn_implementation=attn_implementation
    ).eval()


@pytest.fixture
def tiny_model():
    return make_model()


@pytest.fixture(scope="session")
def tokenizer():
    """Byte-level BPE of a few hundred pieces."""
    return GLMTokenizer.train(TEXTS * 20, vocab_size=400)


@pytest.fixture
def text_model(tokenizer):
    """A tiny model for the tokenizer's vocabulary."""
    return make_model(tokenizer=tokenizer, max_sequence_length=128)
