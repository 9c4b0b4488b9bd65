# SPDX-License-Identifier: Apache-2.0
"""What the tensors of GLM checkpoints are called, and how model-parallel ranks share them."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification

from .files import Stored


WHOLE, ROWS, COLUMNS, THIRDS = "whole", "rows", "columns", "thirds"
# The base model's tensors by their names here, which were the same without `glm.`; {} is the number of the layer. Of each a
# model-parallel rank has the whole, or rows, or columns; `thirds`: rows of query, key and value, one below the other.
SHARED = {
    "glm.word_embeddings.weight": ROWS,
    "glm.transformer.position_embeddings.weight": WHOLE,
    "glm.transformer.block_position_embeddings.weight": WHOLE,
    "glm.transformer.layers.{}.input_layernorm.weight": WHOLE,
    "glm.transformer.layers.{}.input_layernorm.bias": WHOLE,
    "glm.transformer.layers.{}.attention.query_key_value.weight": THIRDS,
    "glm.transformer.layers.{}.attention.query_key_value.bias": THIRDS,
    "glm.transformer.layers.{}.attention.dense.weight": COLUMNS,
    "glm.transformer.layers.{}.attention.dense.bias": WHOLE,
    "glm.transformer.layers.{}.post_attention_layernorm.weight": WHOLE,
    "glm.transformer.layers.{}.post_attention_layernorm.bias": WHOLE,
    "glm.transformer.layers.{}.mlp.dense_h_to_4h.weight": ROWS,
    "glm.transformer.layers.{}.mlp.dense_h_to_4h.bias": ROWS,
    "glm.transformer.layers.{}.mlp.dense_4h_to_h.weight": COLUMNS,
    "glm.transformer.layers.{}.mlp.dense_4h_to_h.bias": WHOLE,
    "glm.transformer.final_layernorm.weight": WHOLE,
    "glm.transformer.final_layernorm.bias": WHOLE,
}
# the modules of the head of sequence classification, in the old Hub code and in the original, by their names here
HEAD = {
    "classifier.dense": ("dense", "pool_layer"),
    "classifier.out_proj": ("out_proj", "multichoice_head"),
}
RELATIVE = "relative positions (--transformer-xl), which no released model has"
# known, and refused with their reason
REFUSED = {
    "lm_head": "an output head that is not tied to the embeddings, which the old code does not have",
    "prompt_spell": "a P-tuning prompt, which needs the prompt's code: convert the model without it and train one with PEFT",
    "relative": RELATIVE,
    "r_w_bias": RELATIVE,
    "r_r_bias": RELATIVE,
}

# vocabulary, layers, width of the released models; their heads are 64 wide
RELEASED = {
    (30592, 12, 768): "GLM-Base",
    (30592, 24, 1024): "GLM-Large or GLM-Doc",
    (30592, 30, 1024): "GLM-410M",
    (30592, 30, 1152): "GLM-515M",
    (50304, 24, 1024): "GLM-RoBERTa",
    (50048, 24, 1024): "GLM-Large-Chinese",
    (50304, 36, 2048): "GLM-2B",
    (50304, 48, 4096): "GLM-10B",
    (50048, 48, 4096): "GLM-10B-Chinese",
}
RELEASED_HEAD_SIZE = 64


def released_name(settings: Mapping[str, Any]) -> str | None:
    """The released model that has these sizes, if there is one."""
    sizes = tuple(settings.get(name) for name in ("vocab_size", "num_layers", "hidden_size"))
    return RELEASED.get(sizes) if all(isinstance(size, int) for size in sizes) else None


def shared_by(name: str) -> str | None:
    """How ranks share a tensor, by its name here; None if the base model has none of that name."""
    return SHARED.get(re.sub(r"(?<=layers\.)(?:0|[1-9][0-9]{0,4})(?=\.)", "{}", name))


def target_name(name: str, place: str) -> str:
    """
    What a tensor of an old checkpoint is called here.

    Args:
        name (`str`): its name there, with or without the prefix that a head, or the original's classifier, put before it.
        place (`str`): where it stands, for the error.

    Raises:
        `ValueError`: GLM has no tensor of this name.
    """
    name = re.sub(r"^(glm|model)\.", "", name)
    if shared_by(f"glm.{name}"):
        return f"glm.{name}"
    module, _, kind = name.rpartition(".")
    for target, old_modules in HEAD.items():
        if module in (target, *old_modules) and kind in ("weight", "bias"):
            return f"{target}.{kind}"
    for part in name.split("."):
        if part in REFUSED:
            raise ValueError(f"{place}: {REFUSED[part]}.")
    raise ValueError(
        f"{place}: no tensor of GLM has this name. The checkpoint is of another model or of another version."
    )


def by_target_name(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """A file's tensors by their names here; one that GLM does not have, or that is there twice, is refused."""
    renamed: dict[str, Stored] = {}
    for name, stored in tensors.items():
        first = renamed.setdefault(target_name(name, stored.place), stored)
        if first is not stored:
            raise ValueError(f"{stored.place} and {first.place} are the same tensor of the model.")
    return renamed


def model_class(config: GLMConfig) -> type[PreTrainedModel]:
    """The class of a converted checkpoint."""
    is_classifier = config.architectures == ["GLMForSequenceClassification"]
    return GLMForSequenceClassification if is_classifier else GLMForConditionalGeneration


def check_complete(tensors: Mapping[str, Stored], config: GLMConfig, source: str) -> None:
    """Refuse a checkpoint that lacks a tensor, has one too many or one of the wrong shape; each is named."""
    # before a model of that many layers is built to compare the two
    layers = {name.split(".")[3] for name in tensors if name.startswith("glm.transformer.layers.")}
    if config.num_layers > len(layers):
        raise ValueError(
            f"{source}: num_layers={config.num_layers}, and the weights hold {len(layers)} layers: a part of them is missing, or "
            "config.json is of another model. Download or copy the checkpoint again, whole."
        )
    with torch.device("meta"):
        model = model_class(config)(config)
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in model.all_tied_weights_keys}
    missing = [name.removeprefix("glm.") for name in state if name not in tensors]
    if missing:
        raise ValueError(f"{source} lacks {len(missing)} of {len(state)} tensors, among them {missing[0]}.")
    for name, stored in tensors.items():
        if name not in state:
            raise ValueError(
                f"{stored.place}: a model of {config.num_layers} layers has no such tensor. config.json does not belong to "
                "these weights."
            )
        if stored.shape != state[name].shape:
            raise ValueError(
                f"{stored.place} has shape {stored.shape}, a model of this configuration has {tuple(state[name].shape)}: a "
                "part of the checkpoint is missing, or config.json or another shard does not belong to it."
            )
