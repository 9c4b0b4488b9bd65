# SPDX-License-Identifier: Apache-2.0
"""The settings of a run that learns to write texts: its rows, its task, how it generates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..runs.arguments import json_object
from ..runs.data_arguments import DataArguments


if TYPE_CHECKING:
    from ..data.reader import TableSource


@dataclass
class RowArguments(DataArguments):
    """Which rows are trained on and which are scored, and how many of them."""

    train_rows: int | None = field(
        default=None,
        metadata={"help": "Train on this many rows, drawn with the seed. 0: on none, the --model is scored as it is."},
    )
    evaluation_rows: int | None = field(
        default=None, metadata={"help": "Score this many rows, the same ones for each seed."}
    )

    @property
    def has_training(self) -> bool:
        """Whether there is anything to train on."""
        return bool(self.train_data) and self.train_rows != 0

    def source(self, which: Literal["train", "evaluation"], **settings) -> TableSource:
        """Where the rows are; two text files without names are `source` and `target`, unless data_kwargs names a builder."""
        from ..data.reader import BUILDERS  # takes a second, which --help does not
        from ..data.streams import ending

        found = super().source(which, **settings)
        files = [Path(path) for path in found.paths]
        are_text = all(file.is_file() and BUILDERS.get(ending(file), "text") == "text" for file in files)
        if len(files) == 2 and are_text and "path" not in self.data_kwargs:
            return replace(found, paths=[f"source={files[0]}", f"target={files[1]}"])
        return found


@dataclass
class TaskArguments:
    """What of a row is the source and the target, how long they may be, what is generated and how it is scored."""

    _argument_group_name = "task"

    task: str = field(
        default="seq2seq",
        metadata={
            "help": "Name of the task in the results. infilling blanks words of the source's text and fills them."
        },
    )
    source: str = field(
        default="{{ source }}",
        metadata={
            "help": "Template of the source, with [MASK], [sMASK] or [gMASK] where the target goes; else [MASK] at its end."
        },
    )
    target: str = field(
        default=" {{ target }}",
        metadata={"help": "Template of the target; with a space in front, as byte-level vocabularies begin a word."},
    )
    references: str | None = field(
        default=None,
        metadata={
            "help": "Expression for the text, or the list of texts (answers.text), to score against. Else the target."
        },
    )
    keep: str = field(
        default="left",
        metadata={
            "help": "What stays of a field that is too long: left, right, or what is round the text of this field or template."
        },
    )
    max_length: int | None = field(
        default=None, metadata={"help": "The most tokens of a source. Defaults to the model's max_sequence_length."}
    )
    max_target_length: int = field(
        default=128,
        metadata={"help": "The most tokens of a target and of what is generated; of one piece in infilling."},
    )
    metrics: list[str] = field(
        default_factory=lambda: ["rouge", "bleu", "chrf"], metadata={"help": "Of rouge, bleu, chrf, meteor, answers."}
    )
    units: Literal["english", "words", "characters"] = field(
        default="english",
        metadata={"help": "What metrics compare: English words, words of other languages, or characters (Chinese)."},
    )
    blank_ratios: list[float] = field(
        default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5],
        metadata={
            "help": "Infilling: shares of the words that are blanked. Training draws one a text, each is scored."
        },
    )
    generation: dict | str | None = field(
        default=None,
        metadata={"help": 'Settings of GenerationConfig, as JSON: \'{"num_beams": 4, "min_new_tokens": 10}\'.'},
    )

    def __post_init__(self):
        self.generation = json_object(self.generation, "--generation") or {}
