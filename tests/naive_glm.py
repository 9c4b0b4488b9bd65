# SPDX-License-Identifier: Apache-2.0
"""
GLM from the paper (Du et al., ACL 2022, section 2), slowly: loops, one row, no padding, no cache.

Nothing of the package is imported. The weights come as a dictionary of tensors under the released names.
"""

import math

import torch


def naive_row(part_a, pieces, sop):
    """
    Part A, then one piece at a time.

    `pieces` holds pairs of the blank's index in Part A and its span. Returns three lists: the tokens, "position 1" (where the
    token or its blank stands in the corrupted text) and "position 2" (0 in Part A, 1, 2, ... within a piece).
    """
    tokens, position_1, position_2 = [], [], []
    for index, token in enumerate(part_a):
        tokens.append(token)
        position_1.append(index)
        position_2.append(0)
    for blank, span in pieces:
        for within, token in enumerate([sop, *span], start=1):
            tokens.append(token)
            position_1.append(blank)
            position_2.append(within)
    return tokens, position_1, position_2


def naive_mask(position_2, documents=None):
    """Which key each query sees, as rows of booleans: "Part A tokens attend to each other, but not to Part B"."""
    seen = []
    for query in range(len(position_2)):
        row = []
        for key in range(len(position_2)):
            if documents is not None and documents[query] != documents[key]:
                row.append(False)  # another document of a packed row
            elif position_2[key] == 0:
                row.append(True)  # both parts see all of Part A
            elif position_2[query] == 0:
                row.append(False)  # Part A sees nothing of Part B
            else:
                row.append(key <= query)  # Part B sees its own past
        seen.append(row)
    return seen


def naive_norm(x, weights, name):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * weights[name + ".weight"] + weights[name + ".bias"]


def naive_linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def naive_attention(x, seen, weights, name, heads, prefix=None):
    size = x.shape[-1] // heads
    query, key, value = naive_linear(x, weights, name + ".query_key_value").split(x.shape[-1], dim=-1)
    if prefix is not None:  # further keys and values, which every token sees
        key, value = (torch.cat([first.double(), own]) for first, own in zip(prefix, (key, value), strict=True))
        seen = [[True] * len(prefix[0]) + row for row in seen]
    outputs = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[:, part] @ key[:, part].T / math.sqrt(size)
        scores[~torch.tensor(seen)] = -math.inf
        outputs.append(scores.softmax(-1) @ value[:, part])
    return naive_linear(torch.cat(outputs, dim=-1), weights, name + ".dense")


def naive_gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def naive_gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def naive_logits(
    weights, heads, tokens, position_1, position_2, documents=None, seen=None, gelu=naive_gelu, prefix=None
):
    """
    Logits (T, V) of one row, in double precision.

    `seen` is another mask than the paper's; `prefix` holds a pair of keys and values for each layer.
    """
    weights = {name.removeprefix("glm."): tensor.double() for name, tensor in weights.items()}
    x = weights["word_embeddings.weight"][tokens]
    x = x + weights["transformer.position_embeddings.weight"][position_1]
    x = x + weights["transformer.block_position_embeddings.weight"][position_2]
    seen = naive_mask(position_2, documents) if seen is None else seen
    layer = 0
    while (name := f"transformer.layers.{layer}") + ".mlp.dense_h_to_4h.weight" in weights:
        normed = naive_norm(x, weights, name + ".input_layernorm")
        of_layer = None if prefix is None else prefix[layer]
        x = x + naive_attention(normed, seen, weights, name + ".attention", heads, of_layer)
        normed = naive_norm(x, weights, name + ".post_attention_layernorm")
        inner = gelu(naive_linear(normed, weights, name + ".mlp.dense_h_to_4h"))
        x = x + naive_linear(inner, weights, name + ".mlp.dense_4h_to_h")
        layer += 1
    return naive_norm(x, weights, "transformer.final_layernorm") @ weights["word_embeddings.weight"].T


@torch.no_grad()
def naive_fill(weights, heads, part_a, pieces, blank, *, sop, ends, never, steps):
    """Write the span of `blank` greedily, after the given `pieces`: one token, then all over again with it."""
    span = []
    for _ in range(steps):
        logits = naive_logits(weights, heads, *naive_row(part_a, [*pieces, (blank, span)], sop))[-1]
        for token in never:
            logits[token] = -math.inf
        span.append(int(logits.argmax()))
        if span[-1] in ends:
            break
    return span
