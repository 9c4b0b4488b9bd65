# SPDX-License-Identifier: Apache-2.0
"""What a pretraining run costs, calculated: floating point operations, and bytes on each card."""

from dataclasses import dataclass

import torch

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration

from .arguments import PretrainingArguments


SENTENCE = 25  # tokens, an assumption


@dataclass(frozen=True)
class Batch:
    """
    Blanked rows as the model sees them, on average.

    Args:
        rows (`float`): how many.
        tokens (`float`): tokens of each, Part A and Part B.
        labelled (`float`): positions of each that are predicted.
    """

    rows: float
    tokens: float
    labelled: float


def blanked(data_args: PretrainingArguments, config: GLMConfig, rows: int) -> Batch:
    """
    The expected batch of `rows` rows that are full of text, `T` tokens each.

    | level | tokens | labelled |
    |---|---|---|
    | token | `T + 2 blanks`: a mask token and a sop each | the blanked tokens and an eop each |
    | sentence | the same; a blank is a sentence of 25 tokens | the same, and half a sentence too much |
    | document | `T + 2` | the mean of `document_span` of the row |
    """
    length = data_args.max_length or config.max_sequence_length
    covered = data_args.mask_ratio * length
    blanks, sentences = covered / data_args.mean_span_length, covered / SENTENCE + 0.5
    document = sum(data_args.document_span) / 2 * length
    levels = {
        "token": (length + 2 * blanks, covered + blanks),
        "sentence": (length + 2 * sentences, SENTENCE * sentences + sentences),
        "document": (length + 2, document),
    }
    shares = data_args.mixture or {"token": 1.0}
    tokens, labelled = (sum(share * levels[level][part] for level, share in shares.items()) for part in (0, 1))
    return Batch(rows, tokens, labelled)


def count_parameters(config: GLMConfig) -> int:
    """The number of parameters, counted by the model itself, which is built without allocating memory."""
    with torch.device("meta"):
        return GLMForConditionalGeneration(config).num_parameters()


def training_flops(config: GLMConfig, batch: Batch, checkpointing: bool = False) -> float:
    """
    Operations of one forward and backward pass: `3 rows (layers (24 h² t + 4 h t²) + 2 h V labelled)`.

    The 24 h² are two for each weight of a layer's matrices (12 h²), the 4 h t² scores and sums over all `t` tokens of a row
    (the mask saves nothing in sdpa); the backward pass costs twice the forward. With checkpointing the layers run forward
    once more, except for their last projection, `8 h² t`. Without attention and head this is the rule of thumb 6 N a token.
    """
    width, tokens = config.hidden_size, batch.tokens
    layer = 24 * width**2 * tokens + 4 * width * tokens**2
    again = layer - 8 * width**2 * tokens if checkpointing else 0
    head = 2 * width * config.vocab_size * batch.labelled
    return batch.rows * (config.num_layers * (3 * layer + again) + 3 * head)


def state_bytes(
    config: GLMConfig, parameters: int, cards: int = 1, *, sharded: bool = False, bf16: bool = True
) -> float:
    """
    Bytes of weights (4 a parameter), gradients (4) and AdamW's two averages (8) on a card.

    | | bytes |
    |---|---|
    | one card | `16 N` |
    | DDP | `20 N`: the gradients once more, in the buckets that are exchanged |
    | sharded, by FSDP2 | `16 N / cards`, and in 2 or 4 bytes a parameter what is gathered: two layers, and all outside the layers |

    Except where it is sharded, autocast to bfloat16 adds a copy of the layers' matrices, `24 h²` a layer.
    """
    matrices = 12 * config.hidden_size**2
    if sharded and cards > 1:
        return 16 * parameters / cards + (2 if bf16 else 4) * (parameters - (config.num_layers - 2) * matrices)
    copies = 2 * matrices * config.num_layers if bf16 else 0
    return copies + (16 if cards == 1 else 20) * parameters


def activation_bytes(
    config: GLMConfig, batch: Batch, *, bf16: bool = True, checkpointing: bool = False, mask_bytes: int = 1
) -> float:
    """
    Bytes that the forward pass of `batch` keeps for the backward pass, under autocast to bfloat16 or in fp32.

    Of each token a layer keeps, with elements of `e` bytes (2 or 4): the inputs of both norms and their statistics,
    `8 h + 16`, always in fp32; the inputs of the four projections, q, k and v, the input of the activation, `14 h e`; a log-sum
    for each head, 4; two dropout masks, `2 h mask_bytes` (1 on a GPU). With checkpointing only its input, `4 h`, and all that
    for one layer at a time. All layers share the attention mask, `t e` a token. The head keeps `h e + 4 V` a labelled position.
    """
    width, element = config.hidden_size, 2 if bf16 else 4
    tokens = batch.rows * batch.tokens
    dropout = 2 * width * mask_bytes * (config.output_dropout_prob > 0)
    kept = 8 * width + 16 + 14 * width * element + 4 * config.num_attention_heads + dropout
    layers = kept + config.num_layers * 4 * width if checkpointing else config.num_layers * kept
    final_norm, mask = 4 * width + 8, batch.tokens * element
    head = batch.rows * batch.labelled * (width * element + 4 * config.vocab_size)
    return tokens * (layers + mask + final_norm) + head
