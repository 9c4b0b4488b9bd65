# SPDX-License-Identifier: Apache-2.0
"""Whether a converted checkpoint, loaded as everybody loads it, is what its source says."""

from pathlib import Path

import torch

from configuration_glm import GLMConfig

from .formats import Checkpoint
from .names import model_class


def verify(checkpoint: Checkpoint, out: str | Path) -> str:
    """
    Load a converted checkpoint and compare it with its source.

    Args:
        checkpoint ([`~transformers_glm.conversion.formats.Checkpoint`]): the source, as [`convert`] returned it.
        out (`str` or `Path`): the converted folder.

    Returns:
        `str`: what was found, for a person.

    Raises:
        `ValueError`: a tensor, or a field of the configuration, differs.
    """
    config, loaded = (one.to_dict() for one in (GLMConfig(**checkpoint.settings), GLMConfig.from_pretrained(out)))
    for field, value in config.items():
        if loaded[field] != value:
            raise ValueError(f"{field} in {out} is {loaded[field]!r}, and the source says {value!r}.")
    state = model_class(GLMConfig.from_pretrained(out)).from_pretrained(out).state_dict()
    for name, stored in checkpoint.tensors.items():
        if not torch.equal(state[name], stored.read().to(state[name].dtype)):
            raise ValueError(f"{name} in {out} is not what {stored.place} holds.")
    return f"{len(checkpoint.tensors)} tensors are the same, and so is the configuration"
