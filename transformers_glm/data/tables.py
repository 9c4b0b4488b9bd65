# SPDX-License-Identifier: Apache-2.0
"""Tables of labelled rows: files of text, json or parquet, folders of them, and datasets of the Hub."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from .sources import ending, is_saved, load_saved, open_bytes


# what a file of this ending holds; .gz may follow
FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}

END = "\0end of the file"


@dataclass
class TableSource:
    r"""
    Where rows come from.

    Args:
        path (`str`): a file, a folder, or the name of a dataset on the Hub.
        name (`str`, *optional*): the configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`):
            The split of a Hub dataset or of a folder, or the field of a json file that holds several.
        format (`str`, *optional*): `"json"` (one row a line, or a list), `"csv"`, `"tsv"` or `"parquet"`; by default what the
            file's ending says.
        delimiter (`str`, *optional*): what stands between the columns of a text table; a comma, or a tab in tsv.
        column_names (`list[str]`, *optional*): the columns of a text table without a header line, or of json rows that are
            lists.
        quoting (`bool`, *optional*): whether quotes in a text table enclose a field: yes in csv, no in tsv.
        json_field (`str`, *optional*): the field of a json file that holds the rows.
        encoding (`str`, *optional*): of text; UTF-8, with or without a mark at its start.
        line_pattern (`str`, *optional*): a regular expression that each line of a text file matches, its named groups are the
            columns: `(?P<label>\S+) (?P<text>.*)`.
    """

    path: str
    name: str | None = None
    split: str = "train"
    format: Literal["json", "csv", "tsv", "parquet"] | None = None
    delimiter: str | None = None
    column_names: list[str] | None = None
    quoting: bool | None = None
    json_field: str | None = None
    encoding: str | None = None
    line_pattern: str | None = None


def load_table(source: TableSource) -> Dataset:
    """
    Load the rows of a source. All fields of text tables are texts, as they stand there: `NA` and `007` too.

    Raises:
        `ValueError`: the path cannot be read, the file is empty or not of its format.
    """
    path = Path(source.path)
    if path.is_file():
        return _load_file(path, source)
    if path.is_dir():
        return _load_folder(path, source)
    if path.suffix in FORMATS or source.path.startswith((".", "/", "~")):
        raise ValueError(
            f"{path} is no file. Give a file ({', '.join(FORMATS)}), a folder or the name of a dataset on the Hub."
        )
    try:
        return load_dataset(source.path, source.name, split=source.split)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise ValueError(
            f"{source.path} is no file here, and no dataset that the Hub gives us: {error}. Check the name; a private "
            "dataset needs a login."
        ) from error


def add_labels(table: Dataset, path: str, column: str, encoding: str | None = None) -> Dataset:
    """
    The table with a column of labels that stand in a file of their own, one a line, in the order of the rows.

    Raises:
        `ValueError`: there are more or fewer labels than rows, or the table has that column.
    """
    if column in table.column_names:
        raise ValueError(f"The rows have a column {column!r}, so their labels cannot come from {path} too. Give one.")
    with _reading(Path(path), "labels"), _open(Path(path), encoding) as lines:
        labels = [line.strip() for line in lines.read().rstrip().split("\n")]
    if len(labels) != len(table):
        raise ValueError(f"{path} has {len(labels)} lines for {len(table)} rows. Give a label for each row.")
    return table.add_column(column, labels)


def _load_file(path: Path, source: TableSource) -> Dataset:
    kind = "text" if source.line_pattern else source.format or FORMATS.get(ending(path))
    if kind is None:
        raise ValueError(
            f"{path} ends with {ending(path)!r}. Known endings: {', '.join(FORMATS)}; or give its format, or a line_pattern."
        )
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty. Give a file with rows.")
    with _reading(path, kind):
        if kind == "parquet":
            return load_dataset("parquet", data_files=str(path), split="train")
        with _open(path, source.encoding) as lines:
            if kind == "json":
                rows = _json_rows(lines.read(), source)
            elif kind == "text":
                rows = list(_matches(lines, source.line_pattern))
            else:
                rows = _fields(lines, source, kind)
            return _as_table(rows)


def _load_folder(path: Path, source: TableSource) -> Dataset:
    """What `save_to_disk` left, or the one file or the parquet files that are named as the split."""
    if is_saved(path):
        return load_saved(path, source.split)
    known = re.compile(rf"({'|'.join(map(re.escape, FORMATS))})(\.gz)?$")
    files = [file for file in sorted((path / (source.name or "")).rglob("*")) if known.search(file.name)]
    found = [
        file for file in files if re.fullmatch(rf"{re.escape(source.split)}(-\d+-of-\d+)?", file.name.split(".")[0])
    ]
    if len(found) == 1:
        return _load_file(found[0], source)
    if found and all(file.suffix == ".parquet" for file in found):
        return load_dataset("parquet", data_files=list(map(str, found)), split="train")
    names = ", ".join(str(file.relative_to(path)) for file in files[:20]) or "no table"
    raise ValueError(
        f"{path} is a folder with {len(found)} files for the split {source.split!r}; it holds {names}. Give one of the files, "
        "or the name of its split."
    )


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (DatasetGenerationError, ValueError, LookupError, OSError, csv.Error) as error:
        told = error.__cause__ if isinstance(error, DatasetGenerationError) else error
        raise ValueError(
            f"{path} cannot be read as {kind}: {told}. Check its format, delimiter, quoting, header line "
            "(column_names), and its encoding (UTF-8 unless you say)."
        ) from error


def _open(path: Path, encoding: str | None) -> IO[str]:
    return io.TextIOWrapper(open_bytes(path), encoding=encoding or "utf-8-sig", newline="")


def _json_rows(text: str, source: TableSource) -> list[dict]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError:
        rows = [_json_line(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if isinstance(rows, dict):
        field = source.json_field or (source.split if isinstance(rows.get(source.split), list) else None)
        if field is not None and field not in rows:
            raise ValueError(f"it has no field {field!r}; it has {', '.join(rows)}")
        rows = [rows] if field is None else rows[field]
    if not isinstance(rows, list):
        raise ValueError(f"rows stand in a list, not in {type(rows).__name__}")
    return [_json_row(number, row, source.column_names) for number, row in enumerate(rows)]


def _json_line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: {error}") from error


def _json_row(number: int, row: Any, names: Sequence[str] | None) -> dict:
    if isinstance(row, dict):
        return row
    if isinstance(row, list) and len(row) == len(names or ()):
        return dict(zip(names, row, strict=True))
    raise ValueError(f"row {number} is {row!r:.80}, no object; name the fields of a list by column_names")


def _matches(lines: IO[str], pattern: str) -> Iterator[dict[str, str]]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the line_pattern {pattern!r} is no regular expression: {error}") from error
    if not expression.groupindex:
        raise ValueError(f"the line_pattern {pattern!r} names no column: write one as (?P<text>.*)")
    for number, line in enumerate(lines):
        line = line.rstrip("\r\n")
        found = expression.fullmatch(line)
        if found is None:
            raise ValueError(f"row {number} does not match the line_pattern {pattern!r}: {line!r:.80}")
        yield found.groupdict()


def _fields(lines: IO[str], source: TableSource, kind: str) -> list[dict[str, str]]:
    delimiter = source.delimiter or ("\t" if kind == "tsv" else ",")
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter
    quoted = kind == "csv" if source.quoting is None else source.quoting
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    # a last line of our own: a quote that is never closed swallows it
    reader = csv.reader(chain(lines, [END]), delimiter=delimiter, quoting=quoting)
    rows, starts = [], [1]
    for fields in reader:
        rows.append(fields)
        starts.append(reader.line_num + 1)
    if rows.pop() != [END]:
        raise ValueError(
            f"a quote that opens in the row of line {starts[-2]} is never closed; are quotes letters here?"
        )
    rows = [fields for fields in rows if fields]
    names = source.column_names or (rows.pop(0) if rows else [])
    return _named(rows, names)


def _named(rows: list[list[str]], names: list[str]) -> list[dict[str, str]]:
    if len(set(names)) < len(names):
        raise ValueError(f"a column's name occurs twice: {names}; is there a header line?")
    for number, fields in enumerate(rows):
        if len(fields) != len(names):
            raise ValueError(
                f"row {number} has {len(fields)} fields, and the columns are {', '.join(names)}: {fields}"
            )
    if rows and rows[0] == names:
        raise ValueError(f"row 0 is a header line, {names}, so leave out column_names")
    return [dict(zip(names, fields, strict=True)) for fields in rows]


def _as_table(rows: Sequence[dict]) -> Dataset:
    if not rows:
        raise ValueError("there is no data in it")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Dataset.from_dict({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _column(name: str, values: list) -> list:
    """The values; where numbers and texts are mixed, as texts."""
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) > 1 and kinds <= {str, int, float, bool} and kinds != {int, float}:
        return [None if value is None else str(value) for value in values]
    try:
        pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the rows have values of several kinds in the column {name!r}: {error}") from error
    return values
