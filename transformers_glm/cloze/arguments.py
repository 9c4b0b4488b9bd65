# SPDX-License-Identifier: Apache-2.0
"""What can be set in a run on a ClozeTask: the model, the task, the rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..runs.arguments import json_object
from ..runs.data_arguments import DataArguments
from ..runs.model_arguments import FinetuningArguments


if TYPE_CHECKING:
    from .task import ClozeTask


@dataclass
class ClozeArguments(FinetuningArguments):
    """Which model, and what it is trained and scored by."""

    method: Literal["cloze", "classifier"] = field(
        default="cloze",
        metadata={
            "help": "cloze: candidates are scored in a blank. classifier: a head on [CLS], the paper's ablation."
        },
    )
    zero_shot: bool = field(default=False, metadata={"help": "Only score --evaluation_data, train nothing."})


@dataclass
class TaskArguments:
    """Which task. Every setting except the name replaces what the task says."""

    _argument_group_name = "task"

    task: str = field(metadata={"help": "Name of a task in transformers_glm/cloze/tasks, or the path of a YAML file."})
    pattern: str | None = field(
        default=None,
        metadata={"help": "Number of one of the task's patterns, or a pattern: 'Is {{ text }} [MASK]?'"},
    )
    verbalizer: dict | str | None = field(
        default=None,
        metadata={
            "help": 'Answer of each label, as JSON: \'{"0": " bad", "1": " good"}\'. \'{}\': each label\'s own name, underscores '
            "as spaces, is its answer."
        },
    )
    candidates: list[str] | None = field(
        default=None,
        metadata={
            "help": "Instead of a verbalizer: what holds each row's candidates, choices or question.choices; or a template for each "
            "of them, '{{ choice1 }}' '{{ choice2 }}'."
        },
    )
    max_length: int | None = field(default=None, metadata={"help": "Tokens of a text with its longest candidate."})
    settings: dict | str | None = field(
        default=None,
        metadata={
            "help": "Any other settings of a task, as JSON: "
            '\'{"loss": "generative", "calibration": "pmi", "shorten": ["text"]}\'.'
        },
    )

    def __post_init__(self):
        self.verbalizer = json_object(self.verbalizer, "--verbalizer")
        self.settings = json_object(self.settings, "--settings") or {}

    def load(self) -> ClozeTask:
        """
        The task, as it is after all settings.

        Raises:
            `ValueError`: there is no such task or setting, or a value is not what its setting takes.
        """
        from .tasks import load_task  # takes seconds, which --help does not
        from .tasks.schema import check_settings

        names = ("pattern", "verbalizer", "candidates", "max_length")
        flags = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        check_settings(self.settings, "--settings")
        check_settings(flags, "the flags")
        if self.candidates and not any("{{" in one for one in self.candidates):
            if len(self.candidates) > 1:
                raise ValueError(
                    f"--candidates {self.candidates}: give one expression, choices, or templates with fields, "
                    "'{{ choice1 }}' '{{ choice2 }}'."
                )
            flags["candidates"] = self.candidates[0]
        return load_task(self.task, **self.settings | flags)


@dataclass
class ClozeDataArguments(DataArguments):
    """Which rows, and what their columns and labels are called."""

    columns: dict | str | None = field(
        default=None, metadata={"help": 'For a field of the task, the column that holds it: \'{"text": "query"}\'.'}
    )
    label_map: dict | str | None = field(
        default=None,
        metadata={
            "help": 'For a label of the data, that of the task, as JSON: \'{"pos": "1"}\'; null leaves its rows out.'
        },
    )
    train_rows: int | None = field(default=None, metadata={"help": "Train on this many rows, drawn with --seed."})
    evaluation_rows: int | None = field(
        default=None, metadata={"help": "Evaluate on this many rows, always the same ones."}
    )
    rows_per_label: int | None = field(default=None, metadata={"help": "Train on this many rows of each label."})

    def __post_init__(self):
        super().__post_init__()
        self.columns = json_object(self.columns, "--columns") or {}
        self.label_map = json_object(self.label_map, "--label_map") or {}
        if self.train_rows is not None and self.rows_per_label is not None:
            raise ValueError("--train_rows and --rows_per_label exclude each other.")
