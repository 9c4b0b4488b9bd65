# SPDX-License-Identifier: Apache-2.0
"""What can be set in a pretraining run beside the model and the stock training arguments: the text, its blanks, the time."""

from dataclasses import dataclass, field
from typing import Literal

from ..runs.arguments import json_object
from ..runs.data_arguments import DataArguments


@dataclass
class PretrainingArguments(DataArguments):
    """Which text, what is blanked in it, and how long the model is trained."""

    _argument_group_name = "text, blanks and time"

    columns: dict | str | None = field(
        default=None,
        metadata={"help": 'Column that holds the text where it is not "text", as JSON: \'{"text": "body"}\'.'},
    )
    document: Literal["file", "line", "paragraph"] = field(
        default="file", metadata={"help": "What one document of a text file is."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read the text while training; needs --max_steps or --max_seconds."}
    )
    evaluation_documents: int = field(
        default=0,
        metadata={"help": "Without --evaluation_data: documents of the training text held out for it."},
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
    max_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Train as many steps as fit into this time, --max_steps at most: a step is measured first, and the "
            "schedule ends within the time."
        },
    )
    muon_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of Muon for the layers' matrices. Without it AdamW trains them as all others."
        },
    )

    def __post_init__(self):
        super().__post_init__()
        self.mixture = json_object(self.mixture, "--mixture")
        self.columns = json_object(self.columns, "--columns") or {}
