# SPDX-License-Identifier: Apache-2.0
"""Files for reading, compressed or not, and what is said where one cannot be read."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from datasets.exceptions import DatasetGenerationError


UNREADABLE = (DatasetGenerationError, ValueError, LookupError, TypeError, OSError, EOFError, csv.Error, zlib.error)
HEAD = 1 << 20  # characters of a file that are looked at before it is read


class Unreadable(ValueError):
    """A file cannot be read: says which one, and why."""


def ending(path: Path) -> str:
    """What a file is by its name: its ending, of compressed ones that before `.gz`."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def open_text(path: Path, encoding: str = "utf-8-sig") -> TextIO:
    """A text file for reading, `.gz` decompressed, its line ends as they are."""
    return io.TextIOWrapper(
        gzip.open(path) if path.suffix == ".gz" else path.open("rb"), encoding=encoding, newline=""
    )


@contextmanager
def reading(files: Sequence[Path], kind: str) -> Iterator[None]:
    """Whatever a reader raises becomes an [`Unreadable`] that names the files, what they were read as, and the reason."""
    try:
        yield
    except UNREADABLE as error:
        cause = error
        while isinstance(cause, DatasetGenerationError) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, Unreadable):
            raise cause from None
        raise Unreadable(
            f"{' and '.join(map(str, files[:3]))} cannot be read as {kind}: {cause}. Check that it is whole and of that format, "
            "and its encoding (UTF-8 unless --data_kwargs '{\"encoding\": ...}' says otherwise)."
        ) from error


def check_content(file: Path, kind: str) -> None:
    """
    Refuse a file before it is read.

    Raises:
        `ValueError`: it is empty, or of bytes that are not text where text is wanted.
    """
    with reading([file], kind), open_text(file, "latin-1") as stream:
        head = stream.read(HEAD)
    if not head.strip():
        raise ValueError(f"{file} is empty. Give a file with rows.")
    if kind != "parquet" and "\0" in head:
        raise ValueError(f"{file} is a binary file, not text. Give text, jsonl, csv or parquet.")
