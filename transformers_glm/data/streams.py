# SPDX-License-Identifier: Apache-2.0
"""Files for reading, compressed or not."""

import gzip
import io
from pathlib import Path
from typing import TextIO


def ending(path: Path) -> str:
    """What a file is by its name: its ending, of compressed ones that before `.gz`."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def open_text(path: Path, encoding: str = "utf-8-sig") -> TextIO:
    """A text file for reading, `.gz` decompressed, its line ends as they are."""
    return io.TextIOWrapper(
        gzip.open(path) if path.suffix == ".gz" else path.open("rb"), encoding=encoding, newline=""
    )
