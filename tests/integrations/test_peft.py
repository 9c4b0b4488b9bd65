# SPDX-License-Identifier: Apache-2.0
"""PEFT's adapters of weights: default targets, training, merging, saving, several at once. Virtual tokens: test_peft_prompts."""

import re
import subprocess
import sys
from importlib.util import find_spec

import peft
import pytest
import torch
import transformers
from conftest import EOP, make_config, make_model
from packaging.version import Version
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import constants
from peft.utils.hotswap import hotswap_adapter
from peft_cases import BATCH, METHODS, NEW, PROMPT, ROOT, SENTENCES, TASKS, arguments, logits_of, losses_of, same
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments
from transformers import pipeline as make_pipeline
from transformers.integrations.peft import MIN_PEFT_VERSION

import transformers_glm  # noqa: F401 (tells PEFT of GLM)
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMModel
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm import DataCollatorForBlankInfilling, fill_blanks


pytestmark = pytest.mark.core
LABELS = torch.tensor([[-100] * 6 + [15, EOP], [-100] * 5 + [26, 27, EOP]])
ATTENTION = "glm.transformer.layers.0.attention.query_key_value"
MLP = "glm.transformer.layers.0.mlp.dense_4h_to_h"


def adapt(model, config, seed=1):
    """An adapter whose weights are no longer those it begins with."""
    model = get_peft_model(model, config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


# ------------------------------------------------------------------------------------------------------- what is adapted


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("LoRA", {ATTENTION}),
        ("IA3", {ATTENTION, MLP}),
        ("AdaLoRA", {ATTENTION}),
        ("VeRA", {ATTENTION}),
        ("OFT", {ATTENTION}),
        (
            "layer norms",
            {
                "glm.transformer.final_layernorm",
                "glm.transformer.layers.0.input_layernorm",
                "glm.transformer.layers.0.post_attention_layernorm",
            },
        ),
        (
            "LoRA, all linear",
            {ATTENTION, MLP, "glm.transformer.layers.0.attention.dense", "glm.transformer.layers.0.mlp.dense_h_to_4h"},
        ),
    ],
)
def test_what_is_adapted_without_target_modules(method, expected):
    model = get_peft_model(make_model(), METHODS[method]())
    assert {name for name in model.targeted_module_names if "layers.1" not in name} == expected


def test_every_method_that_knows_bloom_knows_glm_and_glm_4_stays_as_it_was():
    mappings = {name: value for name, value in vars(constants).items() if name.endswith("_MODULES_MAPPING")}
    assert len(mappings) > 20
    for name, mapping in mappings.items():
        assert ("glm_infilling" in mapping) == ("bloom" in mapping), name
        assert "glm" not in mapping
    assert constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING["glm_infilling"] == ["mlp.dense_4h_to_h"]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["peft, transformers_glm", "transformers_glm, peft"])
