# SPDX-License-Identifier: Apache-2.0
"""What the tensors of GLM checkpoints are called, which shapes they have and how model-parallel ranks share them."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from configuration_glm import GLMConfig

from .files import Stored


WHOLE, ROWS, COLUMNS, THIRDS = "whole", "rows", "columns", "thirds"
BLOCK_POSITIONS = "transformer.block_position_embeddings.weight"


class Entry(NamedTuple):
    """
    A tensor of the original.

    Args:
        shape (`str`): its shape: V vocabulary, H width, P rows of the position tables, C classes.
        shared (`str`): how model-parallel ranks share it: each has the whole, or rows, or columns; `thirds`: each has rows
            of the query, of the key and of the value, one below the other.
        target (`str`): its name here; `{}` is the number of the layer.
    """

    shape: str
    shared: str
    target: str


def _module(name: str, target: str, shape: str, shared: str, bias_shared: str) -> dict[str, Entry]:
    """The entries of a weight and of its bias, which has the weight's first size."""
    return {
        f"{name}.weight": Entry(shape, shared, f"{target}.weight"),
        f"{name}.bias": Entry(shape.split()[0], bias_shared, f"{target}.bias"),
    }


TABLE = {
    name: Entry(shape, shared, f"glm.{name}")
    for name, shape, shared in (
        ("word_embeddings.weight", "V H", ROWS),
        ("transformer.position_embeddings.weight", "P H", WHOLE),
        (BLOCK_POSITIONS, "P H", WHOLE),
    )
}
for _name, *_rest in (
    ("layers.{}.input_layernorm", "H", WHOLE, WHOLE),
    ("layers.{}.attention.query_key_value", "3H H", THIRDS, THIRDS),
    ("layers.{}.attention.dense", "H H", COLUMNS, WHOLE),
    ("layers.{}.post_attention_layernorm", "H", WHOLE, WHOLE),
    ("layers.{}.mlp.dense_h_to_4h", "4H H", ROWS, ROWS),
    ("layers.{}.mlp.dense_4h_to_h", "H 4H", COLUMNS, WHOLE),
    ("final_layernorm", "H", WHOLE, WHOLE),
):
    TABLE |= _module(f"transformer.{_name}", f"glm.transformer.{_name}", *_rest)
# heads of sequence classification: the old Hub code's names, the original's, and ours
HEADS = [
    _module(dense, "classifier.dense", "H H", WHOLE, WHOLE) | _module(out, "classifier.out_proj", "C H", WHOLE, WHOLE)
    for dense, out in (
        ("dense", "out_proj"),
        ("pool_layer", "multichoice_head"),
        ("classifier.dense", "classifier.out_proj"),
    )
]
RELATIVE = "relative positions (--transformer-xl), which no released model has"
# known, and refused with their reason
REFUSED = {
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
    return RELEASED.get((settings["vocab_size"], settings["num_layers"], settings["hidden_size"]))


def by_base_name(tensors: Mapping[str, Stored]) -> dict[str, Stored]:
    """Tensors without the prefix that the old Hub code's heads or the original's classifier put before their names."""
    renamed: dict[str, Stored] = {}
    for name, stored in tensors.items():
        first = renamed.setdefault(re.sub(r"^(glm|model)\.", "", name), stored)
        if first is not stored:
            raise ValueError(f"{stored.place} and {first.place} are the same tensor of the model.")
    return renamed


def entry_of(name: str, place: str) -> Entry:
    """The entry of a tensor by its name in the base model; `ValueError` where there is none."""
    template = re.sub(r"(?<=layers\.)\d+", "{}", name)
    for table in (TABLE, *HEADS):
        if template in table:
            return table[template]
    for part in name.split("."):
        if part in REFUSED:
            raise ValueError(f"{place}: {REFUSED[part]}.")
    raise ValueError(
        f"{place}: no tensor of GLM has this name. The checkpoint is of another model or of another version."
    )


def target_name(name: str, place: str) -> str:
    """What a tensor of an old checkpoint is called here."""
    return entry_of(name, place).target.format(*re.findall(r"layers\.(\d+)\.", name))


def shape_of(name: str, config: GLMConfig) -> tuple[int, ...]:
    """The shape that a tensor must have."""
    width = config.hidden_size
    sizes = {
        "V": config.vocab_size,
        "H": width,
        "3H": 3 * width,
        "4H": 4 * width,
        "P": config.max_sequence_length + config.block_position_encoding,  # one row more, as released
        "C": config.num_labels,
    }
    return tuple(sizes[letter] for letter in entry_of(name, name).shape.split())


def expected_names(config: GLMConfig, present: Mapping[str, Stored]) -> list[str]:
    """The names that a checkpoint must have: all of the table, and all of a head of which it has one."""
    names = [
        name.format(layer)
        for name in TABLE
        for layer in (range(config.num_layers) if "{}" in name else range(1))
        if config.block_position_encoding or name != BLOCK_POSITIONS
    ]
    for head in HEADS:
        if not present.keys().isdisjoint(head):
            names += head
    return names


def check_complete(tensors: Mapping[str, Stored], config: GLMConfig, source: str) -> None:
    """Refuse a checkpoint that lacks a tensor, has one too many or one of the wrong shape; each is named."""
    expected = expected_names(config, tensors)
    missing = [name for name in expected if name not in tensors]
    if missing:
        raise ValueError(f"{source} lacks {len(missing)} of {len(expected)} tensors, among them {missing[0]}.")
    for name, stored in tensors.items():
        if name not in expected:
            entry_of(name, stored.place)
            raise ValueError(
                f"{stored.place}: a model of {config.num_layers} layers has no such tensor. config.json does not belong to "
                "these weights."
            )
        wanted = shape_of(name, config)
        if stored.shape != wanted:
            raise ValueError(
                f"{stored.place} has shape {stored.shape}, a model of this configuration has {wanted}: a part of the "
                "checkpoint is missing, or config.json or another shard does not belong to it."
            )
