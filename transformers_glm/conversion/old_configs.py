# SPDX-License-Identifier: Apache-2.0
"""Configurations of released GLM checkpoints: their `model_type` "glm" means GLM-4 in Transformers today."""

from collections.abc import Mapping
from typing import Any


# fields that mean the same here; the others are in GLMConfig's table of dropped fields or are notes
KEPT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_layers",
    "num_attention_heads",
    "max_sequence_length",
    "embedding_dropout_prob",
    "attention_dropout_prob",
    "output_dropout_prob",
    "layernorm_epsilon",
    "initializer_range",
    "hidden_act",
    "block_position_encoding",
    "classifier_dropout",
    "id2label",
    "label2id",
    "problem_type",
)
# the old tokenizer classes, and the id of sop that each has behind its released vocabulary
OLD_TOKENIZERS = {
    "GLMBertTokenizer": 30522,
    "GLMGPT2Tokenizer": 50257,
    "GLMRobertaTokenizer": 50265,
    "GLMChineseTokenizer": 50006,
}
# the special tokens that the old configurations do not tell, by the id of sop in the old tokenizer's added_tokens.json
TOKENS_BY_SOP = {
    30522: {"mask_token_ids": [103], "pad_token_id": 0, "eos_token_id": [30523, 102]},  # BERT
    50257: {"mask_token_ids": [50260, 50264, 50263], "pad_token_id": 50256, "eos_token_id": [50258, 50256]},  # GPT-2
    # RoBERTa; the weights were trained with 50264, the old tokenizer has 50267
    50265: {"mask_token_ids": [50264, 50267], "pad_token_id": 2, "eos_token_id": [50266, 2]},
    50006: {"mask_token_ids": [50003, 50008, 50009], "pad_token_id": 50000, "eos_token_id": [50007, 50000]},  # Chinese
}


def is_old_config(settings: Mapping[str, Any]) -> bool:
    """Whether a config.json of `model_type` "glm" is of the old GLM: GLM-4's has none of these fields."""
    return settings.get("model_type") == "glm" and "max_sequence_length" in settings and "num_layers" in settings


def renew(settings: Mapping[str, Any], sop_token_id: int | None) -> dict[str, Any]:
    """
    An old configuration as ours.

    Args:
        settings (`Mapping`): the old config.json.
        sop_token_id (`int`, *optional*):
            Id of `<|startofpiece|>`, which tells the vocabulary. The special tokens of any but the released ones stay unset.

    Returns:
        `dict`: the same for [`GLMConfig`]. `hidden_act` is `"gelu"` if nothing is said: the old code computed that.
    """
    fields = {name: settings[name] for name in (*KEPT_FIELDS, "architectures") if name in settings}
    dtype = settings.get("dtype", settings.get("torch_dtype"))
    return {
        "model_type": "glm_infilling",
        "hidden_act": "gelu",
        **fields,
        **({} if dtype is None else {"dtype": dtype}),
        **TOKENS_BY_SOP.get(sop_token_id, {}),
        "decoder_start_token_id": sop_token_id,
    }
