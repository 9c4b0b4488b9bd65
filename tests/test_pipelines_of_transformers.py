# SPDX-License-Identifier: Apache-2.0
"""The pipelines of Transformers, unmodified: what they return is what the model computes for each text alone."""

import pytest
import torch
from conftest import TEXTS, make_config
from transformers import pipeline
from without_package import run_python

import transformers_glm  # noqa: F401  registers GLM
from modeling_glm import GLMForSequenceClassification


pytestmark = pytest.mark.core


@pytest.fixture
def generator(text_model, tokenizer, tmp_path):
    text_model.save_pretrained(tmp_path / "generator")
    tokenizer.save_pretrained(tmp_path / "generator")
    return tmp_path / "generator"


@pytest.fixture
def classifier(text_model, tokenizer, tmp_path):
    torch.manual_seed(0)
    labels = {0: "science", 1: "history", 2: "neither"}
    model = GLMForSequenceClassification(make_config(tokenizer, max_sequence_length=128, id2label=labels)).eval()
    model.save_pretrained(tmp_path / "classifier")
    tokenizer.save_pretrained(tmp_path / "classifier")
    return model, tmp_path / "classifier"


def alone(model, tokenizer, text, of):
    with torch.no_grad():
        return getattr(model(**tokenizer(text, return_tensors="pt")), of)[0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_text_classification(batch_size, side, classifier, tokenizer):
    model, folder = classifier
    classify = pipeline("text-classification", model=str(folder), batch_size=batch_size, top_k=None)
    classify.tokenizer.padding_side = side
    for text, found in zip(TEXTS, classify(TEXTS), strict=True):
        scores = alone(model, tokenizer, text, "logits").softmax(-1).tolist()
        expected = sorted(zip(scores, model.config.id2label.values(), strict=True), reverse=True)
        assert [row["label"] for row in found] == [label for _, label in expected]
        assert [row["score"] for row in found] == pytest.approx([score for score, _ in expected], abs=1e-6)
    best = pipeline("text-classification", model=str(folder))(TEXTS[0])
    assert best[0]["label"] == classify(TEXTS[:1])[0][0]["label"]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_feature_extraction(batch_size, generator, text_model, tokenizer):
    extract = pipeline("feature-extraction", model=str(generator), batch_size=batch_size, return_tensors=True)
    for text, found in zip(TEXTS, extract(TEXTS), strict=True):
        expected = alone(text_model.glm, tokenizer, text, "last_hidden_state")
        torch.testing.assert_close(found[0, : len(expected)], expected)  # a batch is as long as its longest text


@pytest.mark.parametrize("batch_size", [1, 3])
def test_text_generation_continues_texts_without_a_blank(batch_size, generator, text_model, tokenizer):
    prompts = ["Ada Lovelace wrote", "Is a blank", "It was never built, for"]
    generate = pipeline("text-generation", model=str(generator), batch_size=batch_size)
    settings = {"max_new_tokens": 6, "do_sample": False}
    for prompt, [found] in zip(prompts, generate(prompts, **settings), strict=True):
        sequence = text_model.generate(**tokenizer(prompt, return_tensors="pt"), **settings)[0]
        assert found["generated_text"] == tokenizer.decode(sequence, skip_special_tokens=True)
        assert found["generated_text"].startswith(prompt) and len(found["generated_text"]) > len(prompt)
    for prompt, [found] in zip(prompts, generate(prompts, **settings, return_tensors=True), strict=True):
        sequence = text_model.generate(**tokenizer(prompt, return_tensors="pt"), **settings)[0].tolist()
        ids = [index for index in found["generated_token_ids"] if index != tokenizer.pad_token_id]
        assert ids == [index for index in sequence if index != tokenizer.pad_token_id]


PIPELINES = """
import json, sys
import transformers_glm
from transformers import pipeline
classifier, generator = sys.argv[1:]
text = "Ada wrote the first program."
print(json.dumps([
    pipeline("text-classification", model=classifier)(text),
    pipeline("feature-extraction", model=generator)(text),
    pipeline("text-generation", model=generator)(text, max_new_tokens=5, do_sample=False),
    pipeline("blank-infilling", model=generator)("Ada [MASK] it.", max_new_tokens=5),
]))
"""


@pytest.mark.slow
def test_all_of_them_in_a_fresh_process(classifier, generator, text_model, tokenizer, tmp_path):
    labels, features, [text], filled = run_python(
        PIPELINES, classifier[1], generator, cwd=tmp_path, home=tmp_path, package=True
    )
    text_in = "Ada wrote the first program."
    scores = alone(classifier[0], tokenizer, text_in, "logits").softmax(-1)
    assert labels[0]["label"] == classifier[0].config.id2label[int(scores.argmax())]
    torch.testing.assert_close(
        torch.tensor(features[0]), alone(text_model.glm, tokenizer, text_in, "last_hidden_state")
    )
    sequence = text_model.generate(**tokenizer(text_in, return_tensors="pt"), max_new_tokens=5)[0]
    assert text["generated_text"] == tokenizer.decode(sequence, skip_special_tokens=True)
    assert filled["text"].startswith("Ada")
