# SPDX-License-Identifier: Apache-2.0
"""What the tests of generation share: a model, prompts, padding, and the search by hand that every one is held against."""

import torch
from conftest import CLS, EOP, EOS, GMASK, MASK, PAD, SMASK, SOP, make_model
from drawn_rows import blanks_of, padded
from naive_glm import naive_logits, naive_row


MODELS = {name: make_model(attn_implementation=name) for name in ("eager", "sdpa")}
MODEL = MODELS["sdpa"]
NEVER = [MASK, SMASK, GMASK, SOP]
PART_AS = [[CLS, 11, MASK, 14, EOS], [CLS, 21, 22, SMASK, 24, 25, 26, EOS], [CLS, 31, GMASK]]


def prompts(part_as, side="left", extra=0):
    return {
        "input_ids": padded(part_as, side, extra, PAD),
        "attention_mask": padded([[1] * len(row) for row in part_as], side, extra),
    }


def with_sop(inputs):
    """The same prompts with sop after them, padding between where it stands on the right."""
    sop = torch.full_like(inputs["input_ids"][:, :1], SOP)
    return {
        "input_ids": torch.cat([inputs["input_ids"], sop], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], torch.ones_like(sop)], dim=1),
    }


def cut(sequences):
    """Lists of tokens up to the first end."""
    rows = []
    for row in sequences.tolist():
        ends = [index for index, token in enumerate(row) if token in (EOP, EOS)]
        rows.append(row[: ends[0] + 1] if ends else row)
    return rows


def naive_scores(part_a, span, model=MODEL):
    """Logits (1, V) of the token after `span`, by the naive twin, without what is never generated."""
    row = naive_row(part_a, [(blanks_of(part_a)[0], span)], SOP)
    scores = naive_logits(model.state_dict(), 4, *row)[-1].float()
    scores[NEVER] = -torch.inf
    return scores[None]


def naive_search(part_a, steps, process=lambda seen, scores: scores, shows_part_a=False, begun=()):
    """
    Greedy search by hand: one token, then all over again with it.

    `process` takes what it is shown of the row (1, length), sop and what follows or all of it, and scores (1, V). Returns
    `[sop, *begun, *new]`.
    """
    span = list(begun)
    for _ in range(steps):
        seen = torch.tensor([[*part_a, SOP, *span] if shows_part_a else [SOP, *span]])
        span.append(int(process(seen, naive_scores(part_a, span)).argmax()))
        if span[-1] in (EOP, EOS):
            break
    return [SOP, *span]
