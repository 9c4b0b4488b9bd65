# SPDX-License-Identifier: Apache-2.0
"""The configuration of a converted checkpoint, how it generates, and its model card."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.activations import ACT2FN

from configuration_glm import GLMConfig

from ..hub.model_card import PAPER, About, make_card, sizes, usage
from .formats import HUB, Checkpoint
from .names import RELEASED_HEAD_SIZE, released_name
from .old_configs import KEPT_FIELDS
from .trusted import checked_config


def make_config(
    checkpoint: Checkpoint, *, hidden_act: str | None = None, num_attention_heads: int | None = None
) -> GLMConfig:
    """The configuration of a converted checkpoint, except for its special tokens; see `convert`."""
    fields = {name: checkpoint.settings[name] for name in KEPT_FIELDS if name in checkpoint.settings}
    place = str(checkpoint.folder / "config.json" if checkpoint.form == HUB else checkpoint.folder)
    fields["hidden_act"] = hidden_act or fields.get("hidden_act", "gelu")
    if not isinstance(fields["hidden_act"], str) or fields["hidden_act"] not in ACT2FN:
        raise ValueError(
            f"{'' if hidden_act else place + ': '}hidden_act={fields['hidden_act']!r} is none of {', '.join(ACT2FN)}. Give one of them."
        )
    fields["num_attention_heads"] = _number_of_heads(checkpoint.settings, num_attention_heads, place)
    has_head = any(name.startswith("classifier.") for name in checkpoint.tensors)
    dtype = reduce(torch.promote_types, {stored.dtype for stored in checkpoint.tensors.values()})
    architecture = "GLMForSequenceClassification" if has_head else "GLMForConditionalGeneration"
    return checked_config(
        {**fields, "architectures": [architecture], "dtype": str(dtype).removeprefix("torch.")}, place
    )


def _number_of_heads(settings: Mapping[str, Any], given: int | None, place: str) -> int:
    """Heads leave no trace in the tensors."""
    told = settings.get("num_attention_heads")
    if told is None and released_name(settings):
        told = settings["hidden_size"] // RELEASED_HEAD_SIZE
    if given is None and told is None:
        raise ValueError(
            f"The checkpoint does not say how many attention heads its {settings['num_layers']} layers of width "
            f"{settings.get('hidden_size')} have, and no released model has this shape. Give --num-attention-heads."
        )
    if told is not None and type(told) is not int:
        raise ValueError(
            f"{place}: num_attention_heads={told!r} in the checkpoint, and it must be a whole number. Correct config.json or args."
        )
    if told is not None and given not in (None, told):
        raise ValueError(f"The checkpoint has {told} attention heads, you gave {given}. Leave it out.")
    return told or given


def make_generation_config(config: GLMConfig) -> GenerationConfig:
    """
    How the model generates: it stops at eop, which ends a piece, and at the end of a text, and writes neither mask tokens
    nor sop. The original ended texts with the padding token, which in BERT's vocabulary is not eos.
    """
    stops = [*config.eos_token_id, config.pad_token_id]
    return GenerationConfig(
        eos_token_id=sorted(set(stops), key=stops.index),
        pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        suppress_tokens=sorted([*config.mask_token_ids, config.decoder_start_token_id]),
    )


ACTIVATIONS = {
    "gelu": "The activation is the exact GELU, which the old Hub code computed. The weights were trained with the tanh "
    'approximation: `hidden_act="gelu_pytorch_tanh"` computes what the original code did.',
    "gelu_pytorch_tanh": "The activation is the tanh approximation of GELU, with which the weights were trained. The old Hub "
    'code computed the exact one: `hidden_act="gelu"`.',
}


def card_of_converted(name: str, checkpoint: Checkpoint, config: GLMConfig) -> str:
    """The README.md of a converted checkpoint."""
    [architecture] = config.architectures
    card = make_card(
        About(name),
        architecture,
        f"A {PAPER}, converted from {checkpoint.form}. {sizes(config)}",
        usage(name, architecture),
        ACTIVATIONS.get(config.hidden_act, f"The activation is `{config.hidden_act}`."),
        untold="The licence and the training data are those of the original model.",
    )
    return str(card)
