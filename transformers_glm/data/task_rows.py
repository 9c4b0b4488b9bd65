# SPDX-License-Identifier: Apache-2.0
"""Rows of a task: from jsonl, json, csv, tsv, parquet or text files, two parallel ones, or a dataset on the Hub."""

import csv
import gzip
import io
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from .sources import DocumentSource, ending, is_saved, load_from_hub, load_saved, open_bytes


Row = dict[str, Any]
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
ENDINGS = (*TABLES, ".txt")


@dataclass(frozen=True)
class RowSource:
    """
    Where the rows of a task come from.

    Args:
        paths (`Sequence[str]`):
            Files whose kind is known by their endings (before `.gz`), read one after the other; two text files whose lines
            belong together, which become the columns `source` and `target` (or `columns`); a folder that `save_to_disk`
            wrote; or the name of a dataset on the Hub.
        name (`str`, *optional*): the configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`): the split of a Hub dataset, or of several saved together.
        columns (`Sequence[str]`, *optional*):
            Names of the columns of a csv or tsv file whose first line is a row already; with them a txt file is read as tsv.
        rows_at (`str`, *optional*):
            The key of the list of rows within an object; keys with dots lead through lists of lists, whose other columns every
            row gets: `data.paragraphs.qas`. `*` is any key.
    """

    paths: Sequence[str]
    name: str | None = None
    split: str = "train"
    columns: Sequence[str] | None = None
    rows_at: str | None = None

    def __str__(self):
        return " and ".join(self.paths if len(self.paths) < 4 else [self.paths[0], f"{len(self.paths) - 1} more"])


def load_rows(source: RowSource) -> Sequence[Row]:
    """
    Load all rows.

    Raises:
        `ValueError`: a file is missing, empty or not what its ending says; parallel files differ in length; a line has more
            or fewer fields than columns. The message names file and line.
    """
    rows = _load(source)
    if source.rows_at:
        rows = list(_rows_at(rows, source.rows_at.split("."), {}, str(source)))
    elif isinstance(rows, dict):
        raise ValueError(
            f"{source} is one object with the keys {_shown(rows)}. Say with --rows_at where its rows are."
        )
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


def _load(source: RowSource) -> Sequence[Row] | Row:
    """The rows, or the one object that holds them."""
    paths = [Path(path) for path in source.paths]
    kinds = {ending(path) for path in paths}
    if len(paths) == 1:
        [path] = paths
        if is_saved(path):
            return load_saved(path, source.split)
        is_local = path.exists() or ending(path) in ENDINGS or source.paths[0].startswith((".", "/", "~"))
        return (
            _read_file(path, source)
            if is_local
            else load_from_hub(DocumentSource(*source.paths, source.name, source.split))
        )
    if kinds <= set(TABLES):
        of_files = (_read_file(path, source) for path in paths)
        return [row for rows in of_files for row in (rows if isinstance(rows, Sequence | Dataset) else [rows])]
    if len(paths) > 2 or kinds & set(TABLES):
        raise ValueError(
            f"{len(paths)} files: {source}. Give files with columns ({', '.join(TABLES)}), which are read one after the other, "
            "or two parallel text files."
        )
    return list(_parallel(source))


def _read_file(path: Path, source: RowSource) -> Sequence[Row] | Row:
    kind = ending(path)
    if not path.is_file():
        raise ValueError(
            f"{path} is no file. Give files that end with {', '.join(ENDINGS)}, or a dataset of the Hub."
            + (" Of a folder give the files: folder/*.parquet." if path.is_dir() else "")
        )
    if kind == ".parquet":
        try:
            return Dataset.from_parquet(str(path), keep_in_memory=True)
        except ValueError as error:
            raise ValueError(f"{path} cannot be read as parquet: {error}. Fetch it again.") from error
    if kind == ".csv":
        return list(_named(_csv(path), source.columns, path))
    if kind == ".tsv" or kind == ".txt" and source.columns:
        lines = enumerate(_lines(path), 1)
        return list(_named(((n, line.split("\t")) for n, line in lines if line), source.columns, path))
    if kind in (".jsonl", ".json"):
        return _json(path)
    if kind == ".txt":
        return [{"text": line} for line in _lines(path)]
    raise ValueError(
        f"{path} ends with {path.suffix!r}. One file ends with {', '.join(ENDINGS)}; of two parallel files give both."
    )


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist. Give a file, or the name of a dataset on the Hub.")
    try:
        with open_bytes(path) as stream:
            # other line ends belong to the text
            for line in io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n"):
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}. Convert it.") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} cannot be decompressed: {error}. Fetch it again.") from error


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


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line and fields of each row."""
    csv.field_size_limit(1 << 30)
    reader = csv.reader((line + "\n" for line in _lines(path)), strict=True)  # a quoted field goes on in the next line
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}. A quotation mark in a csv field is doubled and the field quoted; where "
            "marks are text, give a tsv file."
        ) from error


def _named(lines: Iterable[tuple[int, list[str]]], columns: Sequence[str] | None, path: Path) -> Iterator[Row]:
    for number, fields in lines:
        if columns is None:
            columns = fields
            if len(set(columns)) < len(columns):
                raise ValueError(
                    f"{path}: a column's name occurs twice in {', '.join(columns)}. Rename it, or give names with --columns "
                    "if this is a row already."
                )
            continue
        if len(fields) != len(columns):
            raise ValueError(
                f"{path}, line {number}: {len(fields)} fields, but {len(columns)} columns ({', '.join(columns)}). "
                "Name the columns of a file without a header with --columns."
            )
        yield dict(zip(columns, fields, strict=True))


def _json(path: Path) -> list[Row] | Row:
    text = "\n".join(_lines(path))
    try:
        content = json.loads(text) if ending(path) == ".json" else None
    except json.JSONDecodeError:
        content = None  # many files that are named json hold an object a line
    if isinstance(content, dict):
        return content
    if content is None:
        return [
            _parse(line, f"{path}, line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()
        ]
    return list(_rows_at(content, [], {}, str(path)))


def _rows_at(content: Any, keys: Sequence[str], around: Row, where: str) -> Iterator[Row]:
    """The objects that `keys` lead to, through lists; each with what stands beside the lists it is in."""
    if isinstance(content, list | Dataset):
        for number, item in enumerate(content, 1):
            yield from _rows_at(item, keys, around, f"{where}, {number}")
    elif not isinstance(content, dict):
        raise ValueError(f"{where} is {type(content).__name__}, not an object with columns. See --rows_at.")
    elif not keys:
        yield {**around, **content}
    elif keys[0] == "*":
        for key, value in content.items():
            yield from _rows_at(value, keys[1:], around, f"{where}, {key}")
    elif keys[0] in content:
        beside = {key: value for key, value in content.items() if key != keys[0]}
        yield from _rows_at(content[keys[0]], keys[1:], {**around, **beside}, f"{where}, {keys[0]}")
    else:
        raise ValueError(f"{where} has no key {keys[0]!r} of --rows_at, only {_shown(content)}.")


def _shown(content: Row) -> str:
    keys = sorted(content)
    return str(keys) if len(keys) <= 12 else f"{keys[:12]} and {len(keys) - 12} more"


def _parse(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON: {error}. Each line holds one object.") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where} holds {type(row).__name__}, not an object with columns.")
    return row
