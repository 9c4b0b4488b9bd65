# SPDX-License-Identifier: Apache-2.0
"""Bad input and what is said about it. That of tokenizer, collator and data stands in their own tests."""

import pytest
import torch
from conftest import CLS, EOP, EOS, MASK, PAD, SOP, make_config, make_model
from transformers import AutoConfig, AutoModelForSeq2SeqLM, configuration_utils
from transformers.testing_utils import CaptureLogger

import transformers_glm  # noqa: F401 (registers)
from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMModel
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm.infilling import fill_blanks


PART_A = torch.tensor([[CLS, 11, MASK, EOS], [CLS, 12, 13, EOS]])
ROW = torch.tensor([[CLS, 11, MASK, EOS, SOP, 12]])
STACKED = torch.zeros(1, 2, 6, dtype=torch.long)


def call(model, **inputs):
    return model(**{name: torch.tensor(value) if isinstance(value, list) else value for name, value in inputs.items()})


# what is done, on a model with a vocabulary of 99 and 64 positions; the words of the ValueError
CALLS = {
    "two streams without a blank in a row": (
        lambda model: call(model, input_ids=PART_A, labels=[[14, 15, EOP], [16, EOP, -100]]),
        r"Row 1 has no blank in Part A.*none of the mask tokens \(ids \[90, 91, 92\]\).*truncation keeps it",
    ),
    "two streams whose Part B has no sop": (
        lambda model: call(model, input_ids=PART_A[:1], decoder_input_ids=[[14, 15]]),
        r"Row 0 of decoder_input_ids has no sop \(id 93\).*prepare_decoder_input_ids_from_labels",
    ),
    "two streams and positions": (
        lambda model: call(model, input_ids=PART_A[:1], decoder_input_ids=[[SOP]], position_ids=torch.arange(4)[None]),
        "lay Part B out by themselves: leave out position_ids",
    ),
    "two streams without input_ids": (
        lambda model: call(model, decoder_input_ids=[[SOP]]),
        "two streams.*need one of input_ids and inputs_embeds",
    ),
    "more pieces than blanks": (
        lambda model: call(model, input_ids=[[CLS, MASK, SOP, 5, SOP, 6]]),
        r"Row 0 has 2 piece\(s\) in Part B but 1 blank\(s\) in Part A.*\(ids \[90, 91, 92\]\)",
    ),
    "a prompt with more pieces than blanks": (
        lambda model: model.generate(torch.tensor([[CLS, MASK, SOP, 5, SOP]]), max_new_tokens=2),
        r"Row 0 has 2 piece\(s\) in Part B but 1 blank\(s\) in Part A",
    ),
    "a text longer than the position table": (
        lambda model: call(model, input_ids=[[CLS, *[5] * 65]]),
        r"position_ids holds 65, outside the position table \(max_sequence_length \+ 1\) of 65. Shorten the text",
    ),
    "a piece longer than the block positions": (
        lambda model: call(model, input_ids=[[CLS, MASK, SOP, *[5] * 64]]),
        r"block_position_ids holds 65, outside the position table",
    ),
    "a prompt longer than the position table": (
        lambda model: model.generate(torch.tensor([[CLS, MASK, *[5] * 65]]), max_new_tokens=2),
        "position_ids holds 66, outside the position table",
    ),
    "an id outside the vocabulary": (
        lambda model: call(model, input_ids=[[CLS, 99]]),
        r"input_ids holds 99, outside the vocabulary \(vocab_size\) of 99.*the tokenizer that belongs to the model",
    ),
    "a negative id": (
        lambda model: call(model, input_ids=[[CLS, -100]]),
        "input_ids holds -100, outside the vocabulary",
    ),
    "a label outside the vocabulary": (
        lambda model: call(model, input_ids=ROW, labels=[[-100, -100, -100, -100, 99, EOP]]),
        "labels holds 99, outside the vocabulary",
    ),
    "stacked positions": (
        lambda model: call(model, input_ids=ROW, position_ids=STACKED),
        r"position_ids must have shape \(batch, sequence\), got \(1, 2, 6\).*stacked\[:, 0\].*stacked\[:, 1\]",
    ),
    "stacked positions in generate": (
        lambda model: model.generate(ROW, position_ids=STACKED, max_new_tokens=2),
        r"position_ids must have shape \(batch, sequence\), got \(1, 2, 6\)",
    ),
    "positions of another length": (
        lambda model: call(model, input_ids=ROW, position_ids=STACKED[:, 0, :4], block_position_ids=STACKED[:, 0, :4]),
        r"position_ids have shape \(1, 4\), the row has \(1, 6\)",
    ),
    "labels of another shape": (
        lambda model: call(model, input_ids=ROW, labels=[[-100, 12, EOP]]),
        r"labels have shape \(1, 3\), the row has \(1, 6\).*DataCollatorForSeq2Seq",
    ),
    "labels of another shape beside positions": (
        lambda model: call(model, input_ids=PART_A[:1], block_position_ids=[[0, 0, 0, 0]], labels=[[12, EOP]]),
        r"labels have shape \(1, 2\), the row has \(1, 4\)",
    ),
    "labels of another shape beside decoder inputs": (
        lambda model: call(model, input_ids=PART_A[:1], decoder_input_ids=[[SOP, 12]], labels=[[12, 13, EOP]]),
        r"labels have shape \(1, 3\), the row has \(1, 2\)",
    ),
    "packed rows without positions": (
        lambda model: call(model, input_ids=ROW, document_ids=torch.ones_like(ROW)),
        r"Packed rows \(document_ids\) need position_ids and block_position_ids: the collator makes them",
    ),
    "packed rows with a cache": (
        lambda model: model(
            input_ids=ROW,
            document_ids=torch.ones_like(ROW),
            position_ids=STACKED[:, 0],
            block_position_ids=STACKED[:, 0],
            cache=model(input_ids=ROW).cache,
        ),
        r"Packed rows \(document_ids\) take no cache",
    ),
    "a token after a cache without positions": (
        lambda model: model(input_ids=ROW[:, :1], cache=model(input_ids=ROW).cache),
        "A token that follows a cache does not show its positions",
    ),
    "neither ids nor embeddings": (lambda model: model(), "exactly one of input_ids and inputs_embeds"),
    "both ids and embeddings": (
        lambda model: model(input_ids=ROW, inputs_embeds=torch.zeros(1, 6, 32)),
        "exactly one of input_ids and inputs_embeds",
    ),
    "targets of another batch": (
        lambda model: call(model, input_ids=PART_A, labels=[[14, 15]]),
        r"labels have shape \(1, 2\); with two streams",
    ),
    "targets of one axis": (lambda model: call(model, input_ids=PART_A, labels=[14, 15]), r"labels have shape \(2,\)"),
    "pieces without mask_token_ids in the configuration": (
        lambda model: call(make_model(mask_token_ids=None), input_ids=ROW),
        r"Row 0 has 1 piece\(s\) in Part B but 0 blank\(s\) in Part A",
    ),
    "a right choice without tokens": (
        lambda model: call(
            GLMForMultipleChoice(model.config),
            input_ids=[[CLS, MASK, EOS, SOP]],
            labels=[1],
            choice_ids=[[[12], [-100]]],
            choice_indices=[[[3], [-100]]],
        ),
        "right choice of row 0, number 1, has no tokens",
    ),
    "two streams without a sop in the configuration": (
        lambda model: call(
            make_model(decoder_start_token_id=None), input_ids=PART_A[:1], decoder_input_ids=[[14, 15]]
        ),
        r"Row 0 of decoder_input_ids has no sop \(id None\)",
    ),
    "decoder inputs without a sop in the configuration": (
        lambda model: make_model(decoder_start_token_id=None).prepare_decoder_input_ids_from_labels(ROW),
        "config.decoder_start_token_id is not set",
    ),
    "FlashAttention": (
        lambda model: make_model(attn_implementation="flash_attention_2"),
        'FlashAttention.*Part A.*attn_implementation="sdpa"',
    ),
    "FlashAttention, later": (
        lambda model: make_model().set_attn_implementation("flash_attention_2"),
        'FlashAttention.*Part A.*attn_implementation="sdpa"',
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_calls(name):
    act, words = CALLS[name]
    with pytest.raises(ValueError, match="(?s)" + words):
        act(make_model())


# fields of the configuration, the words of the error
CONFIGURATIONS = {
    "a word for a number": ({"hidden_size": "large"}, "hidden_size.*expected int.*large"),
    "a width that the heads do not divide": (
        {"hidden_size": 30},
        "hidden_size=30 is not a multiple of num_attention_heads=4",
    ),
    "no layers": ({"num_layers": 0}, "num_layers=0: it must be at least 1"),
    "a probability of 1": ({"output_dropout_prob": 1}, "output_dropout_prob=1: a share of at least 0 and less than 1"),
    "a blank outside the vocabulary": ({"mask_token_ids": [99]}, "Special token 99 is outside the vocabulary of 99"),
    "sop outside the vocabulary": (
        {"decoder_start_token_id": 500},
        "Special token 500 is outside the vocabulary of 99",
    ),
    "another model's": ({"intermediate_size": 13696}, "intermediate_size=13696"),
    "an end outside the vocabulary": (
        {"eos_token_id": [EOP, 500]},
        "Special token 500.*vocab_size.*len\\(tokenizer\\)",
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_bad_configurations(name):
    settings, words = CONFIGURATIONS[name]
    with pytest.raises(Exception, match="(?s)" + words) as caught:
        make_config(**settings)
    assert isinstance(caught.value, (ValueError, TypeError)) or "Strict" in type(caught.value).__name__


# texts for fill_blanks, the words of the error
TEXTS = {
    "no blank": ("Ada wrote the first program.", r"No blank in 'Ada wrote the first program.'.*\[MASK\].*\[gMASK\]"),
    "empty": ("", "No blank in ''"),
    "sop in the text": ("Ada [MASK]<|startofpiece|>", r"<\|startofpiece\|> in 'Ada \[MASK\].*it begins a piece"),
    "longer than the position table": (
        "[MASK]" + " Ada" * 200,
        "The text has .* tokens, the model's position table 129 rows",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("in_a_list", [False, True])
def test_bad_texts(name, in_a_list, text_model, tokenizer):
    text, words = TEXTS[name]
    with pytest.raises(ValueError, match="(?s)" + words):
        fill_blanks(text_model, tokenizer, ["Ada [MASK]", text] if in_a_list else text, max_new_tokens=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("loader", [GLMForConditionalGeneration, GLMModel, AutoModelForSeq2SeqLM])
def test_a_checkpoint_with_nan_or_infinite_weights_is_refused(tmp_path, value, loader):
    model = make_model()
    with torch.no_grad():
        model.glm.transformer.layers[1].mlp.dense_h_to_4h.weight[3, 4] = value
    model.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="layers.1.mlp.dense_h_to_4h.weight holds NaN or infinite values.*load an earlier one"
    ):
        loader.from_pretrained(tmp_path)


def test_a_wrong_model_type_is_not_glm(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "glm_infilling", "hidden_size": "32"}')
    with pytest.raises(Exception, match="hidden_size"):
        AutoConfig.from_pretrained(tmp_path)
    assert GLMConfig().model_type != "glm" and PAD == 0


def test_the_config_of_an_unconverted_checkpoint_says_what_it_is_and_how_to_convert_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "glm", "num_layers": 2, "max_sequence_length": 64}')
    with CaptureLogger(configuration_utils.logger) as captured:
        config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is GLMConfig
    assert 'unconverted GLM checkpoint: its model_type "glm" means GLM-4' in captured.out
    assert "transformers-glm convert SOURCE OUT" in captured.out


def test_the_old_model_type_is_ours():
    assert GLMConfig(model_type="glm").to_dict()["model_type"] == "glm_infilling"
