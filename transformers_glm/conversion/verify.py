# SPDX-License-Identifier: Apache-2.0
"""Whether a converted checkpoint holds the weights of its source and computes what they say."""

from pathlib import Path

import torch
from torch.func import functional_call
from torch.nn import TransformerEncoderLayer
from torch.nn.functional import layer_norm, linear
from transformers.activations import ACT2FN

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification

from .formats import Checkpoint
from .names import target_name


# how far logits may be off, relative to the largest one: a plain forward in fp32 against the model in its own type
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}
# what the parts of PyTorch's layer are called in a checkpoint
LAYER = {
    "norm1.": "input_layernorm",
    "self_attn.in_proj_": "attention.query_key_value",
    "self_attn.out_proj.": "attention.dense",
    "norm2.": "post_attention_layernorm",
    "linear1.": "mlp.dense_h_to_4h",
    "linear2.": "mlp.dense_4h_to_h",
}
PART_A, PIECE = 8, 4  # tokens of the text that is computed; its blank is at position 3


def verify(checkpoint: Checkpoint, out: str | Path) -> str:
    """
    Load a converted checkpoint and compare it with its source.

    Args:
        checkpoint ([`~transformers_glm.conversion.formats.Checkpoint`]): the source, as [`convert`] returned it.
        out (`str` or `Path`): the converted folder.

    Returns:
        `str`: what was found, for a person.

    Raises:
        `ValueError`: a tensor or the logits differ.
    """
    config = GLMConfig.from_dict(dict(checkpoint.settings))
    ids = torch.arange(1, PART_A + PIECE + 1) * 7919 % config.vocab_size
    positions = torch.tensor([*range(PART_A), *[3] * PIECE])
    blocks = torch.tensor([*[0] * PART_A, *range(1, PIECE + 1)])
    with torch.no_grad():
        expected = plain_logits(checkpoint, config, ids, positions, blocks)  # before the model takes its memory
    has_head = config.architectures == ["GLMForSequenceClassification"]
    model = (GLMForSequenceClassification if has_head else GLMForConditionalGeneration).from_pretrained(out)
    state = model.eval().state_dict()
    for name, stored in checkpoint.tensors.items():
        target = target_name(name, stored.place)
        if not torch.equal(state[target], stored.read().to(state[target].dtype)):
            raise ValueError(f"{target} in {out} is not what {stored.place} holds.")
    call = {"input_ids": ids[None], "position_ids": positions[None], "block_position_ids": blocks[None]}
    with torch.no_grad():
        computed = linear(model.base_model(**call).last_hidden_state, state["glm.word_embeddings.weight"]).float()
    error = float((computed - expected).abs().max() / expected.abs().max())
    if not error <= TOLERANCE[model.dtype]:
        raise ValueError(
            f"The logits of {out} differ from those of its source by {error:.1e} of the largest one, more than "
            f"{TOLERANCE[model.dtype]:.0e}."
        )
    return f"{len(checkpoint.tensors)} tensors are the same, the logits within {error:.1e} of the largest one"


def plain_logits(checkpoint: Checkpoint, config: GLMConfig, ids, positions, blocks) -> torch.Tensor:
    """
    The logits (T, V) of one row from the source's tensors, in fp32, by PyTorch's own layer and without the model's code; one
    layer is in memory at a time. See the paper, section 2.

    Args:
        checkpoint ([`~transformers_glm.conversion.formats.Checkpoint`]): the source.
        config ([`GLMConfig`]): its configuration.
        ids, positions, blocks (`torch.LongTensor` of shape `(T,)`): the row and its two positions.
    """

    def get(name, rows=slice(None)):
        return checkpoint.tensors[name].read()[rows].float()

    hidden = get("word_embeddings.weight", ids) + get("transformer.position_embeddings.weight", positions)
    if config.block_position_encoding:
        hidden = hidden + get("transformer.block_position_embeddings.weight", blocks)
    place = torch.arange(len(ids))
    hidden_from = (place[None] > place[:, None]) & (blocks > 0)[None]
    with torch.device("meta"):  # without dropout it may stay in training mode, for which PyTorch has one path only
        sizes = (config.hidden_size, config.num_attention_heads, 4 * config.hidden_size)
        layer = TransformerEncoderLayer(
            *sizes, 0.0, ACT2FN[config.hidden_act], config.layernorm_epsilon, batch_first=True, norm_first=True
        )
    for number in range(config.num_layers):
        weights = {
            f"{theirs}{kind}": get(f"transformer.layers.{number}.{ours}.{kind}")
            for theirs, ours in LAYER.items()
            for kind in ("weight", "bias")
        }
        hidden = functional_call(layer, weights, (hidden[None], hidden_from))[0]
    norm = [get(f"transformer.final_layernorm.{part}") for part in ("weight", "bias")]
    hidden = layer_norm(hidden, hidden.shape[-1:], *norm, config.layernorm_epsilon)
    embeddings = checkpoint.tensors["word_embeddings.weight"].read()
    return torch.cat([linear(hidden, part.float()) for part in embeddings.split(4096)], dim=-1)
