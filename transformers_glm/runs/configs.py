# SPDX-License-Identifier: Apache-2.0
"""Configurations of runs by their name: the files of `configs/`, which the wheel carries in the package."""

from difflib import get_close_matches
from pathlib import Path

from ..files import shipped_folder


def find_config(name: str, ending: str = ".yaml") -> Path:
    """
    The file of a configuration. What has the ending of a file is the path of one, and is not looked for.

        find_config("pretrain_small_en")
        find_config("my/own.yaml")
        find_config("fsdp2", ".json")

    Args:
        name (`str`): the name of a configuration, or a path.
        ending (`str`, *optional*, defaults to `".yaml"`): of the configurations to choose from.

    Raises:
        `ValueError`: it is neither; names the configurations with a similar name.
    """
    if name.endswith((ending, ".yml")):
        return Path(name)
    found = {path.stem: path for path in shipped_folder("configs").glob(f"*{ending}")}
    if name not in found:
        close = get_close_matches(name, found, n=3) or sorted(found)
        raise ValueError(
            f"There is no configuration {name!r}. Give a path that ends in {ending}, or a name: {', '.join(close)}."
        )
    return found[name]
