# SPDX-License-Identifier: Apache-2.0
"""The settings of a run's rows, the same for every command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .arguments import json_object


if TYPE_CHECKING:
    from ..data.reader import TableSource

KNOWN_SPLIT = (
    "Split of a Hub dataset or of a saved folder; the name of a folder's files, or of a list in a json object."
)


@dataclass
class DataArguments:
    """Which rows are trained on and which are scored."""

    _argument_group_name = "rows"

    train_data: list[str] | None = field(
        default=None,
        metadata={
            "help": "Files or folders (jsonl, json, csv, tsv, parquet, txt, all also .gz), text files whose lines stand side by "
            "side (name=file ...), a folder of save_to_disk, or a Hub dataset."
        },
    )
    train_split: str = field(default="train", metadata={"help": KNOWN_SPLIT})
    evaluation_data: list[str] | None = field(default=None, metadata={"help": "As --train_data, to be scored."})
    evaluation_split: str = field(default="validation", metadata={"help": "As --train_split, to be scored."})
    prepare: str | None = field(
        default=None,
        metadata={
            "help": "Function that is given the table and returns the rows to use: my_file.py:function, or squad:rows of recipes/."
        },
    )
    data_kwargs: dict | str | None = field(
        default=None,
        metadata={
            "help": 'What datasets.load_dataset is told, as JSON: \'{"sep": ";", "encoding": "latin-1", "names": ["a"]}\'.'
        },
    )

    def __post_init__(self):
        self.data_kwargs = json_object(self.data_kwargs, "--data_kwargs") or {}

    def source(self, which: Literal["train", "evaluation"], **settings) -> TableSource:
        """Where the rows to train on, or those to evaluate on, are; `settings` are further ones of [`TableSource`]."""
        from ..data.reader import TableSource  # takes a second, which --help does not

        paths, split = getattr(self, f"{which}_data"), getattr(self, f"{which}_split")
        return TableSource(paths, split, prepare=self.prepare, data_kwargs=self.data_kwargs, **settings)
