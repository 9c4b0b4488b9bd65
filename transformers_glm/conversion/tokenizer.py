# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of a checkpoint, read from its files and compared with the weights."""

from pathlib import Path

from configuration_glm import GLMConfig
from tokenization_glm import GLMTokenizer

from .names import released_name
from .old_configs import OLD_TOKENIZERS
from .trusted import AGAIN, read_json
from .words import check_ids


SETTINGS = ("added_tokens.json", "tokenizer_config.json", "special_tokens_map.json", "config.json", "tokenizer.json")
NEEDED = ("mask_token", "sop_token", "eop_token", "cls_token", "eos_token", "pad_token")


def read_tokenizer(folder: Path) -> GLMTokenizer:
    """The tokenizer in a folder; `ValueError` if one of its files is damaged, or it lacks a token that GLM needs."""
    for name in SETTINGS:
        if (folder / name).is_file():
            content = read_json(folder / name)
            if name == "added_tokens.json":
                check_ids(content, folder / name)
    try:
        # the released RoBERTa weights were trained with <mask>; the Hub's tokenizer used an untrained row
        tokenizer = GLMTokenizer.from_pretrained(folder, trained_mask=True)
    except Exception as error:  # the Rust library has no narrower class
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        raise ValueError(
            f"The vocabulary in {folder} cannot be read ({type(error).__name__}: {error}): a file of it is damaged. Download or "
            "copy all of them again."
        ) from error
    templates = tokenizer.chat_template or {}
    if not all(isinstance(text, str) for text in (templates.values() if isinstance(templates, dict) else [templates])):
        raise ValueError(
            f"{folder / 'tokenizer_config.json'}: chat_template must be a text, or texts by name. {AGAIN}"
        )
    missing = [role for role in NEEDED if getattr(tokenizer, f"{role}_id") is None]
    if missing:
        raise ValueError(
            f"The vocabulary in {folder} has no {missing[0]}, which every GLM has: it is cut, or of another model. Give the "
            "vocabulary that the model was trained with."
        )
    return tokenizer


def check_released(folder: Path, tokenizer: GLMTokenizer, config: GLMConfig) -> None:
    """Refuse a vocabulary in old files that is shorter or longer than that of the released model of these sizes."""
    released = released_name(config.to_dict())
    if released is None or (folder / "tokenizer.json").is_file():
        return
    fitting = [sop for sop in OLD_TOKENIZERS.values() if 0 < config.vocab_size - sop < 128]
    if tokenizer.sop_token_id not in fitting:
        raise ValueError(
            f"The vocabulary in {folder} gives <|startofpiece|> the id {tokenizer.sop_token_id}, and {released} was trained with "
            f"{' or '.join(map(str, fitting))}: it is cut, or of another model. Download it again."
        )
