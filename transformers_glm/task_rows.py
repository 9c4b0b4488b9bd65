# SPDX-License-Identifier: Apache-2.0
"""Rows of a task: from jsonl, json, csv, tsv, parquet or text files, two parallel ones, or a dataset on the Hub."""

import csv
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from .sources import DocumentSource, load_from_hub


Row = dict[str, Any]
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")


@dataclass(frozen=True)
class RowSource:
    """
    Where the rows of a task come from.

    Args:
        paths (`Sequence[str]`):
            One file, its kind known by its ending; two text files whose lines belong together, which become the columns
            `source` and `target` (or `columns`); or the name of a dataset on the Hub.
        name (`str`, *optional*): the configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`): the split of a Hub dataset.
        columns (`Sequence[str]`, *optional*): names of the columns of a csv or tsv file whose first line is a row already.
        rows_at (`str`, *optional*):
            Of a json file that is one object, the key of its list of rows; keys with dots lead through lists of lists, whose
            other columns every row gets: `data.paragraphs.qas`.
    """

    paths: Sequence[str]
    name: str | None = None
    split: str = "train"
    columns: Sequence[str] | None = None
    rows_at: str | None = None

    def __str__(self):
        return " and ".join(self.paths)


def load_rows(source: RowSource) -> Sequence[Row]:
    """
    Load all rows.

    Raises:
        `ValueError`: a file is missing, empty or not what its ending says; parallel files differ in length; a line has more
            or fewer fields than columns. The message names file and line.
    """
    if len(source.paths) == 2:
        rows = list(_parallel(source))
    elif len(source.paths) > 2:
        raise ValueError(
            f"{len(source.paths)} files: {source}. Give one file with columns, or two parallel text files."
        )
    else:
        [path] = source.paths
        local = Path(path)
        if not local.exists() and local.suffix not in ENDINGS and not path.startswith((".", "/", "~")):
            return load_from_hub(DocumentSource(path, source.name, source.split))
        rows = _read_file(local, source)
    if not len(rows):
        raise ValueError(f"{source} holds no row. Check the file.")
    return rows


def draw_rows(rows: Sequence[Row], number: int | None, seed: int) -> Sequence[Row]:
    """So many of the rows, drawn with the seed and in their own order; all of them for None."""
    if number is None:
        return rows
    if not 0 < number <= len(rows):
        raise ValueError(f"{number} rows were asked for, there are {len(rows)}. Ask for 1 to {len(rows)}.")
    drawn = sorted(random.Random(seed).sample(range(len(rows)), number))
    return rows.select(drawn) if isinstance(rows, Dataset) else [rows[place] for place in drawn]


def _read_file(path: Path, source: RowSource) -> Sequence[Row]:
    if not path.is_file():
        raise ValueError(
            f"{path} is no file. Give a file that ends with {', '.join(ENDINGS)}, or a dataset of the Hub."
        )
    if path.suffix == ".parquet":
        return Dataset.from_parquet(str(path), keep_in_memory=True)
    if path.suffix in (".csv", ".tsv"):
        return list(_table(path, source.columns))
    if path.suffix in (".jsonl", ".json"):
        return _json(path, source.rows_at)
    if path.suffix == ".txt":
        return [{"text": line} for line in _lines(path)]
    raise ValueError(
        f"{path} ends with {path.suffix!r}. One file ends with {', '.join(ENDINGS)}; of two parallel files give both."
    )


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist. Give a file, or the name of a dataset on the Hub.")
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:  # other line ends belong to the text
            for line in stream:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}. Convert it.") from error


def _parallel(source: RowSource) -> Iterator[Row]:
    first, second = (list(_lines(Path(path))) for path in source.paths)
    if len(first) != len(second):
        raise ValueError(
            f"{source.paths[0]} has {len(first)} lines and {source.paths[1]} has {len(second)}. Line n of the one belongs "
            "to line n of the other: both need the same number."
        )
    columns = source.columns or ("source", "target")
    if len(columns) != 2:
        raise ValueError(f"Two parallel files have two columns, not {list(columns)}. Give two names.")
    for pair in zip(first, second, strict=True):
        yield dict(zip(columns, pair, strict=True))


def _table(path: Path, columns: Sequence[str] | None) -> Iterator[Row]:
    # in tsv files quotation marks are text
    dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix == ".tsv" else {}
    csv.field_size_limit(1 << 30)
    reader = csv.reader(_ended(_lines(path)), **dialect)
    for fields in reader:
        if columns is None:
            columns = fields
            continue
        if not fields:
            continue  # a blank line
        if len(fields) != len(columns):
            raise ValueError(
                f"{path}, line {reader.line_num}: {len(fields)} fields, but {len(columns)} columns ({', '.join(columns)}). "
                "Name the columns of a file without a header with --columns."
            )
        yield dict(zip(columns, fields, strict=True))


def _ended(lines: Iterable[str]) -> Iterator[str]:
    return (line + "\n" for line in lines)  # a quoted field may go on in the next line


def _json(path: Path, rows_at: str | None) -> list[Row]:
    text = "\n".join(_lines(path))
    try:
        content = json.loads(text) if path.suffix == ".json" else None
    except json.JSONDecodeError:
        content = None  # many files that are named json hold an object a line
    if content is None:
        return [
            _parse(line, f"{path}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()
        ]
    rows = list(_rows_at(content, rows_at.split(".") if rows_at else [], {}, str(path)))
    if isinstance(content, dict) and rows_at is None:
        raise ValueError(
            f"{path} is one object with the keys {sorted(content)}. Say with --rows_at where its rows are."
        )
    return rows


def _rows_at(content: Any, keys: Sequence[str], around: Row, where: str) -> Iterator[Row]:
    """The objects that `keys` lead to, through lists; each with what stands beside the lists it is in."""
    if isinstance(content, list):
        for number, item in enumerate(content, 1):
            yield from _rows_at(item, keys, around, f"{where}, {number}")
    elif not isinstance(content, dict):
        raise ValueError(f"{where} is {type(content).__name__}, not an object with columns. See --rows_at.")
    elif not keys:
        yield {**around, **content}
    elif keys[0] in content:
        beside = {key: value for key, value in content.items() if key != keys[0]}
        yield from _rows_at(content[keys[0]], keys[1:], {**around, **beside}, f"{where}, {keys[0]}")
    else:
        raise ValueError(f"{where} has no key {keys[0]!r} of --rows_at, only {sorted(content)}.")


def _parse(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON: {error}. Each line holds one object.") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where} holds {type(row).__name__}, not an object with columns.")
    return row
