# SPDX-License-Identifier: Apache-2.0
"""Which form a folder has: a snapshot of the Hub, the original training format, or ours. Beyond this module all are read the same way."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from configuration_glm import GLMConfig

from .files import Stored, open_pickle, open_safetensors
from .names import by_target_name
from .old_configs import is_old_config
from .ranks import TRACKERS, read_ranks, tagged_folder


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
        settings = _read_json(folder / "config.json")
        if settings.get("model_type") == GLMConfig.model_type:
            return Checkpoint(OURS, folder, _read_hub_weights(folder), settings)
        if is_old_config(settings):
            return Checkpoint(HUB, folder, by_target_name(_read_hub_weights(folder)), settings)
        raise ValueError(
            f"{folder / 'config.json'} is of model_type {settings.get('model_type')!r} and not of the GLM of 2022, whose "
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not JSON ({error}). Download or copy it again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, not settings. Download or copy it again.")
    return content


def _read_hub_weights(folder: Path) -> dict[str, Stored]:
    found = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not found:
        raise ValueError(f"{folder} holds no weights: none of {', '.join(WEIGHT_FILES)}. Download it again, whole.")
    if found[0].suffix != ".json":
        return _open_weights(found[0])
    index = _read_json(found[0])
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{found[0]} has no weight_map. Download it again.")
    tensors: dict[str, Stored] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise ValueError(f"{found[0]} names {shard!r}, which is outside its folder.")
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
