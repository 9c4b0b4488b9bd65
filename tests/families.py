# SPDX-License-Identifier: Apache-2.0
"""The four families of released vocabularies, where they lie, and what their tests share."""

from contextlib import contextmanager
from pathlib import Path

from tokenization_glm import GLMBertTokenizer, GLMChineseTokenizer, GLMGPT2Tokenizer, GLMRobertaTokenizer


SHARED = Path(__file__).parents[2] / "shared"
FAMILIES = ("gpt2", "roberta", "bert", "chinese")
CLASSES = {
    "gpt2": GLMGPT2Tokenizer,
    "roberta": GLMRobertaTokenizer,
    "bert": GLMBertTokenizer,
    "chinese": GLMChineseTokenizer,
}
CORPUS = [
    "Ada wrote a program, and the machine that was to run it was never built.",
    "Grace found a moth in the relay and taped it into the log book.",
    "机器能思考吗？图灵提出了这个问题。",
]


@contextmanager
def truncating(tokenizer, side):
    """Set a tokenizer's truncation side for a while."""
    tokenizer.truncation_side, before = side, tokenizer.truncation_side
    try:
        yield
    finally:
        tokenizer.truncation_side = before
