# SPDX-License-Identifier: Apache-2.0
"""Tiny models with the same weights under each attention implementation, and the row of the paper's figure."""

import pytest
import torch
from conftest import CLS, EOP, EOS, MASK, SOP, make_model
from naive_glm import naive_row


HEADS = 4
IMPLEMENTATIONS = ("eager", "sdpa")
MODELS = {name: make_model(attn_implementation=name) for name in (*IMPLEMENTATIONS, "flex_attention")}
WEIGHTS = MODELS["eager"].state_dict()
FIGURE_2 = naive_row([CLS, 11, MASK, 14, MASK, EOS], [(4, [15, 16]), (2, [13])], SOP)
LABELS = [-100] * 6 + [15, 16, EOP, 13, EOP]

each_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def same(actual, expected, tolerance=2e-5):
    torch.testing.assert_close(actual.double(), expected.double(), rtol=tolerance, atol=tolerance)
