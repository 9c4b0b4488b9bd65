# SPDX-License-Identifier: Apache-2.0
"""The settings of a run's model and tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..files import refuse_missing
from .arguments import json_object


@dataclass
class ModelArguments:
    """Which model and which tokenizer."""

    _argument_group_name = "model"

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
        refuse_missing(self.model, "--model")
        refuse_missing(self.tokenizer, "--tokenizer")


@dataclass
class FinetuningArguments(ModelArguments):
    """Which model, how much of it is trained, and how long."""

    lora_r: int = field(
        default=0,
        metadata={
            "help": "Train LoRA adapters of this rank on query_key_value (alpha is twice the rank), not the whole model."
        },
    )
    max_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Train as many steps as fit into this time: a step is measured first, and the schedule made for them."
        },
    )


def check_config(config: Mapping[str, Any]) -> None:
    """
    Refuse settings that a GLMConfig does not have: it would keep them, and they would do nothing.

    Raises:
        `ValueError`: names each, and the setting whose name is the closest.
    """
    if not config:
        return
    from configuration_glm import GLMConfig  # takes seconds, which --help does not

    known = {*GLMConfig.__dataclass_fields__, *GLMConfig.attribute_map}
    unknown = sorted(set(config) - known)
    if not unknown:
        return
    own = [name for name in GLMConfig.__annotations__ if not name.startswith("base_model_")]  # no plans
    of_glm = [*own, *GLMConfig.attribute_map]
    close = [match for name in unknown for match in get_close_matches(name, of_glm, n=1)]
    hint = f"Did you mean {' or '.join(close)}?" if close else f"It has {', '.join(of_glm)}."
    raise ValueError(f"--config names {', '.join(unknown)}, which GLMConfig does not have. {hint}")
