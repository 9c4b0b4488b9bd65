# SPDX-License-Identifier: Apache-2.0
"""The original training format: a folder by the iteration's name, in it a file for each model-parallel rank."""

import re
import zipfile
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from .files import Stored, open_pickle
from .names import COLUMNS, ROWS, THIRDS, WHOLE, by_base_name, entry_of


logger = logging.get_logger(__name__)

TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
RANK_FILE = re.compile(r"mp_rank_(\d+)_model_states\.pt")
# entries of a training checkpoint that all ranks of one run share
OF_THE_RUN = ("iteration", "global_steps", "global_samples", "mp_world_size", "dp_world_size", "client_lr_scheduler")
MOST_DRIFT = 0.01  # by how much ranks may differ in what each has whole; two runs differ by about 1


def tagged_folder(folder: Path) -> Path | None:
    """The folder of mp_rank_*.pt: this one, or the one that the file beside it names."""
    if any(RANK_FILE.fullmatch(path.name) for path in folder.iterdir()):
        return folder
    for name in TRACKERS:
        if (folder / name).is_file():
            tag = (folder / name).read_text(encoding="utf-8").strip()
            tagged = folder / tag
            if not tag or Path(tag).name != tag or not tagged.is_dir():
                raise ValueError(f"{folder / name} names {tag!r}, which is no folder beside it. Copy that folder too.")
            if not any(RANK_FILE.fullmatch(path.name) for path in tagged.iterdir()):
                raise ValueError(f"{tagged} holds no mp_rank_*_model_states.pt. Download or copy it again.")
            return tagged
    return None


def read_ranks(folder: Path) -> tuple[dict[str, Stored], dict[str, Any]]:
    """The tensors of all model-parallel ranks, merged when they are read."""
    count = sum(1 for path in folder.iterdir() if RANK_FILE.fullmatch(path.name))
    files = [folder / f"mp_rank_{rank:02d}_model_states.pt" for rank in range(count)]
    opened = [open_pickle(path, "module") for path in files]
    _check_one_run(files, [rest for _, rest in opened])
    _check_own_names(files)
    ranks = [by_base_name(tensors) for tensors, _ in opened]
    for path, rank in zip(files, ranks, strict=True):
        different = sorted(set(rank) ^ set(ranks[0]))
        if different:
            raise ValueError(f"{path} and {files[0].name} disagree about {different[0]}: only one of them has it.")
    tensors = {name: _merged(name, [rank[name] for rank in ranks]) for name in ranks[0]}
    return tensors, _settings(tensors, opened[0][1].get("args"))


def _check_own_names(files: Sequence[Path]) -> None:
    """PyTorch writes a file's name into it; under the name of another rank it would be merged into the wrong rows."""
    for path in files:
        if not zipfile.is_zipfile(path):  # files from before PyTorch 1.6 do not tell
            continue
        with zipfile.ZipFile(path) as archive:
            written = archive.namelist()[0].split("/")[0]
        if RANK_FILE.fullmatch(f"{written}.pt") and written != path.stem:
            raise ValueError(f"{path} was written as {written}.pt: it is another rank's. Give it its name back.")


def _check_one_run(files: Sequence[Path], facts: Sequence[Mapping[str, Any]]) -> None:
    world = facts[0].get("mp_world_size")
    if world is not None and world != len(files):
        raise ValueError(
            f"{files[0]} is one of {world} model-parallel shards, and {len(files)} are in its folder. Copy all of them."
        )
    for path, fact in zip(files, facts, strict=True):
        for key in OF_THE_RUN:
            if fact.get(key) != facts[0].get(key):
                raise ValueError(
                    f"{path} is of another run than {files[0].name}: {key} is {fact.get(key)} and {facts[0].get(key)}. Put "
                    "the shards of one run and one iteration into the folder."
                )


def _merged(name: str, parts: Sequence[Stored]) -> Stored:
    """One tensor of all ranks, merged by the table's rule."""
    shared = entry_of(name, parts[0].place).shared
    first = parts[0]
    for part in parts[1:]:
        if part.shape != first.shape or part.dtype != first.dtype:
            raise ValueError(
                f"{part.place} is {tuple(part.shape)} {part.dtype}, {first.place} is {tuple(first.shape)} {first.dtype}: "
                "the shards are of different runs."
            )
    if len(parts) == 1:
        return first
    axis = {WHOLE: None, ROWS: 0, THIRDS: 0, COLUMNS: 1}[shared]
    shape = tuple(size * len(parts) if place == axis else size for place, size in enumerate(first.shape))
    return first._replace(shape=shape, read=lambda: _merge(shared, parts))


def _merge(shared: str, parts: Sequence[Stored]) -> torch.Tensor:
    tensors = [part.read() for part in parts]
    if shared == COLUMNS:
        return torch.cat(tensors, dim=1)
    if shared == ROWS:
        _check_no_copies(tensors, parts)
        return torch.cat(tensors, dim=0)
    if shared == THIRDS:  # each rank has its heads' query, key and value, one below the other
        if tensors[0].shape[0] % 3 != 0:
            raise ValueError(f"{parts[0].place} has {tensors[0].shape[0]} rows, no multiple of three.")
        thirds = zip(*(tensor.chunk(3) for tensor in tensors), strict=True)
        return torch.cat([piece for third in thirds for piece in third])
    for tensor, part in zip(tensors[1:], parts[1:], strict=True):
        difference = (tensor - tensors[0]).float().norm()
        if difference > MOST_DRIFT * tensors[0].float().norm():
            raise ValueError(
                f"{part.place} and {parts[0].place} differ, and all ranks of one run have the same: a shard is of another run."
            )
        if difference > 0:
            logger.warning(
                f"{part.place} differs a little from {parts[0].place}: the first rank's is taken, as the original does."
            )
    return tensors[0]


def _check_no_copies(tensors: Sequence[torch.Tensor], parts: Sequence[Stored]) -> None:
    """Ranks share the rows of matrices; equal ones (biases may be zero in all) are the same file twice."""
    for (left, one), (right, other) in combinations(zip(tensors, parts, strict=True), 2):
        if left.dim() == 2 and torch.equal(left, right):
            raise ValueError(
                f"{other.place} and {one.place} are equal, and each rank has rows of its own: one file is a copy of the other."
            )


def _settings(tensors: Mapping[str, Stored], args: Any) -> dict[str, Any]:
    """What tensors and `args` say about the configuration, under the names of config.json."""
    layers = [int(number[1]) for name in tensors if (number := re.search(r"layers\.(\d+)\.", name))]
    settings: dict[str, Any] = {"num_layers": max(layers, default=-1) + 1}
    for name, axis, field in (
        ("word_embeddings.weight", 0, "vocab_size"),
        ("transformer.final_layernorm.weight", 0, "hidden_size"),
        ("transformer.position_embeddings.weight", 0, "max_sequence_length"),
    ):
        if name not in tensors:
            raise ValueError(f"The checkpoint lacks {name}, which tells its {field}.")
        settings[field] = tensors[name].shape[axis]
    settings["max_sequence_length"] -= 1  # the tables hold one row more
    if args is not None and "num_attention_heads" in vars(args):
        settings["num_attention_heads"] = vars(args)["num_attention_heads"]
    return settings
