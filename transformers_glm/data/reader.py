# SPDX-License-Identifier: Apache-2.0
"""Rows of files, folders and Hub datasets, as every command reads them: by `datasets.load_dataset`."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, IterableDataset, concatenate_datasets, load_dataset
from datasets import load_from_disk as load_saved
from datasets.exceptions import DatasetNotFoundError

from ..files import looks_local
from .csv_columns import csv_settings
from .json_rows import load_json
from .prepare import prepared
from .streams import UNREADABLE, check_content, ending, reading


logger = logging.getLogger(__name__)

Table = Dataset | IterableDataset

# the builder of `datasets` that reads a file of this ending; .gz may follow
BUILDERS = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
    ".tokens": "text",  # WikiText
    ".raw": "text",
    ".jsonl": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "eval")


@dataclass(frozen=True)
class TableSource:
    """
    Where rows come from.

    Args:
        paths (`Sequence[str]`):
            Files of one kind, which are read one after the other; `name=file` for each of several text files, whose lines
            stand side by side in columns of these names; a folder of files, or one that `save_to_disk` wrote; or the name of a
            dataset on the Hub.
        split (`str`, *optional*, defaults to `"train"`):
            The split of a Hub dataset or of what `save_to_disk` wrote. In a folder whose files are named by splits it is the
            name of the files, in a json object of several lists the name of the list.
        columns (`Mapping[str, str]`, *optional*): for a field that a command asks for, the column that holds it.
        prepare (`str` or `Callable`, *optional*):
            A function that is given the table and returns the rows to use, or where it stands: `my_file.py:function`.
        data_kwargs (`Mapping`, *optional*):
            What `datasets.load_dataset` is told beside the path: `{"sep": ";", "encoding": "latin-1"}`, or `{"name": "en"}` for
            the configuration of a Hub dataset. `path` is the builder (text, csv, json, parquet) where the ending does not tell.
        document (`str`, *optional*, defaults to `"line"`):
            What a row of a text file is: a `"line"`, a `"paragraph"`, which ends with a line that is empty or of spaces, or the
            whole `"file"`.
    """

    paths: Sequence[str]
    split: str = "train"
    columns: Mapping[str, str] = field(default_factory=dict)
    prepare: str | Callable | None = None
    data_kwargs: Mapping[str, Any] = field(default_factory=dict)
    document: str = "line"

    def __str__(self):
        return " and ".join(self.paths if len(self.paths) < 4 else [self.paths[0], f"{len(self.paths) - 1} more"])


def load_table(source: TableSource, *, streaming: bool = False, text: str | None = None) -> Table:
    """
    Load rows. All fields of text tables are texts, as they stand there: `NA` and `007` too.

    Args:
        source ([`TableSource`]): where they are.
        streaming (`bool`, *optional*, defaults to `False`): read the rows while they are used.
        text (`str`, *optional*): the one column that is wanted, which holds texts; files of any size can be read by it.

    Raises:
        `ValueError`: a path cannot be read, is empty or not of its format; a row has more or fewer fields than there are
            columns; a column is missing; `prepare` fails. The message names the file and what is wrong.
    """
    wanted = source.columns.get(text, text) if source.prepare is None else None
    named = [re.fullmatch(r"(\w+)=(.+)", path) for path in source.paths]
    if any(named) and not any(Path(path).exists() for path in source.paths):
        table = _side_by_side(source, named)
    else:
        table = _load(source, streaming, wanted)
    if source.prepare is not None:
        table = prepared(table, source.prepare, source.split, str(source))
    table = _renamed(table, source)
    if next(iter(table), None) is None:
        raise ValueError(f"{source} holds no row. Check the file, its split and what prepares it.")
    return table


def _side_by_side(source: TableSource, named: Sequence[re.Match | None]) -> Dataset:
    if not all(named):
        raise ValueError(f"{source}: either all files are given as name=file, or none of them.")
    by_line = replace(source, document="line")
    columns = [_read([Path(match[2])], "text", by_line).rename_column("text", match[1]) for match in named]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{match[2]} {len(column)}" for match, column in zip(named, columns, strict=True))
        raise ValueError(
            f"Lines of files that stand side by side belong together, but these differ in number: {lengths}."
        )
    return concatenate_datasets(columns, axis=1)


def _load(source: TableSource, streaming: bool, text: str | None) -> Table:
    paths = [Path(path) for path in source.paths]
    if len(paths) == 1 and is_saved(paths[0]):
        return _of_saved(paths[0], source.split, streaming)
    if not any(path.exists() for path in paths):
        if len(paths) == 1 and ending(paths[0]) not in BUILDERS and not looks_local(source.paths[0]):
            return _of_hub(source, streaming)
        raise ValueError(f"{source} does not exist. Give a file, a folder or the name of a dataset on the Hub.")
    files = [file for path in paths for file in _files_of(path, source)]
    builders = sorted({_builder_of(file, source) for file in files})
    if len(builders) > 1:
        raise ValueError(f"{source} has {' and '.join(builders)} files. Give files of one kind.")
    table = _read(files, builders[0], source, streaming, text)
    return _with_text(table, source) if builders == ["text"] else table


def _of_hub(source: TableSource, streaming: bool) -> Table:
    [path] = source.paths
    try:
        return load_dataset(path, split=source.split, streaming=streaming, **source.data_kwargs)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise ValueError(
            f"{path} is neither a file or folder here nor a dataset that the Hub gives us: {error}. Check the name; a private dataset "
            "needs a login."
        ) from error


def is_saved(path: Path) -> bool:
    """Whether a folder is what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _of_saved(path: Path, split: str, streaming: bool) -> Table:
    try:
        saved = load_saved(str(path))
    except UNREADABLE as error:
        raise ValueError(f"{path} is not a whole folder of save_to_disk: {error}. Save it again.") from error
    if isinstance(saved, DatasetDict):
        if split not in saved:
            raise ValueError(f"{path} has no split {split!r}. It has {', '.join(saved)}.")
        saved = saved[split]
    return saved.to_iterable_dataset() if streaming else saved


