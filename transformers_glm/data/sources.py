# SPDX-License-Identifier: Apache-2.0
"""Text sources: files, folders and datasets of the Hub, as documents."""

import gzip
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from datasets import Dataset, DatasetDict, IterableDataset, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError


logger = logging.getLogger(__name__)

Documents = Dataset | IterableDataset

# the builder of `datasets` that reads a file of this ending
BUILDERS = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
    ".jsonl": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tokens": "text",  # WikiText
    ".raw": "text",
}
BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
BYTES_CHECKED = 1 << 20  # of each text file, before anything is loaded


@dataclass
class DocumentSource:
    """
    Where text comes from.

    Args:
        path (`str`):
            A text, jsonl, json, parquet or csv file, of which all but parquet may end with `.gz` too; a file without an
            ending is text; a folder of them (searched to the bottom, files of one kind), or one that `save_to_disk` wrote;
            or the name of a dataset on the Hub.
        name (`str`, *optional*): the configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`): the split of a Hub dataset, or of several saved together.
        column (`str`, *optional*, defaults to `"text"`): the column that holds the text.
        document (`str`, *optional*, defaults to `"file"`):
            What one document of a text file is: the whole `"file"`, a `"line"`, or a `"paragraph"`, which ends with a
            line that is empty or of spaces.
        streaming (`bool`, *optional*, defaults to `False`): read while training instead of before.
    """

    path: str
    name: str | None = None
    split: str = "train"
    column: str = "text"
    document: Literal["file", "line", "paragraph"] = "file"
    streaming: bool = False


def load_documents(source: DocumentSource) -> Documents:
    """
    Load the documents of a source, one row each, in a single column `text`.

    Documents without text are dropped and their number is logged (those of a stream when they are tokenized).

    Raises:
        `ValueError`: the path cannot be read, a file is empty or binary, the column is missing, no document is left.
    """
    path = Path(source.path)
    if is_saved(path):
        documents = load_saved(path, source.split)
        documents = documents.to_iterable_dataset() if source.streaming else documents
    elif path.exists():
        documents = _load_files(source)
    elif ending(path) in BUILDERS or source.path.startswith((".", "/", "~")):
        raise ValueError(f"{source.path} does not exist. Give a file, a folder or the name of a dataset on the Hub.")
    else:
        documents = load_from_hub(source)
    documents = _text_column(documents, source)
    if not source.streaming:
        before = len(documents)
        documents = documents.filter(_has_text, batched=True)
        log_dropped(before - len(documents), source.path)
    if not any(text and text.strip() for text in (row["text"] for row in documents)):
        raise ValueError(f"{source.path} holds no document with text. Check the file, and what a document of it is.")
    return documents


def load_from_hub(source: DocumentSource) -> Documents:
    """The rows of a dataset on the Hub, with all its columns."""
    try:
        return load_dataset(source.path, source.name, split=source.split, streaming=source.streaming)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise ValueError(
            f"{source.path} is no file or folder here, and no dataset that the Hub gives us: {error}. Check the name; a "
            "private dataset needs a login."
        ) from error


