# SPDX-License-Identifier: Apache-2.0
"""Single files of tensors: read without running code or holding them whole, written one tensor at a time."""

import argparse
import json
import math
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open


SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
RELEASE_AFTER = 64 * 2**20  # bytes of a mapped file that are read before it is mapped anew, which frees what was read
ONLY = "Only floating point weights can be converted, of 16 to 64 bits, dense and not empty. Save the file again with such."
# what torch.load raises for a file that is none of its own
UNREADABLE = (
    RuntimeError,
    MemoryError,
    EOFError,
    OSError,
    ArithmeticError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class Stored(NamedTuple):
    """
    A tensor in a file, not read yet.

    Args:
        shape (`tuple[int, ...]`): its shape.
        dtype (`torch.dtype`): its type.
        place (`str`): the file and the name in it, for errors.
        read (`Callable[[], torch.Tensor]`): reads it.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    place: str
    read: Callable[[], torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize


class Unread:
    """Stands for the random states of NumPy in a training checkpoint: takes whatever builds them, and builds nothing."""

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


# the only names that a training checkpoint holds besides tensors and plain containers
HARMLESS = {
    "numpy.core.multiarray._reconstruct": Unread,
    "numpy._core.multiarray._reconstruct": Unread,
    "numpy.ndarray": Unread,
    "numpy.dtype": Unread,
    "argparse.Namespace": argparse.Namespace,
}


def open_safetensors(path: Path) -> dict[str, Stored]:
    """The tensors of a .safetensors file; `ValueError` if it is damaged or holds anything but floating point tensors."""
    _check_present(path)
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            described = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}). Download or copy it again.") from error
    if not described:
        raise ValueError(f"{path} holds no tensors: it is no GLM checkpoint. Download or copy it again.")
    tensors = {}
    for name, (shape, dtype) in described.items():
        if dtype not in SAFETENSORS_DTYPES:
            raise ValueError(f"{path}: {name} is {dtype}. {ONLY}")
        tensors[name] = Stored(shape, SAFETENSORS_DTYPES[dtype], f"{path}: {name}", partial(_read, path, name))
    return tensors


def _read(path: Path, name: str) -> torch.Tensor:
    """One tensor of a file that is opened for it alone: what was read of a mapped file stays in memory until it is closed."""
    with safe_open(path, "pt") as file:
        return file.get_tensor(name)


def open_pickle(path: Path, module: str | None = None) -> tuple[dict[str, Stored], dict[str, Any]]:
    """
    Open a file of `torch.save` without running code from it.

    Args:
        path (`Path`): the file.
        module (`str`, *optional*): under which key the tensors are; omitted: the file is one dictionary of tensors.

    Returns:
        `tuple[dict[str, Stored], dict]`: the tensors, and all that the file holds.

    Raises:
        `ValueError`: a file that is truncated, damaged or not a checkpoint, or that asks for anything but tensors, plain
        containers and the names in `HARMLESS`.
    """
    is_zip = _check_present(path).startswith(b"PK\x03\x04")
    if is_zip:
        _check_sums(path)
    content = _load(path, mmap=is_zip)
    state = content if module is None else content.get(module) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        where = "" if module is None else f" under {module!r}"
        raise ValueError(f"{path} holds no dictionary of tensors{where}: it is not a GLM checkpoint.")

    @lru_cache(maxsize=1)
    def mapped(part: int) -> dict[str, torch.Tensor]:
        """The tensors; the file is mapped anew for each part of it. The form before PyTorch 1.6 cannot be mapped."""
        loaded = _load(path, mmap=True) if is_zip else content
        return loaded if module is None else loaded[module]

    def read(name: str, part: int) -> torch.Tensor:
        return mapped(part)[name].detach()  # a parameter gives no array of NumPy

    tensors, passed = {}, 0
    for name in state:
        if not isinstance(name, str):
            raise ValueError(
                f"{path}: a tensor is called {shortened(name)}, and names are texts: it is no GLM checkpoint. Save it again."
            )
    for name, tensor in sorted(state.items()):
        unusable = _unusable(tensor)
        if unusable is not None:
            raise ValueError(f"{path}: {name} is {unusable}. {ONLY}")
        reader = partial(read, name, passed // RELEASE_AFTER)
        tensors[name] = Stored(tuple(tensor.shape), tensor.dtype, f"{path}: {name}", reader)
        passed += tensor.nbytes
        if passed > path.stat().st_size:
            raise ValueError(
                f"{path}: with {name}, of shape {tuple(tensor.shape)}, its tensors have {passed} bytes, and the file has "
                f"{path.stat().st_size}: they share their numbers. Save each of them with .clone()."
            )
    return tensors, content


def _unusable(value: Any) -> str | None:
    """What a value is, unless it is a tensor that can be written; None if it is."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    if value.dtype not in SAFETENSORS_DTYPES.values():
        return str(value.dtype)
    if value.layout != torch.strided:
        return f"stored as {value.layout}"
    if value.device.type != "cpu":
        return f"on the device {value.device.type!r}, without its numbers"
    return None if value.numel() else f"empty, of shape {tuple(value.shape)}"


def _check_present(path: Path) -> bytes:
    """The first bytes of a file, which must be there."""
    if not path.is_file():
        raise ValueError(f"{path} is missing. Download or copy the checkpoint again, with all its files.")
    with path.open("rb") as file:
        start = file.read(40)
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not the file itself. Run `git lfs pull` in its folder.")
    return start


def _check_sums(path: Path) -> None:
    """Verify the checksums of the zip form of `torch.save`, whose parts are never compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            unpacked = sum(part.file_size for part in parts)
            if unpacked > path.stat().st_size or any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ValueError(
                    f"{path} is a compressed archive of {path.stat().st_size} bytes that unpacks to {unpacked}, and torch.save "
                    "compresses nothing: it is not unpacked. Download it again, or load and save it where you trust it."
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:  # RuntimeError: it is encrypted
        raise ValueError(f"{path} is truncated or damaged ({error}). Download or copy it again.") from error
    if damaged is not None:
        raise ValueError(f"{path} is damaged: {damaged} does not have its checksum. Download or copy it again.")


def _load(path: Path, mmap: bool) -> Any:
    try:
        with torch.serialization.safe_globals([(stand_in, name) for name, stand_in in HARMLESS.items()]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global|class|function) ([\w.]*\w)", str(error))
        what = f"asks for `{named[1]}`" if named else "is not a plain checkpoint"
        raise ValueError(
            f"{path} {what}. Weights need no code, and code in a pickle runs when it is loaded: refused. Take a checkpoint "
            "from a source you trust, without the optimizer's state."
        ) from error
    except UNREADABLE as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is truncated, damaged or not a checkpoint ({first_line}).") from error


def write_safetensors(path: Path, tensors: Mapping[str, Stored]) -> None:
    """
    Write a .safetensors file, each tensor read when its turn comes: `safetensors.torch.save_file` wants all of them at once.

    Args:
        path (`Path`): the file to write.
        tensors (`Mapping[str, Stored]`): the tensors by name.

    Raises:
        `ValueError`: a tensor that holds NaN or infinite values.
    """
    # wide types first, so that each is aligned; then by name, so that the order of the source leaves no trace
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    kinds = {dtype: kind for kind, dtype in SAFETENSORS_DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        stored, begin, end = tensors[name], end, end + tensors[name].nbytes
        header[name] = {"dtype": kinds[stored.dtype], "shape": stored.shape, "data_offsets": (begin, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            tensor = tensors[name].read().contiguous().reshape(-1)
            if not all(bool(part.isfinite().all()) for part in tensor.split(2**22)):
                raise ValueError(
                    f"{tensors[name].place} holds NaN or infinite values: the file is damaged or the training diverged."
                )
            file.write(tensor.view(torch.uint8).numpy().data)