def test_peft_may_be_imported_before_or_after(order):
    code = f"""
import {order}, importlib, torch
importlib.reload(transformers_glm)
config = transformers_glm.GLMConfig(
    vocab_size=20, hidden_size=8, num_layers=1, num_attention_heads=2, mask_token_ids=[3], decoder_start_token_id=4
)
model = transformers_glm.GLMForConditionalGeneration(config)
assert len(peft.get_peft_model(model, peft.LoraConfig()).targeted_module_names) == 1
model = peft.get_peft_model(transformers_glm.GLMModel(config), peft.PromptTuningConfig("FEATURE_EXTRACTION", num_virtual_tokens=2))
seen = []
model.base_model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
model(torch.tensor([[3, 4]]), position_ids=torch.tensor([[0, 0]]), block_position_ids=torch.tensor([[0, 1]]))
assert seen[0]["position_ids"].tolist() == [[0, 1, 2, 2]] and seen[0]["block_position_ids"].tolist() == [[0, 0, 0, 1]]
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr


# ------------------------------------------------------------------------------------------- one adapter, every task type


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", METHODS)
def test_a_new_adapter_changes_nothing_and_learns_alone(method, task):
    model = get_peft_model(make_model(), METHODS[method](task_type=task)).eval()
    same(logits_of(model), logits_of(make_model()))
    if method != "AdaLoRA":  # which adds a term to the loss
        same(model(**BATCH, labels=LABELS).loss, make_model()(**BATCH, labels=LABELS).loss)
    model = adapt(make_model(), METHODS[method](task_type=task)).train()
    model(**BATCH, labels=LABELS).loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.any())) == parameter.requires_grad, name
        frozen = any(part in name for part in ("vera_A", "vera_B", "ranknum"))
        assert parameter.requires_grad == ("default" in name and not frozen), name


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", METHODS)
def test_merged_saved_and_loaded_it_gives_and_generates_the_same(method, task, tmp_path):
    model = adapt(make_model(), METHODS[method](task_type=task))
    expected = logits_of(model)
    assert (expected - logits_of(make_model())).abs().max() > 1e-3
    same(model(**BATCH, labels=LABELS).logits, expected)
    generated = [model.generate(**PROMPT, max_new_tokens=6, num_beams=beams, do_sample=False) for beams in (1, 3)]
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_model(), tmp_path).eval()
    same(logits_of(loaded), expected)
    merged = model.merge_and_unload()
    assert type(merged) is GLMForConditionalGeneration
    assert set(merged.state_dict()) == set(make_model().state_dict())
    same(logits_of(merged), expected, 1e-4)
    for other in (loaded, merged):
        for beams, tokens in zip((1, 3), generated, strict=True):
            assert torch.equal(other.generate(**PROMPT, max_new_tokens=6, num_beams=beams, do_sample=False), tokens)


@pytest.mark.parametrize("task", TASKS)
def test_two_streams_pass_an_adapter(task):
    model = adapt(make_model(), LoraConfig(task_type=task))
    labels = torch.tensor([[15, EOP, -100], [26, 27, EOP]])
    output = model(**PROMPT, labels=labels)
    assert output.logits.shape[:2] == labels.shape
    merged = model.merge_and_unload()
    same(output.logits, merged(**PROMPT, labels=labels).logits, 1e-4)


@pytest.mark.parametrize("task", ["SEQ_CLS", None])
def test_a_classifier_is_trained_and_saved_whole(task, tmp_path):
    config = make_config(num_labels=3)
    kwargs = {} if task else {"modules_to_save": ["classifier"]}
    model = adapt(GLMForSequenceClassification(config), LoraConfig(task_type=task, **kwargs))
    model.train()(**PROMPT, labels=torch.tensor([0, 2])).loss.backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert sum("classifier" in name for name in trained) == 4 and sum("lora" in name for name in trained) == 4
    expected = logits_of(model.eval(), **PROMPT)
    model.save_pretrained(tmp_path)
    fresh = GLMForSequenceClassification(config)
    fresh.glm.load_state_dict(model.get_base_model().glm.state_dict(), strict=False)
    fresh.glm.load_state_dict(base_weights(model.get_base_model().glm))
    same(logits_of(PeftModel.from_pretrained(fresh, tmp_path).eval(), **PROMPT), expected)
    same(logits_of(model.merge_and_unload(), **PROMPT), expected, 1e-4)


def base_weights(model):
    """The weights under a LoRA adapter, by their own names."""
    return {name.replace(".base_layer", ""): value for name, value in model.state_dict().items() if "lora" not in name}


def test_choices_and_hidden_states_pass_an_adapter(tokenizer, tmp_path):
    config = make_config(tokenizer=tokenizer, max_sequence_length=128)
    inputs = tokenizer(["Ada wrote [MASK]", "A moth in [MASK] was found"], return_tensors="pt", padding=True)
    batch = tokenizer.build_inputs_for_multiple_choice(inputs, [["the first", "a"], ["the relay", "text", "log book"]])
    model = adapt(GLMForMultipleChoice(config), LoraConfig())
    model.train()(**batch, labels=torch.tensor([0, 1])).loss.backward()
    assert all(bool(p.grad.any()) for p in model.parameters() if p.requires_grad)
    expected = logits_of(model.eval(), **batch)
    base = GLMForMultipleChoice(config)
    base.load_state_dict(base_weights(model.get_base_model()))
    model.save_pretrained(tmp_path)
    same(logits_of(PeftModel.from_pretrained(base, tmp_path).eval(), **batch), expected)
    same(logits_of(model.merge_and_unload(), **batch), expected, 1e-4)
    features = adapt(GLMModel(make_config()), LoraConfig(task_type="FEATURE_EXTRACTION"))
    hidden = features(**BATCH).last_hidden_state
    same(features.merge_and_unload()(**BATCH).last_hidden_state, hidden, 1e-4)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_gives_the_same_gradients(use_reentrant):
    gradients = []
    for checkpointing in (False, True):
        model = adapt(make_model(), LoraConfig(task_type="SEQ_2_SEQ_LM", target_modules="all-linear")).train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
            model.enable_input_require_grads()
        model(**BATCH, labels=LABELS).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert all(gradient.abs().max() > 0 for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        same(gradients[1][name], gradient, 1e-6)


@pytest.mark.parametrize("way", NEW)
def test_new_tokens_are_learned_in_the_table_and_the_tied_head_alike(way, tmp_path):
    def resized():
        model = make_model()
        torch.manual_seed(5)
        model.resize_token_embeddings(101, mean_resizing=False)
        return model

    model = adapt(resized(), LoraConfig(task_type="CAUSAL_LM", **NEW[way]))
    batch = {**BATCH, "input_ids": BATCH["input_ids"].clone()}
    batch["input_ids"][0, 2], labels = 99, LABELS.masked_fill(LABELS == 15, 100)
    before = model.get_input_embeddings()(torch.tensor([5, 99, 100])).detach()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model.train()(**batch, labels=labels).loss.backward()
    optimizer.step()
    after = model.eval().get_input_embeddings()(torch.tensor([5, 99, 100])).detach()
    assert ((before - after).abs().amax(-1) > 0).tolist() == [way == "the whole table", True, True]
    hidden = torch.randn(1, 32)
    table = model.get_input_embeddings()(torch.arange(101))
    same(model.get_base_model().lm_head(hidden), hidden @ table.T)
    expected = logits_of(model, **batch)
    model.save_pretrained(tmp_path)
    same(logits_of(PeftModel.from_pretrained(resized(), tmp_path).eval(), **batch), expected)
    merged = model.merge_and_unload()
    assert merged.lm_head.weight is merged.glm.word_embeddings.weight
    same(logits_of(merged, **batch), expected, 1e-4)
    merged.save_pretrained(tmp_path / "merged")
    same(logits_of(GLMForConditionalGeneration.from_pretrained(tmp_path / "merged").eval(), **batch), expected, 1e-4)


# ------------------------------------------------------------------------------------------------------- several adapters


def test_adapters_are_added_switched_disabled_weighted_and_deleted(tmp_path):
    alone = [adapt(make_model(), LoraConfig(), seed) for seed in (1, 2)]
    expected = [logits_of(model) for model in alone]
    for number, model in enumerate(alone):
        model.save_pretrained(tmp_path / str(number))
    model = PeftModel.from_pretrained(make_model(), tmp_path / "0", adapter_name="first").eval()
    model.load_adapter(tmp_path / "1", adapter_name="second")
    for name, logits in zip(("first", "second", "first"), (*expected, expected[0]), strict=True):
        model.set_adapter(name)
        same(logits_of(model), logits)
    with model.disable_adapter():
        same(logits_of(model), logits_of(make_model()))
    model.add_weighted_adapter(["first", "second"], [1.0, 0.0], "mixture", combination_type="linear")
    model.set_adapter("mixture")
    same(logits_of(model), expected[0])
    rows = logits_of(model, **BATCH, adapter_names=["first", "second"])
    same(rows, torch.stack([expected[0][0], expected[1][1]]))
    model.delete_adapter("mixture")
    model.set_adapter("second")
    same(logits_of(model), expected[1])


def test_an_adapter_is_swapped_in_the_place_of_another(tmp_path):
    models = [adapt(make_model(), LoraConfig(), seed) for seed in (1, 2)]
    models[1].save_pretrained(tmp_path)
    hotswap_adapter(models[0], str(tmp_path), "default", torch_device="cpu")
    same(logits_of(models[0]), logits_of(models[1]))


@pytest.mark.skipif(
    Version(peft.__version__) < Version(MIN_PEFT_VERSION),
    reason=f"Transformers {transformers.__version__} takes adapters by itself from PEFT {MIN_PEFT_VERSION} on",
)
def test_transformers_own_integration(tmp_path):
    model = make_model()
    model.add_adapter(LoraConfig(), adapter_name="first")
    assert {name.split(".lora")[0] for name in model.state_dict() if "lora" in name} == {
        ATTENTION,
        ATTENTION.replace("0", "1"),
    }
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora" in name:
                parameter.normal_(std=0.1)
    expected = logits_of(model)
    model.disable_adapters()
    same(logits_of(model), logits_of(make_model()))
    model.enable_adapters()
    model.save_pretrained(tmp_path)
    loaded = make_model()
    loaded.load_adapter(str(tmp_path))
    same(logits_of(loaded.eval()), expected)
    assert torch.equal(loaded.generate(**PROMPT, max_new_tokens=5), model.generate(**PROMPT, max_new_tokens=5))


# ------------------------------------------------------------------------------------------------------- training, filling


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_trainer_lowers_the_loss(checkpointing, tmp_path, tokenizer, text_model):
    model = get_peft_model(text_model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    rows = [{"input_ids": tokenizer(sentence)["input_ids"]} for sentence in SENTENCES]
    settings = arguments(tmp_path, TrainingArguments, activation_checkpointing=checkpointing)
    trainer = Trainer(model, settings, DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "document": 0.5}), rows)
    trainer.train()
    losses = losses_of(trainer)
    assert losses[-1] < 0.9 * losses[0], losses


def test_the_seq2seq_trainer_lowers_the_loss_and_predicts(tmp_path, tokenizer, text_model):
    model = get_peft_model(text_model, LoraConfig(task_type="SEQ_2_SEQ_LM", target_modules="all-linear"))
    answer = [*tokenizer(" end.", add_special_tokens=False)["input_ids"], tokenizer.eop_token_id]
    rows = [{**tokenizer(f"{text} [MASK]"), "labels": answer} for text in SENTENCES]
    settings = arguments(tmp_path, Seq2SeqTrainingArguments, predict_with_generate=True, generation_max_length=8)
    collator = DataCollatorForSeq2Seq(tokenizer, model=model)
    trainer = Seq2SeqTrainer(model, settings, collator, rows, processing_class=tokenizer)
    trainer.train()
    losses = losses_of(trainer)
    assert losses[-1] < 0.2 * losses[0], losses
    predictions = trainer.predict(rows[:3]).predictions
    assert tokenizer.decode(predictions[0], skip_special_tokens=True) == " end."


@pytest.mark.parametrize("task", TASKS)
def test_blanks_are_filled_by_an_adapted_model_and_by_the_merged_one(task, tokenizer, text_model):
    text = "Ada [MASK] the first [MASK]."
    model = adapt(text_model, LoraConfig(task_type=task))
    filled = fill_blanks(model, tokenizer, text, max_new_tokens=4)
    through_pipeline = make_pipeline("blank-infilling", model=model, tokenizer=tokenizer)(text, max_new_tokens=4)
    merged = model.merge_and_unload()
    again = fill_blanks(merged, tokenizer, text, max_new_tokens=4)
    by_merged = make_pipeline("blank-infilling", model=merged, tokenizer=tokenizer)(text, max_new_tokens=4)
    assert filled.pieces == again.pieces == through_pipeline["pieces"] == by_merged["pieces"]
    assert filled.log_probabilities == pytest.approx(again.log_probabilities, abs=1e-4)


def test_what_the_documentation_says_runs(tokenizer, tmp_path, monkeypatch):
    make_model(tokenizer=tokenizer, hidden_size=64).save_pretrained(tmp_path / "output" / "demo")
    tokenizer.save_pretrained(tmp_path / "output" / "demo")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "peft.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(<!-- needs (\w+) -->\n)?```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 5
    namespace = {}
    for _, package, block in blocks:
        if not package or find_spec(package) is not None:
            exec(compile(block, "docs/peft.md", "exec"), namespace)
