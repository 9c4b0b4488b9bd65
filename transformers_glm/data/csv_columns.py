# SPDX-License-Identifier: Apache-2.0
"""Tables of text, read as they stand there: what pandas would silently take as an index, or rename, is refused."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Features, Value

from .streams import ending, open_text


DEFAULTS = {"keep_default_na": False, "index_col": False}  # NA is a word, and the first column is a column
# quotes in a tsv file are letters
OF_ENDING = {".tsv": {"sep": "\t", "quoting": csv.QUOTE_NONE}}


def csv_settings(files: Sequence[Path], data_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    What `datasets.load_dataset("csv", ...)` is told so that all fields are texts: `NA` and `007` too.

    Args:
        files (`Sequence[Path]`): files with the same columns.
        data_kwargs (`Mapping`): the user's settings, which win.

    Raises:
        `ValueError`: a row has more or fewer fields than there are columns, two columns have one name, or the names that the
            user gives stand in the file already.
    """
    settings = DEFAULTS | OF_ENDING.get(ending(files[0]), {}) | dict(data_kwargs)
    separator = settings.get("sep", settings.get("delimiter", ","))
    if len(separator) != 1:
        raise ValueError(f"the separator {separator!r} is not one character")
    names = settings.get("names", settings.get("column_names"))
    csv.field_size_limit(1 << 30)  # the default refuses long documents
    for file in files:
        with open_text(file, settings.get("encoding") or "utf-8-sig") as lines:
            rows = csv.reader(lines, delimiter=separator, quoting=settings.get("quoting", csv.QUOTE_MINIMAL))
            found = _check_rows(((rows.line_num, row) for row in rows if row), names)
    # pandas gives names to columns without one
    found = [name or f"Unnamed: {place}" for place, name in enumerate(found)]
    return {"features": Features({name: Value("string") for name in found})} | settings


def _check_rows(rows: Iterable[tuple[int, list[str]]], names: Sequence[str] | None) -> Sequence[str]:
    """The columns of a file, whose rows come with the number of their last line."""
    rows = iter(rows)
    columns = names or next(row for _, row in rows)
    if len(set(columns)) < len(columns):
        raise ValueError(f"a column's name occurs twice: {columns}; is there a header line, or are names wanted?")
    number = 0
    for number, (line, row) in enumerate(rows, start=1):
        if names and number == 1 and row == list(names):
            raise ValueError(f"its first row is a header line, {names}, so leave out the names")
        if len(row) != len(columns):
            raise ValueError(
                f"the row that ends in line {line} has {len(row)} fields, and the columns are {', '.join(columns)}: "
                f"{row!r:.200}"
            )
    if not number:
        raise ValueError(f"its only row is a header line, {columns}, or are names wanted?")
    return columns
