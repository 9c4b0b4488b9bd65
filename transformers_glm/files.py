# SPDX-License-Identifier: Apache-2.0
"""Folders that appear when all of them is written."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_free(out: Path, overwrite: bool = False) -> None:
    """
    Refuse a folder that holds something.

    Args:
        out (`Path`): a folder to write.
        overwrite (`bool`, *optional*, defaults to `False`): whether it may hold a model, which is replaced.

    Raises:
        `ValueError`: it is in use; with `overwrite`, by something else than a model.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise ValueError(f"{out} exists and is not an empty folder. Choose another, or remove it.")
    if not any((out / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ValueError(
            f"{out} holds no model, neither config.json nor adapter_config.json: it is not overwritten. Choose another folder."
        )


@contextmanager
def written_whole(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """
    A new folder to write into, which becomes `out` at the end; after an error nothing is left.

    Args:
        out (`Path`): the folder; new, empty, or one that [`check_free`] lets `overwrite`.
        overwrite (`bool`, *optional*, defaults to `False`): whether to replace a model that stands there.
    """
    check_free(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        folder = Path(temporary) / "new"
        folder.mkdir()
        yield folder
        if out.exists():
            shutil.move(out, Path(temporary) / "old")
        shutil.move(folder, out)
