# SPDX-License-Identifier: Apache-2.0
"""Models loaded in 8 and 4 bits on the CPU: what is quantized, that it generates, is saved, and trains adapters."""

from importlib.util import find_spec

import pytest
import torch
from conftest import CLS, EOP, EOS, MASK, PAD, SOP, make_config, make_model
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from short_runs import arguments, losses_of
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
    TorchAoConfig,
    Trainer,
)

import transformers_glm  # noqa: F401 (registers)
from modeling_glm import GLMForSequenceClassification
from transformers_glm import DataCollatorForBlankInfilling


BATCH = {
    "input_ids": torch.tensor([[PAD, CLS, 11, MASK, 14, EOS, SOP, 15], [CLS, 21, MASK, 24, 25, SOP, 26, 27]]),
    "attention_mask": torch.tensor([[0, 1, 1, 1, 1, 1, 1, 1], [1] * 8]),
}
LABELS = torch.tensor([[-100] * 6 + [15, EOP], [-100] * 5 + [26, 27, EOP]])
LAYER = ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")


def torchao_int8(**kwargs):
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig(), **kwargs)


def backend(package, *values, id):
    installed = find_spec(package) is not None
    skip = pytest.mark.skipif(not installed, reason=f"{package} is not installed")
    return pytest.param(*values, id=id, marks=skip)


# the configuration, and how far the logits may be from those of full precision, on average and relative
EVERY = [
    backend("bitsandbytes", lambda: BitsAndBytesConfig(load_in_8bit=True), 0.04, id="8 bits, bitsandbytes"),
    backend(
        "bitsandbytes",
        lambda: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        0.35,
        id="4 bits, bitsandbytes",
    ),
    backend("torchao", torchao_int8, 0.04, id="8 bits, torchao"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    full().save_pretrained(folder)
    return folder


def full(**kwargs):
    return make_model(hidden_size=64, initializer_range=0.1, **kwargs)


def load(folder, config, auto=AutoModelForSeq2SeqLM):
    """The folder's model in the bits of `config`; widths are multiples of 64, the blocks of 4-bit weights."""
    return auto.from_pretrained(folder, quantization_config=config(), device_map="cpu", dtype=torch.float32).eval()


def logits_of(model, batch=BATCH):
    return model(**batch).logits.detach()


@pytest.mark.parametrize(("config", "near"), EVERY)
def test_the_layers_are_quantized_and_the_tied_head_is_not(folder, config, near):
    model, plain = load(folder, config), full()
    for index in range(2):
        for name in LAYER:
            module = model.get_submodule(f"glm.transformer.layers.{index}.{name}")
            is_plain = type(module) is torch.nn.Linear and type(module.weight.data) is torch.Tensor
            assert not is_plain, name
    assert model.lm_head.weight is model.glm.word_embeddings.weight
    assert type(model.lm_head) is torch.nn.Linear and type(model.lm_head.weight.data) is torch.Tensor
    assert torch.equal(model.lm_head.weight, plain.lm_head.weight)
    exact, logits = logits_of(plain), logits_of(model)
    assert 0 < (logits - exact).abs().mean() < near * exact.abs().mean()


@pytest.mark.parametrize(
    "config",
    [
        backend(
            "bitsandbytes",
            lambda: BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["classifier"]),
            id="bitsandbytes",
        ),
        backend("torchao", lambda: torchao_int8(modules_to_not_convert=["classifier"]), id="torchao"),
    ],
)
def test_a_classification_head_that_is_left_out_can_be_trained(tmp_path, config):
    torch.manual_seed(0)
    GLMForSequenceClassification(make_config(hidden_size=64, num_labels=3)).save_pretrained(tmp_path)
    model = get_peft_model(load(tmp_path, config, AutoModelForSequenceClassification), LoraConfig(task_type="SEQ_CLS"))
    model.train()(**BATCH, labels=torch.tensor([0, 2])).loss.backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert sum("classifier" in name for name in trained) == 4 and sum("lora" in name for name in trained) == 4


@pytest.mark.parametrize(("config", "near"), EVERY)
@torch.no_grad()
def test_it_generates_with_and_without_cache_and_padding_alike(folder, config, near):
    model = load(folder, config)
    prompt = {"input_ids": BATCH["input_ids"][:, :5], "attention_mask": BATCH["attention_mask"][:, :5]}
    settings = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    pieces = model.generate(**prompt, **settings)
    assert pieces.shape == (2, 7) and pieces[:, 0].tolist() == [SOP, SOP]
    assert torch.equal(model.generate(**prompt, **settings, use_cache=False), pieces)
    assert torch.equal(model.generate(input_ids=prompt["input_ids"][:1, 1:], **settings), pieces[:1])
    assert torch.equal(model.generate(input_ids=prompt["input_ids"][1:], **settings), pieces[1:])


@pytest.mark.parametrize(("config", "near"), EVERY)
def test_it_is_saved_and_loaded_quantized(folder, tmp_path, config, near):
    model = load(folder, config)
    expected = logits_of(model)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, device_map="cpu").eval()
    assert loaded.lm_head.weight is loaded.glm.word_embeddings.weight
    torch.testing.assert_close(logits_of(loaded), expected, atol=1e-5, rtol=0)
    sizes = [sum(file.stat().st_size for file in path.glob("*.safetensors")) for path in (tmp_path, folder)]
    assert sizes[0] < 0.5 * sizes[1]


SENTENCES = ["Ada Lovelace wrote the first program", "Grace Hopper found a moth", "Is a blank a hole in the text"] * 8


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("config", "near"), EVERY)
def test_adapters_learn_on_quantized_layers(tmp_path, config, near, checkpointing, tokenizer):
    full(tokenizer=tokenizer, max_sequence_length=128).save_pretrained(tmp_path / "full")
    model = load(tmp_path / "full", config)
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    rows = [{"input_ids": tokenizer(sentence)["input_ids"]} for sentence in SENTENCES]
    settings = {"max_steps": 30, "per_device_train_batch_size": 12, "learning_rate": 0.02, "logging_steps": 10}
    settings = arguments(tmp_path, activation_checkpointing=checkpointing, **settings)
    trainer = Trainer(model, settings, DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "document": 0.5}), rows)
    trainer.train()
    losses = losses_of(trainer)
    assert losses[-1] < 0.9 * losses[0], losses
    assert all("lora" in name for name, parameter in model.named_parameters() if parameter.requires_grad)
    piece = model.eval().generate(**tokenizer("Ada [MASK]", return_tensors="pt"), max_new_tokens=4)
    assert piece[0, 0] == tokenizer.sop_token_id


@pytest.mark.parametrize(("config", "near"), EVERY)
def test_gradients_are_those_of_full_precision_nearly(folder, config, near):
    gradients = []
    for model in (full(), load(folder, config)):
        torch.manual_seed(1)
        model = get_peft_model(model, LoraConfig(init_lora_weights=False)).train()
        model(**BATCH, labels=LABELS).loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.8
