# SPDX-License-Identifier: Apache-2.0
"""What can be set in a run on a ClozeTask: the model, the task, the data."""

from dataclasses import dataclass, field, replace
from typing import Literal

from transformers import TrainingArguments as HfTrainingArguments

from ..data.tables import TableSource
from ..runs.arguments import json_object
from ..runs.model_arguments import ModelArguments
from .task import ClozeTask
from .tasks import load_task


@dataclass
class FinetuningModelArguments(ModelArguments):
    """Which model, which head, and whether all of it is trained."""

    method: Literal["cloze", "classifier"] = field(
        default="cloze",
        metadata={
            "help": "cloze: candidates are scored in a blank. classifier: a head on [CLS], the paper's ablation."
        },
    )
    zero_shot: bool = field(default=False, metadata={"help": "Only score --eval_data, train nothing."})
    keep_model: bool = field(default=True, metadata={"help": "Whether the trained model is saved in output_dir."})
    use_peft: bool = field(default=False, metadata={"help": "Train LoRA adapters instead of the whole model."})
    lora_r: int = field(default=8, metadata={"help": "Rank of the adapters."})
    lora_alpha: int = field(default=16, metadata={"help": "Scale of the adapters, divided by their rank."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout in front of the adapters."})
    lora_target_modules: list[str] = field(
        default_factory=lambda: ["query_key_value"], metadata={"help": "Modules that get an adapter; or all-linear."}
    )


@dataclass
class TaskArguments:
    """Which task. Everything but its name takes the place of what the task says."""

    task: str = field(metadata={"help": "Name of a task in transformers_glm/cloze/tasks, or the path of a YAML file."})
    pattern: str | None = field(
        default=None, metadata={"help": "Number of one of the task's patterns, or a pattern: 'Is {text} [MASK]?'"}
    )
    verbalizer: dict | str | None = field(
        default=None, metadata={"help": 'Answer of each label, as JSON: \'{"0": " bad", "1": " good"}\'.'}
    )
    candidates: list[str] | None = field(
        default=None,
        metadata={"help": "Instead of a verbalizer: the field that holds each row's candidates, or patterns of them."},
    )
    answer: str | None = field(default=None, metadata={"help": "Pattern of an answer: ' {candidate}'."})
    labels_as_answers: bool = field(
        default=False, metadata={"help": "No verbalizer: each label's own name, underscores as spaces, is its answer."}
    )
    metrics: list[str] | None = field(
        default=None, metadata={"help": "Names of transformers_glm/metrics/registry.py."}
    )
    shorten: list[str] | None = field(default=None, metadata={"help": "Fields that may be cut in rows too long."})
    texts: list[str] | None = field(default=None, metadata={"help": "One or two patterns that the classifier reads."})
    single_token: bool | None = field(default=None, metadata={"help": "Refuse answers of several tokens."})
    label_field: str | None = field(default=None, metadata={"help": "Field of the label."})
    label_is: Literal["label", "text"] | None = field(
        default=None, metadata={"help": "Whether the label is a label or the text of the right candidate."}
    )
    id_field: str | None = field(default=None, metadata={"help": "Field that names a row in predictions.jsonl."})
    prepare: str | None = field(default=None, metadata={"help": "Function that makes the rows, as module:function."})
    max_length: int | None = field(default=None, metadata={"help": "Tokens of a text with its longest candidate."})
    loss: Literal["cross_entropy", "generative", "mix", "hinge"] | None = field(
        default=None, metadata={"help": "Loss over the candidates."}
    )
    with_eop: bool | None = field(default=None, metadata={"help": "Score the end of an answer too."})
    length_normalization: bool | None = field(default=None, metadata={"help": "Mean over tokens in place of the sum."})
    calibration: Literal["contextual", "pmi"] | None = field(
        default=None, metadata={"help": "Subtract what an answer is worth without the row."}
    )
    content_free: list[str] | None = field(default=None, metadata={"help": "Texts for contextual calibration."})
    domain: str | None = field(default=None, metadata={"help": "Pattern for pmi: the question without the row."})
    weights: dict | str | None = field(default=None, metadata={"help": "Weights of labels, as JSON."})

    def __post_init__(self):
        self.verbalizer = json_object(self.verbalizer, "--verbalizer")
        self.weights = json_object(self.weights, "--weights")

    def load(self) -> ClozeTask:
        """The task, as it is after all settings."""
        settings = {
            name: value for name, value in vars(self).items() if name not in ("task", "pattern", "labels_as_answers")
        }
        if settings["candidates"] is not None and not any("{" in one for one in settings["candidates"]):
            if len(settings["candidates"]) > 1:
                raise ValueError(f"--candidates {settings['candidates']}: give one field, or patterns with braces.")
            settings["candidates"] = settings["candidates"][0]
        task = load_task(self.task, self.pattern, **settings)
        return replace(task, verbalizer=None, candidates=None) if self.labels_as_answers else task


@dataclass
class TaskDataArguments:
    """Which rows."""

    train_data: str | None = field(
        default=None,
        metadata={"help": "Rows to train on: a json, jsonl, csv, tsv or parquet file, a folder, or a Hub dataset."},
    )
    eval_data: str | None = field(default=None, metadata={"help": "As train_data, for evaluation."})
    data_name: str | None = field(default=None, metadata={"help": "Configuration of a Hub dataset."})
    train_split: str = field(
        default="train", metadata={"help": "Split of a Hub dataset or a folder, or the json field that holds it."}
    )
    eval_split: str = field(default="validation", metadata={"help": "As train_split, for evaluation."})
    columns: dict | str | None = field(
        default=None, metadata={"help": 'For a field of the task, the column that holds it: \'{"text": "query"}\'.'}
    )
    label_map: dict | str | None = field(
        default=None,
        metadata={"help": 'For a label of the data, that of the task, as JSON: \'{"pos": "1"}\'; null: no such rows.'},
    )
    train_where: dict | str | None = field(
        default=None, metadata={"help": 'Only rows with these values, or lists of them: \'{"partition": "train"}\'.'}
    )
    eval_where: dict | str | None = field(default=None, metadata={"help": "As train_where, for evaluation."})
    train_labels: str | None = field(
        default=None, metadata={"help": "File with the label of each row, one a line, where the rows have none."}
    )
    eval_labels: str | None = field(default=None, metadata={"help": "As train_labels, for evaluation."})
    data_format: Literal["json", "csv", "tsv", "parquet"] | None = field(
        default=None, metadata={"help": "Format of the files; by default what their ending says."}
    )
    delimiter: str | None = field(default=None, metadata={"help": "What stands between columns ('tab', ',', ...)."})
    column_names: list[str] | None = field(
        default=None, metadata={"help": "Columns of a text table that has no header line."}
    )
    quoting: bool | None = field(
        default=None,
        metadata={"help": "Whether quotes enclose fields of a text table: by default in csv, not in tsv."},
    )
    json_field: str | None = field(default=None, metadata={"help": "Field of a json file that holds the rows."})
    encoding: str | None = field(default=None, metadata={"help": "Encoding of text, UTF-8 by default: latin-1, ..."})
    line_pattern: str | None = field(
        default=None,
        metadata={"help": "Regular expression of a line, its groups are the columns: '(?P<label>\\S+) (?P<text>.*)'."},
    )
    train_rows: int | None = field(default=None, metadata={"help": "Train on so many rows, drawn with --seed."})
    rows_per_label: int | None = field(default=None, metadata={"help": "Train on so many rows of each label."})
    eval_rows: int | None = field(default=None, metadata={"help": "Evaluate on so many rows, always the same ones."})

    def __post_init__(self):
        self.columns = json_object(self.columns, "--columns")
        self.label_map = json_object(self.label_map, "--label_map")
        self.train_where = json_object(self.train_where, "--train_where")
        self.eval_where = json_object(self.eval_where, "--eval_where")
        if self.train_rows is not None and self.rows_per_label is not None:
            raise ValueError("--train_rows and --rows_per_label exclude each other.")

    def source(self, path: str, split: str) -> TableSource:
        """Where the rows of a path are."""
        return TableSource(
            path,
            self.data_name,
            split,
            self.data_format,
            self.delimiter,
            self.column_names,
            self.quoting,
            self.json_field,
            self.encoding,
            self.line_pattern,
        )


@dataclass
class TrainingArguments(HfTrainingArguments):
    """The stock training arguments, without reports."""

    report_to: None | str | list[str] = field(
        default="none", metadata={"help": "Where losses are reported: tensorboard, all, none, ..."}
    )
