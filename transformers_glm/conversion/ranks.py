# SPDX-License-Identifier: Apache-2.0
"""The original training format: a folder by the iteration's name, in it a file for each model-parallel rank."""

import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import torch

from .files import Stored, open_pickle
from .names import COLUMNS, ROWS, THIRDS, WHOLE, by_target_name, shared_by
from .trusted import is_plain_name, read_text


TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
RANK_FILES = "mp_rank_[0-9]*_model_states.pt"
# entries of a training checkpoint that all ranks of one run share
OF_THE_RUN = ("iteration", "global_steps", "global_samples", "mp_world_size", "dp_world_size", "client_lr_scheduler")
# whose first axis tells which field of the configuration
TELLING = {
    "glm.word_embeddings.weight": "vocab_size",
    "glm.transformer.final_layernorm.weight": "hidden_size",
    "glm.transformer.position_embeddings.weight": "max_sequence_length",
}
MOST_DRIFT = 0.01  # by how much ranks may differ in what each has whole; two runs differ by about 1


def tagged_folder(folder: Path) -> Path | None:
    """The folder of mp_rank_*.pt: this one, or the one that the file beside it names."""
    if any(folder.glob(RANK_FILES)):
        return folder
    tracker = next((folder / name for name in TRACKERS if (folder / name).is_file()), None)
    if tracker is None:
        return None
    tag = read_text(tracker).strip()
    if not is_plain_name(tag):
        raise ValueError(f"{tracker} names {shortened(tag)}, which is no folder beside it. Copy it again, whole.")
    if not any((folder / tag).glob(RANK_FILES)):
        raise ValueError(
            f"{tracker} names {tag!r}, and {folder / tag} holds no mp_rank_*_model_states.pt. Copy it again, whole."
        )
    return folder / tag


def read_ranks(folder: Path) -> tuple[dict[str, Stored], dict[str, Any]]:
    """The tensors of all model-parallel ranks, merged when they are read."""
    files = [folder / f"mp_rank_{rank:02d}_model_states.pt" for rank, _ in enumerate(folder.glob(RANK_FILES))]
    opened = [open_pickle(path, "module") for path in files]
    _check_one_run(files, [content for _, content in opened])
    ranks = [by_target_name(tensors) for tensors, _ in opened]
    for path, (tensors, _) in zip(files, opened, strict=True):
        different = sorted(set(tensors) ^ set(opened[0][0]))
        if different:
            raise ValueError(f"{path} and {files[0].name} disagree about {different[0]}: only one of them has it.")
    tensors = {name: _merged(name, [rank[name] for rank in ranks]) for name in ranks[0]}
    return tensors, _settings(tensors, opened[0][1].get("args"), files[0])


def _check_one_run(files: Sequence[Path], facts: Sequence[Mapping[str, Any]]) -> None:
    world = facts[0].get("mp_world_size")
    if world is not None and world != len(files):
        raise ValueError(
            f"{files[0]} is one of {world} model-parallel shards, and {len(files)} are in its folder. Copy all of them."
        )
    for path, fact in zip(files, facts, strict=True):
        for key in OF_THE_RUN:
            here, there = _plain(fact.get(key)), _plain(facts[0].get(key))
            if here != there:
                raise ValueError(
                    f"{path} is of another run than {files[0].name}: {key} is {shortened(here)} and {shortened(there)}. Put "
                    "the shards of one run and one iteration into the folder."
                )
        if zipfile.is_zipfile(path):  # PyTorch writes the file's name into it, since 1.6
            with zipfile.ZipFile(path) as archive:
                written = archive.namelist()[0].split("/")[0]
            if (
                written.startswith("mp_rank_") and written != path.stem
            ):  # its rows would be merged into the wrong place
                raise ValueError(f"{path} was written as {written}.pt: it is another rank's. Give it its name back.")


def _plain(value: Any) -> Any:
    """A number or text, or a dictionary of them, as it is; of anything else, whose comparison may be no answer, the type."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if not isinstance(one, dict)}
    return value if isinstance(value, int | float | str | None) else type(value).__name__


def _merged(name: str, parts: Sequence[Stored]) -> Stored:
    """One tensor of all ranks, merged by the table's rule when it is read."""
    first, shared = parts[0], shared_by(name) or WHOLE
    for part in parts[1:]:
        if (part.shape, part.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"{part.place} is {part.shape} {part.dtype}, {first.place} is {first.shape} {first.dtype}: the shards are of "
                "different runs."
            )
    if len(parts) == 1:
        return first
    axis = {WHOLE: None, ROWS: 0, THIRDS: 0, COLUMNS: 1}[shared]
    shape = tuple(size * len(parts) if place == axis else size for place, size in enumerate(first.shape))
    return first._replace(shape=shape, read=lambda: _merge(shared, parts))


def _merge(shared: str, parts: Sequence[Stored]) -> torch.Tensor:
    tensors = [part.read() for part in parts]
    if shared == THIRDS:  # each rank has its heads' query, key and value, one below the other
        thirds = zip(*(tensor.chunk(3) for tensor in tensors), strict=True)
        return torch.cat([piece for third in thirds for piece in third])
    if shared != WHOLE:
        return torch.cat(tensors, dim=1 if shared == COLUMNS else 0)
    for tensor, part in zip(tensors, parts, strict=True):
        if (tensor - tensors[0]).float().norm() > MOST_DRIFT * tensors[0].float().norm():
            raise ValueError(
                f"{part.place} and {parts[0].place} differ, and all ranks of one run have the same: a shard is of another run."
            )
    return tensors[0]  # as the original does


def _settings(tensors: Mapping[str, Stored], args: Any, file: Path) -> dict[str, Any]:
    """What tensors, `args` and the original's code say about the configuration, under the names of config.json."""
    layers = {int(number) for name in tensors for number in re.findall(r"layers\.(\d+)\.", name)}
    settings: dict[str, Any] = {"num_layers": max(layers, default=-1) + 1, "hidden_act": "gelu_pytorch_tanh"}
    for name, field in TELLING.items():
        if name not in tensors:
            raise ValueError(f"The checkpoint lacks {name.removeprefix('glm.')}, which tells its {field}.")
        settings[field] = tensors[name].shape[0]
    settings["max_sequence_length"] -= 1  # the tables hold one row more
    if "classifier.out_proj.weight" in tensors:
        labels = range(tensors["classifier.out_proj.weight"].shape[0])
        settings["id2label"] = {label: f"LABEL_{label}" for label in labels}
    if not isinstance(args, Namespace | None):
        raise ValueError(
            f"{file}: args is {type(args).__name__}, and the original code saves its arguments as argparse.Namespace. Save the "
            "file again without args, and give --num-attention-heads."
        )
    if args is not None and "num_attention_heads" in vars(args):
        settings["num_attention_heads"] = args.num_attention_heads
    return settings
