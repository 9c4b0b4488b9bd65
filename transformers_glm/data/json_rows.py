# SPDX-License-Identifier: Apache-2.0
"""Rows of json files. The reader of `datasets` makes times of texts that look like one, so rows are parsed here."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features, IterableDataset, Value

from .streams import ending, open_text


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
        `ValueError`: a file is no json, a row is no object, or a column holds values of several kinds; names file and row.
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
    with open_text(file, encoding) as stream:
        if ending(file) == ".jsonl" and field is None:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _row(_parsed(line, f"line {number}"), f"line {number}", names)
            return
        whole = stream.read()
    try:
        content = json.loads(whole)
    except RecursionError as error:
        raise ValueError(f"{file} is nested too deeply") from error
    except json.JSONDecodeError:  # many files that are named json hold an object a line
        lines = enumerate(whole.split("\n"), start=1)
        content = [_parsed(line, f"line {number}") for number, line in lines if line.strip()]
    for key in (field or "").split(".") if field else [split] if _holds_list(content, split) else []:
        if not isinstance(content, dict) or key not in content:
            has = ", ".join(content) if isinstance(content, dict) else type(content).__name__
            raise ValueError(f"{file} has no field {key!r}; it has {has}")
        content = content[key]
    for number, row in enumerate(content if isinstance(content, list) else [content]):
        yield _row(row, f"row {number}", names)


def _holds_list(content: Any, key: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(key), list)


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {error}. Each line holds one object") from error


def _row(row: Any, where: str, names: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    if isinstance(row, list) and len(row) == len(names or ()):
        return dict(zip(names, row, strict=True))
    raise ValueError(
        f'{where} is {row!r:.80}, no object; --data_kwargs names the fields of a list, {{"names": [...]}}'
    )


def _texts(stamps: Sequence[tuple], text: str, settings: dict[str, Any]) -> Iterator[dict[str, str | None]]:
    for file, *_ in stamps:
        for number, row in enumerate(rows_of(Path(file), **settings)):
            if text not in row:
                raise ValueError(f"{file}, row {number} has no column {text!r}. Its columns: {', '.join(row)}")
            if not isinstance(row[text], str | None):
                raise ValueError(f"{file}, row {number}: {text!r} holds {row[text]!r:.80}, not text")
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
