# SPDX-License-Identifier: Apache-2.0
from dataclasses import asdict

import pytest
import torch
from transformers import pipeline

import transformers_glm  # noqa: F401 (registers)
from transformers_glm.infilling import fill_blanks
from transformers_glm.integrations.pipeline import BlankInfillingPipeline


pytestmark = pytest.mark.core


TEXTS = ["Ada [MASK] the first [MASK].", "Grace found [sMASK]", "x [MASK] y [MASK] z [gMASK]"]


@pytest.fixture
def filler(text_model, tokenizer):
    return pipeline("blank-infilling", model=text_model, tokenizer=tokenizer)


def approximately(filled):
    return {**asdict(filled), "log_probabilities": pytest.approx(filled.log_probabilities, abs=1e-3)}


def test_a_text_gives_a_dictionary(filler, text_model, tokenizer):
    assert isinstance(filler, BlankInfillingPipeline)
    assert filler(TEXTS[0], max_new_tokens=4) == approximately(
        fill_blanks(text_model, tokenizer, TEXTS[0], max_new_tokens=4)
    )


def test_an_empty_text_has_no_blank(filler):
    with pytest.raises(ValueError, match="No blank in ''"):
        filler("")


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_list_gives_a_list_for_any_batch_size(filler, text_model, tokenizer, batch_size):
    expected = fill_blanks(text_model, tokenizer, TEXTS, max_new_tokens=4)
    assert filler(TEXTS, max_new_tokens=4, batch_size=batch_size) == [approximately(one) for one in expected]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_several_ways_give_a_list_for_each_text(filler, batch_size):
    filled = filler(TEXTS, max_new_tokens=3, num_beams=2, num_return_sequences=2, batch_size=batch_size)
    assert [[sorted(way) for way in of_text] for of_text in filled] == [
        [["log_probabilities", "pieces", "text"]] * 2
    ] * 3


def test_generate_s_arguments_can_be_given_to_the_pipeline(text_model, tokenizer):
    filler = pipeline("blank-infilling", model=text_model, tokenizer=tokenizer, max_new_tokens=2)
    assert filler(TEXTS[0]) == approximately(fill_blanks(text_model, tokenizer, TEXTS[0], max_new_tokens=2))
    assert filler(TEXTS[0], max_new_tokens=5) == approximately(
        fill_blanks(text_model, tokenizer, TEXTS[0], max_new_tokens=5)
    )


def test_an_iterator_is_read_as_it_comes(filler):
    assert [one["text"] for one in filler((text for text in TEXTS), max_new_tokens=2)] == [
        one["text"] for one in filler(TEXTS, max_new_tokens=2)
    ]


def test_it_loads_from_a_folder(tmp_path, text_model, tokenizer, filler):
    text_model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = pipeline("blank-infilling", model=str(tmp_path))
    assert type(loaded.model) is type(text_model) and type(loaded.tokenizer) is type(tokenizer)
    assert loaded(TEXTS[0], max_new_tokens=4) == filler(TEXTS[0], max_new_tokens=4)


def test_text_generation_continues_a_text(text_model, tokenizer):
    generator = pipeline("text-generation", model=text_model, tokenizer=tokenizer)
    [result] = generator("Ada wrote", max_new_tokens=4, do_sample=False)
    prompt = torch.tensor([[*tokenizer("Ada wrote")["input_ids"][:-1], tokenizer.gmask_token_id]])
    piece = tokenizer.decode(text_model.generate(prompt, max_new_tokens=4)[0], skip_special_tokens=True)
    assert result["generated_text"] == "Ada wrote" + piece
