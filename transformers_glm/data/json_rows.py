# SPDX-License-Identifier: Apache-2.0
"""Rows of json files. The reader of `datasets` turns texts that look like a date into timestamps, so rows are parsed here."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
from datasets import Dataset, Features, IterableDataset, Value

from .streams import Unreadable, ending, open_text, reading


def load_json(
    files: Sequence[Path],
    split: str,
    text: str | None,
    streaming: bool,
    *,
    field: str | None = None,
    names: Sequence[str] | None = None,
    encoding: str = "utf-8-sig",
) -> Dataset | IterableDataset:
    """
    A row a line, a list of rows, an object with a list of rows in a field, or one object.

    Args:
        files (`Sequence[Path]`): the files.
        split (`str`): the field that is looked into where an object holds a list of this name.
        text (`str`, *optional*): the one column that is wanted; the rows are then not held in memory.
        streaming (`bool`): read the rows while they are used; wants `text`.
        field (`str`, *optional*): the field that holds the rows, through objects with dots: `data.rows`.
        names (`Sequence[str]`, *optional*): the columns of rows that are lists.
        encoding (`str`, *optional*, defaults to `"utf-8-sig"`): of the files.

    Raises:
        `ValueError`: a file is not json, a row is not an object, or a column holds values of several kinds; names file and row.
    """
    settings = {"split": split, "field": field, "names": names, "encoding": encoding}
    if text is None:
        return _as_table([row for file in files for row in rows_of(file, **settings)])
    kind, features = (IterableDataset if streaming else Dataset), Features({text: Value("string")})
    # size and time are for the cache: a changed file is read anew
    stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return kind.from_generator(
        partial(_texts, text=text, settings=settings), gen_kwargs={"stamps": stamps}, features=features
    )


def rows_of(
    file: Path, split: str, field: str | None = None, names: Sequence[str] | None = None, encoding: str = "utf-8-sig"
) -> Iterator[dict[str, Any]]:
    """The rows of one file."""
    with reading([file], "json"):
        yield from _rows_of(file, split, field, names, encoding)


def _rows_of(
    file: Path, split: str, field: str | None, names: Sequence[str] | None, encoding: str
) -> Iterator[dict[str, Any]]:
    with open_text(file, encoding) as stream:
        by_line = field is None and _is_read_by_line(file, stream)
        stream.seek(0)
        if by_line:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _row(_parsed(line, f"line {number}"), f"line {number}", names)
            return
        content = _parsed(stream.read(), "it")
    keys = field.split(".") if field else [split] if _holds_list(content, split) else []
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            has = ", ".join(content) if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"it has no field {key!r}; it has {has}")
        content = content[key]
    for number, row in enumerate(content if isinstance(content, list) else [content]):
        yield _row(row, f"row {number}", names)


def _holds_list(content: Any, key: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(key), list)


def _is_read_by_line(file: Path, stream: TextIO) -> bool:
    """Whether there is a row a line; in many files that are named json there is."""
    if ending(file) == ".jsonl":
        return True
    filled = (line for line in stream if line.strip())
    try:
        json.loads(next(filled))
    except (json.JSONDecodeError, RecursionError):
        return False
    return next(filled, None) is not None


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{where} is not JSON: {error}. A file holds an object a line, or one list or object"
        ) from error


def _row(row: Any, where: str, names: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    if isinstance(row, list) and len(row) == len(names or ()):
        return dict(zip(names, row, strict=True))
    raise ValueError(
        f'{where} is {row!r:.80}, not an object; --data_kwargs names the fields of a list, {{"names": [...]}}'
    )


def _texts(stamps: Sequence[tuple], text: str, settings: dict[str, Any]) -> Iterator[dict[str, str | None]]:
    for file, *_ in stamps:
        for number, row in enumerate(rows_of(Path(file), **settings)):
            if text not in row:
                raise Unreadable(f"{file}, row {number} has no column {text!r}. Its columns: {', '.join(row)}")
            if not isinstance(row[text], str | None):
                raise Unreadable(f"{file}, row {number}: {text!r} holds {row[text]!r:.80}, not text")
            yield {text: row[text]}


def _as_table(rows: Sequence[dict]) -> Dataset:
    if not rows:
        raise ValueError("there is no row in it")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Dataset.from_dict({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _column(name: str, values: list) -> list:
    """The values; where numbers and texts are mixed, as texts."""
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) > 1 and kinds <= {str, int, float, bool} and kinds != {int, float}:
        return [None if value is None else str(value) for value in values]
    try:
        pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"the rows have values in the column {name!r} that a table cannot hold: {error}") from error
    return values
