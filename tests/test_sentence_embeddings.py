# SPDX-License-Identifier: Apache-2.0
"""sentence-transformers, unmodified: it pools what the model says of Part A, saves it, loads it and trains it."""

import pytest
import torch
from conftest import TEXTS
from datasets import Dataset
from short_runs import arguments, losses_of
from without_package import run_python

import transformers_glm  # noqa: F401  registers GLM
from transformers_glm.hub.repository import make_repository


pytestmark = pytest.mark.core


sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer  # noqa: E402
from sentence_transformers import SentenceTransformerTrainingArguments as Arguments  # noqa: E402
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss  # noqa: E402
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer  # noqa: E402


@pytest.fixture
def saved(text_model, tokenizer, tmp_path):
    text_model.save_pretrained(tmp_path / "glm")
    tokenizer.save_pretrained(tmp_path / "glm")
    return tmp_path / "glm"


def embedder(folder):
    transformer = Transformer(str(folder))
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")


@torch.no_grad()
def pooled(model, tokenizer, text):
    """The mean over the tokens of a text, in a row of its own."""
    return model.glm(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)


def test_an_embedding_is_the_mean_of_part_a(saved, text_model, tokenizer):
    found = embedder(saved).encode(TEXTS, batch_size=4, convert_to_tensor=True)
    torch.testing.assert_close(found, torch.stack([pooled(text_model, tokenizer, text) for text in TEXTS]))
    assert embedder(saved)[0].auto_model.__class__.__name__ == "GLMModel"
    assert embedder(saved).max_seq_length == text_model.config.max_sequence_length


def test_a_folder_of_glm_alone_is_mean_pooled_too(saved):
    found = SentenceTransformer(str(saved), device="cpu").encode(TEXTS)
    assert (found == embedder(saved).encode(TEXTS)).all()


def test_a_long_text_is_cut_to_the_table(saved, text_model, tokenizer):
    text = "Ada wrote the first program. " * 100
    found = embedder(saved).encode([text], convert_to_tensor=True)[0]
    cut = tokenizer(text, return_tensors="pt", truncation=True, max_length=text_model.config.max_sequence_length)
    with torch.no_grad():
        expected = text_model.glm(**cut).last_hidden_state[0].mean(0)
    torch.testing.assert_close(found, expected)


def test_training_draws_pairs_together_and_is_saved_and_loaded(saved, tmp_path):
    model = embedder(saved)
    anchors = [f"{subject} {verb} it" for subject in ("Ada", "Grace", "Alan", "Mary") for verb in ("wrote", "found")]
    pairs = Dataset.from_dict({"anchor": anchors, "positive": [f"It was {text.split()[0]}" for text in anchors]})
    settings = {"max_steps": 25, "learning_rate": 5e-3, "per_device_train_batch_size": 8, "logging_steps": 1}
    settings = arguments(tmp_path / "run", kind=Arguments, lr_scheduler_type="linear", **settings)
    trainer = SentenceTransformerTrainer(model, settings, pairs, loss=MultipleNegativesRankingLoss(model))
    trainer.train()
    losses = losses_of(trainer)
    assert losses[-1] < 0.8 * losses[0]
    model.save_pretrained(str(tmp_path / "trained"))
    found = SentenceTransformer(str(tmp_path / "trained"), device="cpu").encode(TEXTS)
    assert found == pytest.approx(model.encode(TEXTS), abs=1e-6)
    assert abs(found - embedder(saved).encode(TEXTS)).max() > 1e-2


ENCODE = """
import json, sys
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu", trust_remote_code=True)
print(json.dumps([type(model[0].auto_model).__module__, model.encode(sys.argv[2:]).tolist()]))
"""


@pytest.mark.slow
def test_a_pushed_repository_is_embedded_without_the_package(saved, text_model, tokenizer, tmp_path):
    make_repository(saved, tmp_path / "repository")
    module, found = run_python(
        ENCODE, tmp_path / "repository", *TEXTS, cwd=tmp_path, home=tmp_path / "home", package=False
    )
    assert module.startswith("transformers_modules.")
    torch.testing.assert_close(
        torch.tensor(found), torch.stack([pooled(text_model, tokenizer, text) for text in TEXTS])
    )
