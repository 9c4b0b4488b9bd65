# SPDX-License-Identifier: Apache-2.0
"""
The common tokenizer tests of Transformers over our classes; tests/test_common_suites.py runs it.

Our tokenizers cut texts on the left, the suite expects a cut on the right, so that is what the folders here ask for.
"""

import json
import tempfile
import unittest
from pathlib import Path

from conftest import TEXTS
from tests.test_tokenization_common import TokenizerTesterMixin as CommonTests
from tests.test_tokenizers_backend_mixin import TokenizersBackendTesterMixin as BackendTests

import transformers_glm  # noqa: F401 (registers)
from tokenization_glm import GLMBertTokenizer, GLMGPT2Tokenizer, GLMTokenizer


ADDED = [
    "<|endoftext|>",
    "<|startofpiece|>",
    "<|endofpiece|>",
    "[CLS]",
    "[MASK]",
    "[SEP]",
    "[UNK]",
    "[gMASK]",
    "[sMASK]",
]
# words of the suite's own texts, so that a small vocabulary cuts them into pieces of usual lengths
SUITE_TEXTS = [
    *TEXTS,
    "This is a test, this is the first sentence and another one. Hello how are you doing?",
    "I was born in 92000, and this is false. The following string should be properly encoded.",
    "生活的真谛是 Along with an awesome pair of inspiration, wonderful words that no example has",
]


def written(folder, name, content):
    (Path(folder) / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def glm(folder):
    """Our own format: tokenizer.json."""
    GLMTokenizer.train(SUITE_TEXTS * 20, vocab_size=800, truncation_side="right").save_pretrained(folder)


def gpt2(folder):
    """The released files for English: vocab.json, merges.txt and the tokens added after them."""
    model = json.loads(GLMTokenizer.train(SUITE_TEXTS * 20, vocab_size=800).backend_tokenizer.to_str())["model"]
    plain = [token for token in sorted(model["vocab"], key=model["vocab"].get) if token not in ADDED]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    written(folder, "vocab.json", {token: index for index, token in enumerate(plain)})
    written(folder, "merges.txt", "\n".join(["#version: 0.2", *merges, ""]))
    written(folder, "added_tokens.json", {token: len(plain) + index for index, token in enumerate(ADDED)})
    settings = {"tokenizer_class": "GLMGPT2Tokenizer", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    settings |= {"cls_token": "[CLS]", "mask_token": "[MASK]", "unk_token": "[UNK]", "truncation_side": "right"}
    written(folder, "tokenizer_config.json", settings)


def bert(folder):
    """The released files for BERT's vocabulary: vocab.txt."""
    letters = sorted({letter for text in SUITE_TEXTS for letter in text.lower() if not letter.isspace()})
    words = sorted({word for text in SUITE_TEXTS for word in text.lower().split() if word.isalpha() and len(word) > 1})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    written(folder, "vocab.txt", "\n".join([*vocabulary, ""]))
    added = ["<|startofpiece|>", "<|endofpiece|>"]
    written(folder, "added_tokens.json", {token: len(vocabulary) + index for index, token in enumerate(added)})
    written(folder, "tokenizer_config.json", {"tokenizer_class": "GLMBertTokenizer", "truncation_side": "right"})


for tokenizer_class, build in ((GLMTokenizer, glm), (GLMGPT2Tokenizer, gpt2), (GLMBertTokenizer, bert)):
    made = tempfile.mkdtemp()
    build(made)
    for tests in (CommonTests, BackendTests):
        name = f"{tokenizer_class.__name__}{'Common' if tests is CommonTests else 'Backend'}Test"
        settings = {"tokenizer_class": tokenizer_class, "rust_tokenizer_class": tokenizer_class}
        settings |= {"from_pretrained_id": [made], "from_pretrained_kwargs": {}, "__module__": __name__}
        globals()[name] = type(name, (tests, unittest.TestCase), settings)
del CommonTests, BackendTests, tests
