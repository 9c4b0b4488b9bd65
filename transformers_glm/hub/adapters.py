# SPDX-License-Identifier: Apache-2.0
"""Repositories for the Hub that hold an adapter of PEFT; the weights it adapts stand in a repository of their own."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from ..files import written_whole
from .code import add_code
from .model_card import PAPER, USE, WITHOUT_PACKAGE, About, make_card
from .repository import check_places, left_behind, load_tokenizer


SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# the task types of PEFT that GLM's heads are for, with what the Hub calls the head and how it is loaded
AUTO_CLASSES = {
    "SEQ_2_SEQ_LM": ("GLMForConditionalGeneration", "AutoPeftModelForSeq2SeqLM"),
    "CAUSAL_LM": ("GLMForConditionalGeneration", "AutoPeftModelForCausalLM"),
    "SEQ_CLS": ("GLMForSequenceClassification", "AutoPeftModelForSequenceClassification"),
}


def is_adapter(source: str | Path) -> bool:
    """Whether a folder holds an adapter of PEFT."""
    return (Path(source) / SETTINGS).is_file()


def make_adapter_repository(
    source: str | Path, out: str | Path, about: About | None = None, *, overwrite: bool = False
) -> list[str]:
    """
    Write an adapter that PEFT's `save_pretrained` wrote as a repository, with its tokenizer if `source` has one.

    Args:
        source (`str` or `Path`): folder of the adapter.
        out (`str` or `Path`): folder to write; it appears only once it is complete.
        about ([`About`], *optional*): what the model card says. `base_model` replaces the one that the adapter names.
        overwrite (`bool`, *optional*, defaults to `False`): replace a model that stands in `out`.

    Returns:
        `list[str]`: names in `source` that stay behind.

    Raises:
        `ValueError`: the base model is a folder of this machine; the adapter is a pickle or has no task type; `out` is in use.
    """
    source, out, about = Path(source), Path(out), about or About()
    check_places(source, out, overwrite)
    settings = json.loads((source / SETTINGS).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base = about.base_model or settings["base_model_name_or_path"]
    _check(source, settings)
    tokenizer = load_tokenizer(source) if (source / "tokenizer_config.json").is_file() else None
    about = about._replace(base_model=base).completed(source, out)
    with written_whole(out, overwrite) as folder:
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
            add_code(folder)
        (folder / "README.md").write_text(str(_card(settings, about)), encoding="utf-8")
    return left_behind(source, out)


def _check(source: Path, settings: Mapping[str, Any]) -> None:
    if settings["task_type"] not in AUTO_CLASSES:
        raise ValueError(
            f"The adapter's task_type is {settings['task_type']!r}, so that PEFT could load it only where this package is "
            f"installed. Give its config one of {', '.join(AUTO_CLASSES)}."
        )
    base = settings["base_model_name_or_path"]
    if not base or Path(base).exists():
        raise ValueError(
            f"The adapter names {base!r} as its base model, which nobody finds on the Hub. Push the base model first and give "
            "--base-model and its id."
        )
    if not (source / WEIGHTS).is_file():
        raise ValueError(f"{source} has no {WEIGHTS}. Save the adapter with save_pretrained; pickles are not pushed.")


def _card(settings: Mapping[str, Any], about: About) -> ModelCard:
    architecture, auto_class = AUTO_CLASSES[settings["task_type"]]
    without = WITHOUT_PACKAGE.format(where="the base model's repository")
    imports = f"from peft import {auto_class}\nfrom transformers import AutoTokenizer"
    use = USE.format(imports=imports, tokenizer=about.base_model, name=about.name, auto_class=auto_class, call="")
    return make_card(
        about,
        architecture,
        f"An adapter ({settings['peft_type']}) of [{about.base_model}](https://huggingface.co/{about.base_model}), a {PAPER}.",
        f"## Use\n\n{use}\n\n{without}",
        library_name="peft",
    )
