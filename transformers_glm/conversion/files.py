# SPDX-License-Identifier: Apache-2.0
"""Single files of tensors: read without running code or holding them whole, written one tensor at a time."""

import argparse
import json
import math
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open


SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
RELEASE_AFTER = 64 * 2**20  # bytes read from a mapped file before it is mapped anew, which frees what was read


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


# all that a training checkpoint names besides tensors and plain containers
HARMLESS = {
    "numpy.core.multiarray._reconstruct": Unread,
    "numpy._core.multiarray._reconstruct": Unread,
    "numpy.ndarray": Unread,
    "numpy.dtype": Unread,
    "argparse.Namespace": argparse.Namespace,
}


class MappedFile:
    """
    The tensors of one file, read one by one. What has been read is let go again after `RELEASE_AFTER` bytes.

    Args:
        path (`Path`): the file.
        load (`Callable`): maps the file into memory, and gives a function from a name to its tensor.
        described (`Mapping[str, tuple]`): shape and type of each tensor.
        release_after (`float`, *optional*): bytes; infinite for a file that `load` reads whole.
    """

    def __init__(self, path: Path, load: Callable, described: Mapping[str, tuple], release_after=RELEASE_AFTER):
        self._load, self._release_after = load, release_after
        self._mapped, self._read = None, 0
        self.tensors = {
            name: Stored(tuple(shape), dtype, f"{path}: {name}", partial(self._read_tensor, name))
            for name, (shape, dtype) in described.items()
        }

    def _read_tensor(self, name: str) -> torch.Tensor:
        if self._mapped is None or self._read > self._release_after:
            self._mapped, self._read = None, 0
            self._mapped = self._load()
        self._read += self.tensors[name].nbytes
        return self._mapped(name)


def open_safetensors(path: Path) -> dict[str, Stored]:
    """The tensors of a .safetensors file; `ValueError` if it is damaged or holds anything but floating point tensors."""
    _check_present(path)
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            described = {name: (part.get_shape(), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}). Download or copy it again.") from error
    for name, (_, dtype) in described.items():
        if dtype not in SAFETENSORS_DTYPES:
            raise ValueError(f"{path}: {name} is {dtype}. Only floating point weights can be converted.")
    described = {name: (shape, SAFETENSORS_DTYPES[dtype]) for name, (shape, dtype) in described.items()}
    return MappedFile(path, lambda: safe_open(path, "pt").get_tensor, described).tensors


def open_pickle(path: Path, module: str | None = None) -> tuple[dict[str, Stored], dict[str, Any]]:
    """
    Open a file of `torch.save` without running code from it.

    Args:
        path (`Path`): the file.
        module (`str`, *optional*): under which key the tensors are; omitted: the file is one dictionary of tensors.

    Returns:
        `tuple[dict[str, Stored], dict]`: the tensors, and the other entries of the file.

    Raises:
        `ValueError`: a file that is truncated, damaged or no checkpoint, or that asks for anything but tensors, plain
        containers and the names in `HARMLESS`.
    """
    _check_present(path)
    is_zip = _check_zip(path)
    content = _load(path, mmap=is_zip)
    state = content if module is None else content.get(module) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        where = "" if module is None else f" under {module!r}"
        raise ValueError(f"{path} holds no dictionary of tensors{where}: it is no GLM checkpoint.")
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            what = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise ValueError(f"{path}: {name} is {what}. Only floating point weights can be converted.")
    described = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
    rest = {} if module is None else {key: value for key, value in content.items() if key != module}
    if not is_zip:  # the form before PyTorch 1.6 cannot be mapped
        return MappedFile(path, lambda: state.__getitem__, described, math.inf).tensors, rest

    def load():
        loaded = _load(path, mmap=True)
        return (loaded if module is None else loaded[module]).__getitem__

    return MappedFile(path, load, described).tensors, rest


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is missing. Download or copy the checkpoint again, with all its files.")
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise ValueError(f"{path} is a Git LFS pointer, not the file itself. Run `git lfs pull` in its folder.")


def _check_zip(path: Path) -> bool:
    """Whether the file is in the zip form of `torch.save`, its checksums verified."""
    with path.open("rb") as file:
        start = file.read(4)
    if start != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}). Download or copy it again.") from error
    if damaged is not None:
        raise ValueError(f"{path} is damaged: {damaged} does not have its checksum. Download or copy it again.")
    return True


def _load(path: Path, mmap: bool) -> Any:
    try:
        with torch.serialization.safe_globals([(stand_in, name) for name, stand_in in HARMLESS.items()]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global|class|function) ([\w.]*\w)", str(error))
        what = f"asks for `{named[1]}`" if named else "is no plain checkpoint"
        raise ValueError(
            f"{path} {what}. Weights need no code, and code in a pickle runs when it is loaded: refused. Take a checkpoint "
            "from a source you trust, without the optimizer's state."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is truncated, damaged or no checkpoint ({first_line}).") from error


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
    offsets = pairwise(accumulate((tensors[name].nbytes for name in names), initial=0))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, begin_and_end in zip(names, offsets, strict=True):
        stored = tensors[name]
        header[name] = {"dtype": kinds[stored.dtype], "shape": stored.shape, "data_offsets": begin_and_end}
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
