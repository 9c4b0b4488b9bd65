# SPDX-License-Identifier: Apache-2.0
"""What can be set in a pretraining run: the model, the text with its blanks, the training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from transformers import TrainingArguments as HfTrainingArguments

from configuration_glm import GLMConfig

from .arguments import json_object


@dataclass
class ModelArguments:
    """Which model and which tokenizer."""

    model: str | None = field(
        default=None, metadata={"help": "Checkpoint to continue from. Without it a new model is made from --config."}
    )
    config: dict | str | None = field(
        default=None,
        metadata={"help": "Settings of a new model's GLMConfig, as JSON: '{\"num_layers\": 12}'."},
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Tokenizer to use. Without it (and --model) one is trained on the text."}
    )
    vocab_size: int = field(default=30000, metadata={"help": "Tokens of a tokenizer that is trained here."})

    def __post_init__(self):
        self.config = json_object(self.config, "--config") or {}
        check_config(self.config)


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


def check_config(config: Mapping[str, Any]) -> None:
    """
    Refuse settings that a GLMConfig does not have, which would else be kept and do nothing.

    Raises:
        `ValueError`: names each, and the setting whose name is the closest.
    """
    known = {*GLMConfig.__dataclass_fields__, *GLMConfig.attribute_map}
    unknown = sorted(set(config) - known)
    if not unknown:
        return
    own = [name for name in GLMConfig.__annotations__ if not name.startswith("base_model_")]  # no plans
    of_glm = [*own, *GLMConfig.attribute_map]
    close = [match for name in unknown for match in get_close_matches(name, of_glm, n=1)]
    hint = f"Did you mean {' or '.join(close)}?" if close else f"It has {', '.join(of_glm)}."
    raise ValueError(f"--config names {', '.join(unknown)}, which GLMConfig does not have. {hint}")