def _files_of(path: Path, source: TableSource) -> list[Path]:
    """The file itself; or those of a folder, where they are named by splits those of the split."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path} does not exist. Give a file, a folder or the name of a dataset on the Hub.")
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and ending(file) in BUILDERS]
    if not files:
        raise ValueError(f"{path} holds no file that ends with {', '.join(BUILDERS)}.")
    if not any(_is_of_split(file, path, SPLITS) for file in files):
        return files
    found = [file for file in files if _is_of_split(file, path, [source.split])]
    if not found:
        names = ", ".join(str(file.relative_to(path)) for file in files[:20])
        raise ValueError(
            f"{path} holds no file of the split {source.split!r}; it holds {names}. Give one of them, or its split."
        )
    return found


def _is_of_split(file: Path, folder: Path, splits: Sequence[str]) -> bool:
    """`train.csv`, `train-00000-of-00002.parquet`, `train/a.txt`."""
    parts = file.relative_to(folder).parts
    name = re.sub(r"-\d+-of-\d+$", "", parts[-1].split(".")[0])
    return name in splits or any(part in splits for part in parts[:-1])


def _builder_of(file: Path, source: TableSource) -> str:
    """Files without an ending, such as `enwik8`, are text."""
    if given := source.data_kwargs.get("path"):
        if given not in BUILDERS.values():
            raise ValueError(f"--data_kwargs names the path {given!r}. Files are read as text, json, csv or parquet.")
        return given
    if file.suffix and ending(file) not in BUILDERS:
        raise ValueError(
            f"{file} ends with {file.suffix!r}. Known endings: {', '.join(BUILDERS)}, and .gz after them. Say how to read it with "
            '--data_kwargs \'{"path": "text"}\', or csv, json, parquet.'
        )
    return BUILDERS[ending(file)] if file.suffix else "text"


def _read(
    files: Sequence[Path], builder: str, source: TableSource, streaming: bool = False, text: str | None = None
) -> Table:
    """Files of one kind."""
    # the configuration of a Hub dataset says nothing of files that are read in its place
    data_kwargs = {name: value for name, value in source.data_kwargs.items() if name not in ("path", "name")}
    for file in files:
        check_content(file, builder)
    with reading(files, builder):
        if builder == "json":
            return load_json(files, source.split, text, streaming, **data_kwargs)
        if builder == "csv":
            data_kwargs = csv_settings(files, data_kwargs)
        if builder == "text":
            document = source.document.replace("file", "document")
            data_kwargs = {"encoding": "utf-8-sig", "sample_by": document} | data_kwargs
        table = load_dataset(
            builder, data_files=list(map(str, files)), split="train", streaming=streaming, **data_kwargs
        )
        next(iter(table), None)  # a stream is read here for the first time
    return table


def _with_text(table: Table, source: TableSource) -> Table:
    """Rows of text files without those that are empty; says how many there were."""
    if source.document == "paragraph":
        table = table.map(_split_at_blank_lines, batched=True)
    kept = table.filter(lambda batch: [bool(text.strip()) for text in batch["text"]], batched=True)
    if isinstance(table, Dataset):
        log_dropped(len(table) - len(kept), str(source))
    return kept


def _split_at_blank_lines(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    """`datasets` parts paragraphs at empty lines; those of WikiText hold a space."""
    return {"text": [part for text in batch["text"] for part in BLANK_LINES.split(text) if part.strip()]}


def log_dropped(number: int, where: str) -> None:
    """Say how many rows without text were dropped, if any."""
    if number:
        logger.warning("%s: %d rows without text were dropped.", where, number)


def _renamed(table: Table, source: TableSource) -> Table:
    """The columns under the names of the fields that a command asks for."""
    present = table.column_names or list(next(iter(table), {}))
    if missing := [column for column in source.columns.values() if column not in present]:
        raise ValueError(f"{source} has no column {', '.join(missing)}. Its columns: {', '.join(present)}.")
    if len(set(source.columns.values())) < len(source.columns):
        raise ValueError(
            f"--columns {dict(source.columns)} gives one column to two fields. A function for --prepare can copy it."
        )
    covered = [name for name in source.columns if name in present and name not in source.columns.values()]
    table = table.remove_columns(covered) if covered else table
    renamed = {column: name for name, column in source.columns.items() if column != name}
    return table.rename_columns(renamed) if renamed else table
