# SPDX-License-Identifier: Apache-2.0
"""Which form a folder has: a snapshot of the Hub, the original training format, or ours. Beyond this module all are read the same way."""

from pathlib import Path
from reprlib import repr as shortened
from typing import Any, NamedTuple

from configuration_glm import GLMConfig

from .files import Stored, open_pickle, open_safetensors
from .names import by_target_name
from .old_configs import is_old_config
from .ranks import TRACKERS, read_ranks, tagged_folder
from .trusted import AGAIN, checked_config, is_plain_name, read_json


HUB, TRAINING, OURS = "a snapshot of the Hub", "the original training format", "the format of this package"
# in the order in which Transformers looks for them
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class Checkpoint(NamedTuple):
    """
    A checkpoint, not read yet.

    Args:
        form (`str`): `HUB`, `TRAINING` or `OURS`.
        folder (`Path`): where it is.
        tensors (`dict[str, Stored]`): the tensors by their names here; those of `OURS` as they are.
        settings (`dict`): its config.json; of the training format, what the tensors and its `args` say.
    """

    form: str
    folder: Path
    tensors: dict[str, Stored]
    settings: dict[str, Any]


def open_checkpoint(source: str | Path) -> Checkpoint:
    """
    Open a checkpoint in any of its forms. Nothing is read but names and shapes, and the checksums of pickled files.

    Args:
        source (`str` or `Path`): the folder.

    Raises:
        `ValueError`: a folder of no known form; a file that is missing, damaged or of another run. The file is named.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder. Give the folder that holds the checkpoint; from the Hub: hf download."
        )
    if (folder / "config.json").is_file():
        settings = read_json(folder / "config.json")
        if settings.get("model_type") == GLMConfig.model_type:
            checked_config(settings, str(folder / "config.json"))
            return Checkpoint(OURS, folder, _read_hub_weights(folder), settings)
        if is_old_config(settings):
            return Checkpoint(HUB, folder, by_target_name(_read_hub_weights(folder)), settings)
        raise ValueError(
            f"{folder / 'config.json'} is of model_type {shortened(settings.get('model_type'))} and not of the GLM of 2022, whose "
            "config has num_layers and max_sequence_length. Models that Transformers knows, such as GLM-4, need no conversion."
        )
    tagged = tagged_folder(folder)
    if tagged is None:
        raise ValueError(
            f"{folder} holds no GLM checkpoint: neither config.json (a snapshot of the Hub) nor "
            f"{TRACKERS[0]} or mp_rank_00_model_states.pt (the original training format)."
        )
    tensors, settings = read_ranks(tagged)
    return Checkpoint(TRAINING, tagged, tensors, settings)


def _read_hub_weights(folder: Path) -> dict[str, Stored]:
    found = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not found:
        raise ValueError(f"{folder} holds no weights: none of {', '.join(WEIGHT_FILES)}. Download it again, whole.")
    if found[0].suffix != ".json":
        return _open_weights(found[0])
    index = read_json(found[0])
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{found[0]} has no weight_map. {AGAIN}")
    if not isinstance(index.get("metadata", {}), dict):
        raise ValueError(f"{found[0]}: metadata is {shortened(index['metadata'])}, and must be an object. {AGAIN}")
    for name, shard in weight_map.items():
        if not is_plain_name(shard):
            raise ValueError(
                f"{found[0]} names {shortened(shard)} for {shortened(name)}, which is outside its folder or no name of a file. {AGAIN}"
            )
    tensors: dict[str, Stored] = {}
    for shard in sorted(set(weight_map.values())):
        opened = _open_weights(folder / shard)
        different = sorted(set(opened) ^ {name for name, file in weight_map.items() if file == shard})
        if different:
            raise ValueError(
                f"{folder / shard} and {found[0].name} disagree about {different[0]}: only one of them has it in this shard. A "
                "file is of another checkpoint: download them again."
            )
        tensors.update(opened)
    return tensors


def _open_weights(path: Path) -> dict[str, Stored]:
    return open_safetensors(path) if path.suffix == ".safetensors" else open_pickle(path)[0]
