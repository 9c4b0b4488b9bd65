# SPDX-License-Identifier: Apache-2.0
"""What can be set in a pretraining run beside the model: the text with its blanks, the training."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import TrainingArguments as HfTrainingArguments

from ..runs.arguments import json_object


@dataclass
class DataArguments:
    """Which text, and what is blanked in it."""

    train_data: list[str] = field(
        metadata={"help": "Files, folders or Hub datasets (txt, tokens, jsonl, json, parquet, csv), one or several."}
    )
    train_name: str | None = field(default=None, metadata={"help": "Configuration of a Hub dataset."})
    train_split: str = field(default="train", metadata={"help": "Split of a Hub dataset."})
    column: str = field(default="text", metadata={"help": "Column that holds the text."})
    document: Literal["file", "line", "paragraph"] = field(
        default="file", metadata={"help": "What one document of a text file is."}
    )
    streaming: bool = field(default=False, metadata={"help": "Read the text while training; needs --max_steps."})
    evaluation_data: str | None = field(default=None, metadata={"help": "As train_data, for evaluation."})
    evaluation_split: str = field(default="validation", metadata={"help": "Split of a Hub dataset for evaluation."})
    evaluation_documents: int = field(
        default=0,
        metadata={"help": "Without evaluation_data: documents of the training text held out for it."},
    )
    max_length: int | None = field(
        default=None, metadata={"help": "Tokens of a row. Defaults to the model's max_sequence_length."}
    )
    mixture: dict | str | None = field(
        default=None,
        metadata={"help": "Shares of token-, sentence- and document-level blanks as JSON. Defaults to token alone."},
    )
    mask_ratio: float = field(default=0.15, metadata={"help": "Share of a sample's tokens that is blanked."})
    mean_span_length: float = field(default=3.0, metadata={"help": "Mean length of token-level spans (Poisson)."})
    document_span: list[float] = field(
        default_factory=lambda: [0.5, 1.0],
        metadata={"help": "Document level: least and greatest share of the sample that is generated."},
    )
    packing: bool = field(default=False, metadata={"help": "Put several samples in a row that do not see each other."})
    workers: int | None = field(default=None, metadata={"help": "Processes that tokenize."})

    def __post_init__(self):
        self.mixture = json_object(self.mixture, "--mixture")


@dataclass
class TrainingArguments(HfTrainingArguments):
    """The stock training arguments, with the progress in TensorBoard, DDP that fits GLM, and Muon."""

    report_to: None | str | list[str] = field(
        default="tensorboard", metadata={"help": "Where losses are reported: tensorboard, all, none, ..."}
    )
    max_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Train as many steps as fit into this time, --max_steps at most: a step is measured first, and the "
            "schedule ends within the time."
        },
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "DDP looks for parameters without a gradient; a GLM has none."}
    )
    muon_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of Muon for the layers' matrices. Without it AdamW trains them as all others."
        },
    )
