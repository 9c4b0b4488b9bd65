# SPDX-License-Identifier: Apache-2.0
"""Tables of labelled rows: json, jsonl, csv, tsv and parquet files, and datasets of the Hub."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import Dataset, Features, Value, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError


# the builder of `datasets` that reads a file of this ending
FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


@dataclass
class TableSource:
    """
    Where rows come from.

    Args:
        path (`str`): a file, or the name of a dataset on the Hub.
        name (`str`, *optional*): the configuration of a Hub dataset.
        split (`str`, *optional*, defaults to `"train"`): the split of a Hub dataset.
        format (`str`, *optional*): `"json"` (one row a line, or a list), `"csv"`, `"tsv"` or `"parquet"`; by default what the
            file's ending says.
        delimiter (`str`, *optional*): what stands between the columns of a text table; a comma, or a tab in tsv.
        column_names (`list[str]`, *optional*): the columns of a text table without a header line.
        quoting (`bool`, *optional*): whether quotes in a text table enclose a field: yes in csv, no in tsv.
        json_field (`str`, *optional*): the field of a json file that holds the rows.
    """

    path: str
    name: str | None = None
    split: str = "train"
    format: Literal["json", "csv", "tsv", "parquet"] | None = None
    delimiter: str | None = None
    column_names: list[str] | None = None
    quoting: bool | None = None
    json_field: str | None = None


def load_table(source: TableSource) -> Dataset:
    """
    Load the rows of a source. All fields of text tables are texts, as they stand there: `NA` and `007` too.

    Raises:
        `ValueError`: the path cannot be read, the file is empty or not of its format.
    """
    path = Path(source.path)
    if path.is_file():
        return _load_file(path, source)
    if path.is_dir() or path.suffix in FORMATS or source.path.startswith((".", "/", "~")):
        raise ValueError(f"{path} is no file. Give a file ({', '.join(FORMATS)}) or the name of a dataset on the Hub.")
    try:
        return load_dataset(source.path, source.name, split=source.split)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise ValueError(
            f"{source.path} is no file here, and no dataset that the Hub gives us: {error}. Check the name; a private "
            "dataset needs a login."
        ) from error


def _load_file(path: Path, source: TableSource) -> Dataset:
    kind = source.format or FORMATS.get(path.suffix)
    if kind is None:
        raise ValueError(f"{path} ends with {path.suffix!r}. Known endings: {', '.join(FORMATS)}; or give its format.")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty. Give a file with rows.")
    builder = "csv" if kind in ("csv", "tsv") else kind
    try:
        options = _text_options(path, source, kind) if builder == "csv" else {}
        if builder == "json" and source.json_field is not None:
            options["field"] = source.json_field
        table = load_dataset(builder, data_files=str(path), split="train", **options)
    except (DatasetGenerationError, ValueError, OSError, csv.Error) as error:
        raise ValueError(
            f"{path} cannot be read as {kind}: {error.__cause__ or error}. Check its format, delimiter, quoting, header line "
            "(column_names), and that it is UTF-8."
        ) from error
    return table


def _text_options(path: Path, source: TableSource, kind: str) -> dict:
    delimiter = source.delimiter or ("\t" if kind == "tsv" else ",")
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter
    quoted = kind == "csv" if source.quoting is None else source.quoting
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
        names = source.column_names or next(reader)
        _check_lines(reader, names)
    return {
        "delimiter": delimiter,
        "quoting": quoting,
        "column_names": names,
        "header": 0 if source.column_names is None else None,
        "features": Features({name: Value("string") for name in names}),
        "keep_default_na": False,
        "na_filter": False,
        "index_col": False,
    }


def _check_lines(lines: Iterable[list[str]], names: list[str]) -> None:
    """Refuse lines of another length, which pandas would fill up or cut."""
    if len(set(names)) < len(names):
        raise ValueError(f"a column's name occurs twice: {names}; is there a header line?")
    full = (fields for fields in lines if fields)
    for number, fields in enumerate(full):
        if len(fields) != len(names):
            raise ValueError(
                f"row {number} has {len(fields)} fields, and the columns are {', '.join(names)}: {fields}"
            )
