# SPDX-License-Identifier: Apache-2.0
"""Unconverted folders of released GLM checkpoints, read as they are wherever Transformers reads a configuration."""

import functools
from reprlib import repr as shortened
from types import ModuleType
from typing import Any

from ..conversion.old_configs import OLD_TOKENIZERS, TOKENS_BY_SOP, is_old_config, renew
from ..conversion.trusted import AGAIN, checked_config, read_json


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
            vocab_size = settings.get("vocab_size", 30592)
            if sop_token_id is not None and isinstance(vocab_size, int) and sop_token_id >= vocab_size:
                sop_token_id = None  # a vocabulary of its own
            settings = renew(settings, sop_token_id)
            known = sop_token_id in TOKENS_BY_SOP
            configuration_utils.logger.warning_once(
                f'{pretrained_model_name_or_path} is an unconverted GLM checkpoint: its model_type "glm" means GLM-4 in '
                f"Transformers. It is read as a GLMConfig{'' if known else ' that knows no special tokens'}; convert it for "
                "good with transformers-glm convert SOURCE OUT"
            )
        if settings.get("model_type") == "glm_infilling":
            checked_config(settings, f"{pretrained_model_name_or_path}/config.json")
        return settings, unused

    configuration_utils.PreTrainedConfig.get_config_dict = classmethod(get_config_dict)


def leave_out_remote_tokenizers(tokenization_auto: ModuleType) -> None:
    """
    Leave out the remote code that the tokenizer_config.json of a GLM names, of an old checkpoint or of a pushed one: where a
    caller passes `trust_remote_code=True`, `AutoTokenizer` would prefer it to our classes of the same names.

    Where another model's own class has one of these names, the other way round: it is named with its module, as `AutoTokenizer`
    would take the registered class for it. Then it loads, or asks for trust, as without this package.

    Args:
        tokenization_auto (`module`): `transformers.models.auto.tokenization_auto`.
    """
    read = tokenization_auto.get_tokenizer_config

    @functools.wraps(read)
    def get_tokenizer_config(pretrained_model_name_or_path, *args, **kwargs):
        settings = read(pretrained_model_name_or_path, *args, **kwargs)
        if settings.get("tokenizer_class") in (*OLD_TOKENIZERS, "GLMTokenizer") and "auto_map" in settings:
            others = _others_class(settings["auto_map"], pretrained_model_name_or_path, kwargs)
            if others is None:
                del settings["auto_map"]
            else:
                settings["tokenizer_class"] = others
        return settings

    tokenization_auto.get_tokenizer_config = get_tokenizer_config


def _others_class(auto_map, name_or_path, kwargs) -> str | None:
    """The tokenizer's class with its module, where the module or the repository's model is another's; None where all is ours."""
    classes = auto_map.get("AutoTokenizer") if isinstance(auto_map, dict) else auto_map
    classes = [name for name in ([classes] if isinstance(classes, str) else classes or []) if name]
    if not classes:
        return None
    module = classes[-1].rpartition("--")[2].rpartition(".")[0]  # "user/repository--module.Class"
    model = _read_json(name_or_path, "config.json", kwargs)
    ours = model.get("model_type", "glm_infilling") == "glm_infilling" or is_old_config(model)
    return None if ours and module == "tokenization_glm" else classes[-1]


def _sop_token_id(name_or_path, kwargs) -> int | None:
    """The id of sop that the checkpoint's added_tokens.json gives, or else that of its kind of tokenizer; None without."""
    added = _read_json(name_or_path, "added_tokens.json", kwargs)
    if "<|startofpiece|>" in added:
        if type(added["<|startofpiece|>"]) is not int:
            raise ValueError(
                f"{name_or_path}: added_tokens.json gives <|startofpiece|> the id {shortened(added['<|startofpiece|>'])}, and ids "
                f"are whole numbers. {AGAIN}"
            )
        return added["<|startofpiece|>"]
    return OLD_TOKENIZERS.get(str(_read_json(name_or_path, "tokenizer_config.json", kwargs).get("tokenizer_class")))


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
    return {} if path is None else read_json(path)
