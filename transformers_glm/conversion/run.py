# SPDX-License-Identifier: Apache-2.0
"""Converts released GLM checkpoints, in any form they were published in, and writes old-style states back."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from transformers.utils import logging

from configuration_glm import GLMConfig
from tokenization_glm import GLMTokenizer

from ..files import check_free, write_whole, written_whole
from .config import card_of_converted, make_config, make_generation_config
from .files import Stored, write_safetensors
from .formats import OURS, TRAINING, Checkpoint, open_checkpoint
from .names import by_target_name, check_complete, released_name
from .tokenizer import check_released, read_tokenizer


logger = logging.get_logger(__name__)

SHARED_GMASK_MODEL = "GLM-10B-Chinese"
VOCABULARY_PADDED_TO = 128


def convert(
    source: str | Path,
    out: str | Path,
    *,
    tokenizer: str | Path | None = None,
    hidden_act: str | None = None,
    num_attention_heads: int | None = None,
    copy_eop_to_gmask: bool | None = None,
    max_shard_size: str = "2GB",
) -> Checkpoint:
    """
    Convert a checkpoint into a folder that `from_pretrained` reads.

    Args:
        source (`str` or `Path`): the checkpoint's folder: a snapshot of the Hub, or the original training format.
        out (`str` or `Path`): the folder to write; new or empty. It appears only once it is complete.
        tokenizer (`str` or `Path`, *optional*):
            Folder with the vocabulary, by default `source`: vocab.json and merges.txt, vocab.txt, cog-pretrain.model, or
            tokenizer.json.
        hidden_act (`str`, *optional*):
            Activation. By default what the source says; `"gelu"` for a Hub snapshot that says nothing, as its code
            computed that; `"gelu_pytorch_tanh"` for the training format, whose code computed that.
        num_attention_heads (`int`, *optional*):
            Only the training format needs it, and only where neither its `args` nor the shape of a released model tells.
        copy_eop_to_gmask (`bool`, *optional*):
            Whether the weights were trained with one id for eop and `[gMASK]`, which get rows of their own then. By default
            for GLM-10B-Chinese in the training format.
        max_shard_size (`str`, *optional*, defaults to `"2GB"`): size of a file of weights.

    Returns:
        [`~transformers_glm.conversion.formats.Checkpoint`]: what was written: the source's tensors, and as its settings those
        of the written configuration. If its form is `OURS`, nothing was written.

    Raises:
        `ValueError`: a checkpoint that is not whole and consistent: an unknown, missing or misshapen tensor, a shard that is
        missing or of another run, a damaged file; or `out` is in use.
    """
    checkpoint, out = open_checkpoint(source), Path(out)
    if checkpoint.form == OURS:
        return checkpoint
    check_free(out)
    config = make_config(checkpoint, hidden_act=hidden_act, num_attention_heads=num_attention_heads)
    check_complete(checkpoint.tensors, config, str(checkpoint.folder))
    loaded = _load_tokenizer(tokenizer, [source, checkpoint.folder], config)
    if copy_eop_to_gmask is None and checkpoint.form == TRAINING:
        copy_eop_to_gmask = released_name(checkpoint.settings) == SHARED_GMASK_MODEL
    if copy_eop_to_gmask:
        _copy_row(checkpoint.tensors, loaded)
    with written_whole(out) as folder:
        write_weights(folder, checkpoint.tensors, max_shard_size)
        config.save_pretrained(folder)
        if loaded is not None:
            loaded.save_pretrained(folder)
            make_generation_config(config).save_pretrained(folder)
        (folder / "README.md").write_text(card_of_converted(out.name, checkpoint, config), encoding="utf-8")
    return checkpoint._replace(settings=config.to_dict())


def _load_tokenizer(given, folders: Sequence[str | Path], config: GLMConfig) -> GLMTokenizer | None:
    """The vocabulary in `given`, or in the first of `folders` that has one; its ids go into `config`."""
    files = GLMTokenizer.vocab_files_names.values()
    searched = folders if given is None else [given]
    folder = next((folder for folder in searched if any((Path(folder) / name).is_file() for name in files)), None)
    if folder is None and given is not None:
        raise ValueError(f"{given} has no vocabulary: none of {', '.join(files)}.")
    if folder is None:
        logger.warning(
            f"{folders[0]} has no vocabulary: no tokenizer is written, and the configuration knows no special tokens. Give "
            "--tokenizer and the folder of the vocabulary that the model was trained with."
        )
        return None
    tokenizer = read_tokenizer(Path(folder))
    unused = config.vocab_size - len(tokenizer)
    if not 0 <= unused < VOCABULARY_PADDED_TO:
        raise ValueError(
            f"The vocabulary in {folder} has {len(tokenizer)} tokens, the model {config.vocab_size} embeddings; the original "
            f"code filled them up to a multiple of {VOCABULARY_PADDED_TO}. Give the vocabulary that the model was trained with."
        )
    check_released(Path(folder), tokenizer, config)
    config.mask_token_ids = tokenizer.mask_token_ids
    config.decoder_start_token_id = tokenizer.sop_token_id
    config.pad_token_id = tokenizer.pad_token_id
    config.eos_token_id = [tokenizer.eop_token_id, tokenizer.eos_token_id]
    return tokenizer


def _copy_row(tensors: dict[str, Stored], tokenizer: GLMTokenizer | None) -> None:
    """
    Give `[gMASK]` the embedding of eop.

    GLM-10B-Chinese was trained with id 50007 for both. The row is copied to 50009, so that the ids are those of the other
    Chinese model; both then have equal logits, and 50009 is never generated.
    """
    if tokenizer is None or tokenizer.gmask_token_id is None:
        raise ValueError(
            "Copying the row of eop to that of [gMASK] needs a vocabulary that has both: give --tokenizer."
        )
    stored = tensors["glm.word_embeddings.weight"]

    def read() -> torch.Tensor:
        embeddings = stored.read().clone()
        embeddings[tokenizer.gmask_token_id] = embeddings[tokenizer.eop_token_id]
        return embeddings

    tensors["glm.word_embeddings.weight"] = stored._replace(read=read)


def write_weights(folder: Path, tensors: Mapping[str, Stored], max_shard_size: str) -> None:
    """Write tensors as `save_pretrained` does: model.safetensors, or shards and their index."""
    split = split_state_dict_into_shards_factory(
        dict(sorted(tensors.items())),
        get_storage_size=lambda stored: stored.nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=max_shard_size,
    )
    for file, names in split.filename_to_tensors.items():
        write_safetensors(folder / file, {name: tensors[name] for name in names})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def write_hub_state(source: str | Path, file: str | Path) -> None:
    """
    Write the weights of a checkpoint, in any form, under the names of the old Hub code's base model.

    Args:
        source (`str` or `Path`): the checkpoint's folder.
        file (`str` or `Path`): the .safetensors file to write. Pickles are never written.

    Raises:
        `ValueError`: the file exists or is not a .safetensors file; the checkpoint is not whole, see [`convert`].
    """
    file = Path(file)
    if file.suffix != ".safetensors":
        raise ValueError(
            f"{file}: pickles are not written. Name a .safetensors file; where the old code needs pytorch_model.bin: "
            "torch.save(safetensors.torch.load_file('pytorch_model.safetensors'), 'pytorch_model.bin')."
        )
    if file.exists():
        raise ValueError(f"{file} exists. Choose another name, or remove it.")
    checkpoint = open_checkpoint(source)
    tensors = by_target_name(checkpoint.tensors)
    if checkpoint.form == OURS:
        config = GLMConfig(**checkpoint.settings)
    else:  # the number of heads, which a checkpoint need not tell, changes no shape
        told = "num_attention_heads" in checkpoint.settings or released_name(checkpoint.settings)
        config = make_config(checkpoint, num_attention_heads=None if told else 1)
    check_complete(tensors, config, str(checkpoint.folder))
    has_head = any(name.startswith("classifier.") for name in tensors)
    prefix = "classifier." if has_head else "glm."  # with a head the old code has the base model under its prefix
    with write_whole(file) as unfinished:
        write_safetensors(unfinished, {name.removeprefix(prefix): stored for name, stored in tensors.items()})
