# SPDX-License-Identifier: Apache-2.0
"""Folders of released GLM checkpoints as they are: their `model_type` "glm" means GLM-4 in Transformers today."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
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
    30522: {
        "mask_token_ids": [103],
        "pad_token_id": 0,
        "eos_token_id": [30523, 102],
    },  # BERT
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


def catch_old_configs(configuration_utils: ModuleType) -> None:
    """
    Renew old configurations wherever Transformers reads a config.json, so that every Auto class gives our classes for them.

    Nothing is registered under "glm": what is not an old GLM passes through untouched, GLM-4 included. The old `auto_map` goes
    too, so that no remote code runs, even with `trust_remote_code=True`: it does not run on Transformers v5.

    Args:
        configuration_utils (`module`): `transformers.configuration_utils`.
    """
    read = configuration_utils.PreTrainedConfig.get_config_dict.__func__

    @functools.wraps(read)
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs):
        settings, unused = read(cls, pretrained_model_name_or_path, **kwargs)
        if is_old_config(settings):
            sop_token_id = _sop_token_id(pretrained_model_name_or_path, kwargs)
            if sop_token_id is not None and sop_token_id >= settings.get("vocab_size", 30592):
                sop_token_id = None  # a vocabulary of its own
            settings = renew(settings, sop_token_id)
            known = sop_token_id in TOKENS_BY_SOP
            configuration_utils.logger.warning_once(
                f'{pretrained_model_name_or_path} is an unconverted GLM checkpoint: its model_type "glm" means GLM-4 in '
                f"Transformers. It is read as a GLMConfig{'' if known else ' that knows no special tokens'}; convert it for "
                "good with python scripts/convert_checkpoint.py SOURCE OUT"
            )
        return settings, unused

    configuration_utils.PreTrainedConfig.get_config_dict = classmethod(get_config_dict)


def leave_out_remote_tokenizers(tokenization_auto: ModuleType) -> None:
    """
    Leave out the remote code that the tokenizer_config.json of a GLM names, of an old checkpoint or of a pushed one: where a
    caller passes `trust_remote_code=True`, `AutoTokenizer` would prefer it to our classes of the same names.

    Args:
        tokenization_auto (`module`): `transformers.models.auto.tokenization_auto`.
    """
    read = tokenization_auto.get_tokenizer_config

    @functools.wraps(read)
    def get_tokenizer_config(*args, **kwargs):
        settings = read(*args, **kwargs)
        if settings.get("tokenizer_class") in (*OLD_TOKENIZERS, "GLMTokenizer"):
            settings.pop("auto_map", None)
        return settings

    tokenization_auto.get_tokenizer_config = get_tokenizer_config


def _sop_token_id(name_or_path, kwargs) -> int | None:
    """The id of sop that the checkpoint's added_tokens.json gives, or else that of its kind of tokenizer; None without."""
    added = _read_json(name_or_path, "added_tokens.json", kwargs)
    if "<|startofpiece|>" in added:
        return added["<|startofpiece|>"]
    return OLD_TOKENIZERS.get(_read_json(name_or_path, "tokenizer_config.json", kwargs).get("tokenizer_class"))


def _read_json(name_or_path, name: str, kwargs) -> dict[str, Any]:
    from transformers.utils import cached_file

    where = ("cache_dir", "force_download", "proxies", "token", "revision", "local_files_only", "subfolder")
    path = cached_file(
        name_or_path,
        name,
        **{key: kwargs[key] for key in where if key in kwargs},
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
