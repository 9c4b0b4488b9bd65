# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear only once they are complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def shipped_folder(name: str) -> Path:
    """`configs` or `recipes`: in the package where it was installed from a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def looks_local(path: str) -> bool:
    """Whether a path that may not exist was meant as one of this machine: a name on the Hub does not look like it."""
    return path.startswith((".", "/", "~")) or path.count("/") > 1 or ("/" in path and Path(path).parent.exists())


def refuse_missing(path: str | None, flag: str) -> None:
    """
    Refuse a mistyped folder at once, which would be looked for on the Hub, and not be found after a minute.

    Raises:
        `ValueError`: there is no such folder, and it is not a name on the Hub.
    """
    if path and looks_local(path) and not Path(path).exists():
        raise ValueError(f"{flag} {path}: there is not a folder of that name. Check it, or give a name on the Hub.")


@contextmanager
def write_whole(file: str | Path) -> Iterator[Path]:
    """
    A file to write, which takes the place of `file` at the end; after an error `file` is as it was.

    Args:
        file (`str` or `Path`): the file; its folder is made if it is missing.

    Yields:
        `Path`: where to write, in the same folder and with the same ending.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".unfinished-{os.getpid()}-{file.name}")
    try:
        yield unfinished
        with unfinished.open("rb") as written:  # on the disk before it is found under its name
            os.fsync(written.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


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
