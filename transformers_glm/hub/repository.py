# SPDX-License-Identifier: Apache-2.0
"""Repositories for the Hub: weights, tokenizer, model card, and the code for those who have not installed this package."""

import json
from pathlib import Path
from pkgutil import resolve_name
from re import fullmatch

from huggingface_hub import HfApi, ModelCard
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from configuration_glm import GLMConfig

from ..agreement import check_agreement
from ..files import check_free, written_whole
from .code import AUTO_MODELS, add_code
from .model_card import PAPER, WITHOUT_PACKAGE, About, make_card, sizes, usage


WEIGHTS = ["*.safetensors", "*.safetensors.index.json"]
TEMPLATE = "[More Information Needed]"  # the placeholder in cards that Transformers and PEFT write


def make_repository(
    source: str | Path,
    out: str | Path,
    about: About | None = None,
    *,
    tokenizer: str | Path | None = None,
    max_shard_size: str = "5GB",
    overwrite: bool = False,
) -> list[str]:
    """
    Write a model and its tokenizer as a repository that every Auto class loads, with this package and, by
    `trust_remote_code=True`, without.

    Args:
        source (`str` or `Path`): folder of a model that `save_pretrained` or `transformers-glm convert` wrote.
        out (`str` or `Path`): folder to write; it appears only once it is complete.
        about ([`About`], *optional*): what the model card says.
        tokenizer (`str` or `Path`, *optional*): folder of the tokenizer, if `source` has none.
        max_shard_size (`str`, *optional*, defaults to `"5GB"`): size of a file of weights.
        overwrite (`bool`, *optional*, defaults to `False`): replace a model that stands in `out`.

    Returns:
        `list[str]`: names in `source` that are not part of a repository and stay behind: checkpoints, states of a run.

    Raises:
        `ValueError`: no whole model of this package in `source`; no tokenizer, or that of another model; `out` is in use.
    """
    source, out, about = Path(source), Path(out), about or About()
    check_places(source, out, overwrite)
    model, loaded = _load_model(source), load_tokenizer(source if tokenizer is None else Path(tokenizer))
    if model.can_generate():
        check_agreement(loaded, model.config)
    about = about.completed(source, out)
    with written_whole(out, overwrite) as folder:
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        loaded.save_pretrained(folder)
        add_code(folder)
        (folder / "README.md").write_text(str(_card(source, model, about)), encoding="utf-8")
    return left_behind(source, out)


def push(folder: str | Path, repo_id: str, *, private: bool = False, message: str = "Upload a GLM") -> str:
    """
    Upload a folder of `make_repository` in one commit. Weights that the repository had before and the folder has not are
    deleted: Transformers would prefer an old model.safetensors to new shards.

    Args:
        folder (`str` or `Path`): the folder.
        repo_id (`str`): the repository, `"user/name"`; made if it does not exist.
        private (`bool`, *optional*, defaults to `False`): whether a new repository is private.
        message (`str`, *optional*): the commit's message.

    Returns:
        `str`: address of the commit.
    """
    api = HfApi()
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message, delete_patterns=WEIGHTS)
    return commit.commit_url


def check_places(source: Path, out: Path, overwrite: bool) -> None:
    """Refuse what is bound to fail, before anything is loaded."""
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder. Give the folder that save_pretrained wrote.")
    if out.resolve() == source.resolve() or out.resolve() in source.resolve().parents:
        raise ValueError(f"{out} is SOURCE or holds it. Choose another folder for the repository.")
    check_free(out, overwrite)


def _load_model(source: Path) -> PreTrainedModel:
    """The model with its head, if every one of its weights is there."""
    if not (source / "config.json").is_file():
        raise ValueError(f"{source} has no config.json. Give the folder that save_pretrained wrote.")
    settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if settings.get("model_type") != GLMConfig.model_type:
        raise ValueError(
            f"{source} holds a model of type {settings.get('model_type')!r}, not {GLMConfig.model_type!r}. Convert an old GLM "
            "with transformers-glm convert SOURCE OUT."
        )
    if "quantization_config" in settings:
        raise ValueError(
            f"{source} holds a quantized model, which Transformers cannot load and save again. Push the whole model; who loads "
            "it quantizes it with a quantization_config."
        )
    architecture = (settings.get("architectures") or [None])[0]
    classes = {where.partition(".")[2]: where for where in AUTO_MODELS.values()}
    if architecture not in classes:
        raise ValueError(
            f"{source / 'config.json'} names the architecture {architecture!r}. It must be one of "
            f"{sorted(classes)}: load the model and save it with save_pretrained."
        )
    model, info = resolve_name(classes[architecture]).from_pretrained(source, dtype="auto", output_loading_info=True)
    if absent := sorted(info["missing_keys"]):
        raise ValueError(
            f"{source} lacks {len(absent)} weights of a {architecture}, {absent[0]} among them: they would be random. Save the "
            "whole model, or change architectures in config.json."
        )
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder, which must be of this package."""
    if not (folder / "tokenizer_config.json").is_file() and not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder} has no tokenizer. Give --tokenizer and the folder of the model's tokenizer.")
    loaded = AutoTokenizer.from_pretrained(folder)
    if type(loaded).__module__ != "tokenization_glm":
        raise ValueError(
            f"The tokenizer in {folder} is a {type(loaded).__name__}, whose code is not this package's. Give the GLMTokenizer "
            "that the model was trained with."
        )
    return loaded


def left_behind(source: Path, out: Path) -> list[str]:
    """Names in `source` that are not in the repository `out`, leaving out weights, which it splits anew, and what its card holds."""
    names = {file.name for file in source.iterdir()} - {file.name for file in out.iterdir()}
    return sorted(
        name for name in names if not fullmatch(r"(pytorch_)?model.*\.(safetensors|bin|json)|metrics\.json", name)
    )


def _card(source: Path, model: PreTrainedModel, about: About) -> ModelCard:
    """The card of SOURCE with what it lacks, or a new one."""
    [architecture] = model.config.architectures
    use = f"## Use\n\n{usage(about.name, architecture)}\n\n{WITHOUT_PACKAGE.format(where='this repository')}"
    what = f"A {PAPER}. {model.num_parameters():,} parameters: {sizes(model.config)}"
    card, file = make_card(about, architecture, what, use), source / "README.md"
    text = file.read_text(encoding="utf-8") if file.is_file() else TEMPLATE
    if TEMPLATE in text:
        return card
    # a card that somebody wrote stays, except for the name that loads it
    kept = ModelCard(text.replace(f'from_pretrained("{source.name}")', f'from_pretrained("{about.name}")'))
    for name, value in card.data.to_dict().items():
        if name in about.metadata() or kept.data.get(name) is None:
            kept.data[name] = value
    added = [] if "trust_remote_code" in kept.text else [use]
    added += ["\n\n".join(section) for section in about.sections().items() if section[0] not in kept.text]
    kept.text = "\n\n".join([kept.text.rstrip(), *added]) + "\n"
    return kept
