# SPDX-License-Identifier: Apache-2.0
"""Functions of the user's own that make rows: `--prepare my_file.py:function`."""

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path

from datasets import Dataset, IterableDataset

from ..files import shipped_folder


def find_function(where: str, flag: str = "--prepare") -> Callable:
    """
    The function `file.py:function`; `name:function` of a file in `recipes/`, which come with the package; or `module:function`.

    Raises:
        `ValueError`: there is no such file or function, or the file cannot be run.
    """
    path, colon, name = where.rpartition(":") if isinstance(where, str) else ("", "", "")
    if not (path and colon and name):
        raise ValueError(f"{flag} {where!r} names no function. Write it as my_file.py:function.")
    recipes = {file.stem: file for file in sorted(shipped_folder("recipes").glob("*.py"))}
    file = Path(path) if path.endswith(".py") else recipes.get(path)
    if file is None and find_spec(path.partition(".")[0]) is None:
        raise ValueError(
            f"{flag} {where}: there is no recipe {path!r}. There are {', '.join(recipes)}; a file ends with .py."
        )
    if file is not None and not file.is_file():
        raise ValueError(f"{flag} {where}: there is no file {path}.")
    try:
        if file is None:
            return pkgutil.resolve_name(where)
        spec = spec_from_file_location(file.stem, file)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)
    except Exception as error:  # whatever the user's file raises
        raise ValueError(f"{flag} {where} cannot be loaded: {type(error).__name__}: {error}") from error


def prepared(
    table: Dataset | IterableDataset, prepare: str | Callable, split: str, where: str
) -> Dataset | IterableDataset:
    """
    The rows that a function makes of a table.

    Args:
        table (`Dataset`): the rows as they were read.
        prepare (`str` or `Callable`): the function; it is given the table, and `split` by name where it has a parameter of that name.
        split (`str`): the split that was asked for.
        where (`str`): what errors call the rows.

    Raises:
        `ValueError`: the function fails, or does not return rows.
    """
    function = find_function(prepare) if isinstance(prepare, str) else prepare
    name = prepare if isinstance(prepare, str) else getattr(prepare, "__name__", "prepare")
    try:
        takes_split = "split" in signature(function).parameters
        made = function(table, split=split) if takes_split else function(table)
        if isinstance(made, Dataset | IterableDataset):
            return made
        made = list(made) if isinstance(made, Iterable) and not isinstance(made, str | Mapping) else made
    except Exception as error:  # whatever the user's function raises
        raise ValueError(f"{where}: --prepare {name} failed with {type(error).__name__}: {error}") from error
    if not (isinstance(made, list) and made and all(isinstance(row, dict) for row in made)):
        raise ValueError(
            f"{where}: --prepare {name} returned {made!r:.80}. It is given rows and returns rows, objects with a name for each column."
        )
    names = dict.fromkeys(name for row in made for name in row)
    return Dataset.from_dict({name: [row.get(name) for row in made] for name in names})