def is_saved(path: Path) -> bool:
    """Whether a folder is what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def load_saved(path: Path, split: str) -> Dataset:
    """The rows of a dataset that `save_to_disk` wrote; of several splits the one of this name."""
    saved = load_from_disk(str(path))
    if not isinstance(saved, DatasetDict):
        return saved
    if split not in saved:
        raise ValueError(f"{path} has no split {split!r}. It has {', '.join(saved)}.")
    return saved[split]


def ending(path: Path) -> str:
    """What a file is by its name: its ending, of compressed ones that before `.gz`."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def open_bytes(path: Path) -> IO[bytes]:
    """A file for reading, `.gz` decompressed."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def hold_out(documents: Documents, number: int, seed: int = 0) -> tuple[Documents, Documents]:
    """Split documents into (training, held out): `number` drawn with `seed`, or the first ones of a stream."""
    is_stream = isinstance(documents, IterableDataset)
    few = next(iter(documents.skip(number)), None) is None if is_stream else not 0 < number < len(documents)
    if few:
        there = "a stream of no more" if is_stream else len(documents)
        raise ValueError(
            f"{number} documents cannot be held out of {there}. Hold out fewer, or give evaluation text of "
            "its own. (A text file is one document unless it is read by line or by paragraph.)"
        )
    if is_stream:
        return documents.skip(number), documents.take(number)
    split = documents.train_test_split(number, seed=seed)
    return split["train"], split["test"]


def log_dropped(number: int, where: str) -> None:
    """Say how many documents were dropped, if any."""
    if number:
        logger.warning("%s: %d documents without text were dropped.", where, number)


def _load_files(source: DocumentSource) -> Documents:
    files = _files_of(Path(source.path))
    kinds = sorted({_builder(file) for file in files})
    if len(kinds) > 1:
        raise ValueError(f"{source.path} holds {' and '.join(kinds)} files. Give a folder with files of one kind.")
    for file in files:
        _check_file(file, binary=kinds == ["parquet"])
    options = {
        "text": {"sample_by": source.document.replace("file", "document"), "encoding": "utf-8-sig"},
        "csv": {"keep_default_na": False, "na_filter": False},  # NA is a word
    }.get(kinds[0], {})
    names = [str(file) for file in files]
    try:
        documents = load_dataset(kinds[0], data_files=names, split="train", streaming=source.streaming, **options)
        next(iter(documents), None)  # a stream is read here for the first time
    except (DatasetGenerationError, ValueError, OSError) as error:
        raise ValueError(
            f"{source.path} cannot be read as {kinds[0]}: {error.__cause__ or error}. Check that the file's ending "
            "says what it holds, and that text is UTF-8."
        ) from error
    by_paragraph = kinds == ["text"] and source.document == "paragraph"
    return documents.map(_split_at_blank_lines, batched=True) if by_paragraph else documents


def _split_at_blank_lines(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    """`datasets` parts paragraphs at empty lines; those of WikiText hold a space."""
    parts = (part for text in batch["text"] for part in BLANK_LINES.split(text))
    return {"text": [part for part in parts if part.strip()]}


def _files_of(path: Path) -> list[Path]:
    """The file itself, or the files of a folder whose ending is known, sorted by name."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if ending(file) in BUILDERS)
    if not files:
        raise ValueError(f"{path} holds no file that ends with {', '.join(BUILDERS)}.")
    for file in files:
        if file.suffix and ending(file) not in BUILDERS:
            raise ValueError(
                f"{file} ends with {file.suffix!r}. Known endings: {', '.join(BUILDERS)}, and .gz after them. Give text another "
                "name."
            )
        if not os.access(file, os.R_OK):
            raise ValueError(f"{file} cannot be read: permission denied.")
    return files


def _builder(file: Path) -> str:
    """Files without an ending, such as `enwik8`, are text."""
    return BUILDERS[ending(file)] if file.suffix else "text"


def _check_file(file: Path, binary: bool) -> None:
    try:
        with open_bytes(file) as stream:
            head = stream.read(BYTES_CHECKED)
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{file} cannot be decompressed: {error}. Fetch it again.") from error
    if not head.strip():
        raise ValueError(f"{file} is empty. Give a file with text.")
    if not binary and b"\0" in head:
        raise ValueError(f"{file} is a binary file, not text. Give UTF-8 text, jsonl, csv or parquet.")


def _text_column(documents: Documents, source: DocumentSource) -> Documents:
    """The one column that is asked for, named `text`."""
    columns = documents.column_names or list(next(iter(documents), {}))
    if source.column not in columns:
        raise ValueError(
            f"{source.path} has no column {source.column!r}. Its columns: {', '.join(columns)}. Give the name of the "
            "one that holds the text."
        )
    first = next(iter(documents), {source.column: ""})[source.column]
    if not isinstance(first, str | None):
        raise ValueError(
            f"Column {source.column!r} of {source.path} holds {type(first).__name__}, not text. Its columns: "
            f"{', '.join(columns)}."
        )
    documents = documents.select_columns([source.column])
    return documents if source.column == "text" else documents.rename_column(source.column, "text")


def _has_text(batch: dict[str, list]) -> list[bool]:
    return [bool(text and text.strip()) for text in batch["text"]]
