# SPDX-License-Identifier: Apache-2.0
"""Blank infilling as the paper says it, slowly: the twin of objectives.py, placement.py, lay_out and the collator's padding."""

import math


def naive_batch(documents, ids, mask_ratio, mean, longest, rng):
    """Documents to one padded batch: lists of lists, by name."""
    examples = [
        naive_example(tokens, naive_spans(tokens, ids, mask_ratio, mean, longest, rng), ids["mask"], ids)
        for tokens in documents
    ]
    width = max(len(example["input_ids"]) for example in examples)
    fill = {"input_ids": ids["pad"], "labels": -100, "position_ids": 0, "block_position_ids": 0, "attention_mask": 0}
    batch = {name: [] for name in fill}
    for example in examples:
        example["attention_mask"] = [1] * len(example["input_ids"])
        for name, value in fill.items():
            row = []
            for i in range(width):
                row.append(example[name][i] if i < len(example[name]) else value)
            batch[name].append(row)
    return batch


def naive_spans(tokens, ids, mask_ratio, mean, longest, rng):
    """Token-level spans in random order: lengths, then places thrown until they fit."""
    lengths = []
    while sum(lengths) < max(1, int(mask_ratio * len(tokens))):
        lengths.append(naive_length(mean, longest, rng))
    rng.shuffle(lengths)
    while True:
        starts = sorted(rng.randrange(len(tokens)) for _ in lengths)
        spans = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        if naive_fits(spans, tokens, ids):
            rng.shuffle(spans)
            return spans


def naive_length(mean, longest, rng):
    """Poisson(mean) truncated to 1..longest, by throwing again."""
    while True:
        length, left = 0, rng.random() - math.exp(-mean)
        while left > 0 and length <= longest:
            length += 1
            left -= math.exp(-mean) * mean**length / math.factorial(length)
        if 1 <= length <= longest:
            return length


def naive_fits(spans, tokens, ids):
    """Whether no two spans touch and none holds [CLS], eos or the last token."""
    for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
        if start <= end:
            return False
    for start, end in spans:
        if end > len(tokens) - 1 or any(tokens[i] in (ids["cls"], ids["eos"]) for i in range(start, end)):
            return False
    return True


def naive_example(tokens, spans, mask, ids):
    """Part A, then the pieces in the order of `spans`, token by token."""
    example = {"input_ids": [], "labels": [], "position_ids": [], "block_position_ids": []}

    def add(token, label, position, block_position):
        for name, value in zip(example, (token, label, position, block_position), strict=True):
            example[name].append(value)

    mask_position, i = {}, 0
    while i < len(tokens):
        span = [span for span in spans if span[0] == i]
        position = len(example["input_ids"])
        if span:
            mask_position[span[0]] = position
            add(mask, -100, position, 0)
            i = span[0][1]
        else:
            add(tokens[i], -100, position, 0)
            i += 1
    for span in spans:
        piece = [ids["sop"], *tokens[slice(*span)], ids["eop"]]
        for j in range(len(piece) - 1):
            add(piece[j], piece[j + 1], mask_position[span], j + 1)
    return example
