# SPDX-License-Identifier: Apache-2.0
"""The calculated costs of a run against what a small model really takes."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from conftest import make_config, make_model
from torch.utils.flop_counter import FlopCounterMode

from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.commands.plan import main as plan_run
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.pretraining.costs import (
    Batch,
    activation_bytes,
    blanked,
    count_parameters,
    state_bytes,
    training_flops,
)


ROOT = Path(__file__).parents[2]
SIZES = {"hidden_size": 64, "num_layers": 3, "num_attention_heads": 4, "vocab_size": 500, "max_sequence_length": 128}
BATCH = Batch(rows=4, tokens=96, labelled=20)


def inputs():
    blocks = torch.zeros(4, 96, dtype=torch.long)
    blocks[:, -20:] = torch.arange(1, 21)
    ids = torch.randint(10, 80, (4, 96))
    labels = ids.masked_fill(blocks == 0, -100)
    return {
        **{"input_ids": ids, "labels": labels, "block_position_ids": blocks, "use_cache": False},
        "position_ids": torch.arange(96).expand(4, -1),
    }


def trained(checkpointing=False, **settings):
    model = make_model(**SIZES, **settings).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    return model


def test_parameters_are_counted_without_their_memory():
    assert count_parameters(make_config(**SIZES)) == sum(parameter.numel() for parameter in trained().parameters())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_operations_are_those_that_torch_counts(checkpointing):
    model = trained(checkpointing, attn_implementation="eager")
    with FlopCounterMode(display=False) as counter:
        model(**inputs()).loss.backward()
    assert counter.get_total_flops() == pytest.approx(training_flops(model.config, BATCH, checkpointing), rel=1e-6)


def kept_bytes(model, bf16):
    """All that autograd keeps in a forward pass, except for the weights themselves."""
    kept = {parameter.untyped_storage().data_ptr(): parameter for parameter in model.parameters()}
    weights = len(kept)

    def keep(tensor):
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    autocast = torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
        outputs = model(**inputs())
    assert outputs.loss.isfinite()
    return sum(tensor.untyped_storage().nbytes() for tensor in list(kept.values())[weights:])


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_activations_are_those_that_autograd_keeps(bf16, dropout):
    model = trained(output_dropout_prob=dropout)
    config = model.config
    mask_bytes = 2 if bf16 else 4  # a CPU draws dropout masks in the type of the activations
    calculated = activation_bytes(config, BATCH, bf16=bf16, mask_bytes=mask_bytes)
    copies = state_bytes(config, 0) + 2 * config.vocab_size * config.hidden_size if bf16 else 0
    assert kept_bytes(model, bf16) == pytest.approx(calculated + copies, rel=0.01)


def test_checkpointing_keeps_one_layer_and_the_inputs_of_all():
    model = trained(checkpointing=True)
    calculated = activation_bytes(model.config, BATCH, bf16=False, checkpointing=True)
    three, two = (activation_bytes(make_config(**{**SIZES, "num_layers": n}), BATCH, bf16=False) for n in (3, 2))
    in_one_layer = three - two  # while that is computed again
    assert kept_bytes(model, bf16=False) == pytest.approx(calculated - in_one_layer, rel=0.02)


def test_weights_gradients_and_averages_take_16_bytes_a_parameter():
    model = trained()
    optimizer = torch.optim.AdamW(model.parameters())
    model(**inputs()).loss.backward()
    optimizer.step()
    averages = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    tensors = [*model.parameters(), *(parameter.grad for parameter in model.parameters()), *averages]
    measured = sum(tensor.nbytes for tensor in tensors)
    assert measured == state_bytes(model.config, model.num_parameters(), bf16=False) == 16 * model.num_parameters()


def test_what_is_shared_falls_with_the_cards():
    config, parameters = make_config(**SIZES), 1_000_000
    matrices = 12 * 64**2
    assert state_bytes(config, parameters, 8, bf16=False) == 20e6
    assert state_bytes(config, parameters, 8, sharded=True) == 2e6 + 2 * (1_000_000 - matrices)
    assert state_bytes(config, parameters, 8) - 20e6 == 2 * 3 * matrices


@pytest.mark.parametrize("level", ["token", "sentence", "document"])
def test_the_expected_batch_is_the_mean_of_the_collators(tokenizer, level):
    data_args = PretrainingArguments(["text"], max_length=480, mixture={level: 1.0})
    text = "It is a hole in the text and she saw it again. " * 80
    text = tokenizer(text, add_special_tokens=False)["input_ids"][:478]
    rows = [{"input_ids": [tokenizer.cls_token_id, *text, tokenizer.eos_token_id]}] * 200
    collator = DataCollatorForBlankInfilling(tokenizer, {level: 1.0})
    batch = collator(rows)
    expected = blanked(data_args, make_config(), 200)
    assert batch["attention_mask"].sum() / 200 == pytest.approx(expected.tokens, rel=0.03)
    assert (batch["labels"] != -100).sum() / 200 == pytest.approx(expected.labelled, rel=0.15)


def test_the_plan_is_a_table(capsys):
    plan_run([str(ROOT / "configs" / "pretrain_335m.yaml"), "--cards", "1", "8"])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 4
    one, eight = (dict(zip(lines[0], line, strict=True)) for line in lines[2:])
    assert (one["parameters"], one["text"], one["rows"]) == ("335 M", "105 B", "16")
    assert float(one["days"]) == pytest.approx(8 * float(eight["days"]), rel=0.1)
    assert int(eight["FSDP2, checkpointing"]) < int(eight["FSDP2"]) < int(one["DDP"]) < int(eight["DDP"])


def test_the_documented_table_is_what_the_script_prints(capsys):
    sizes = ("110m", "335m", "410m", "515m", "2b", "10b")
    plan_run([str(ROOT / "configs" / f"pretrain_{size}.yaml") for size in sizes])
    assert capsys.readouterr().out in (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_a_plan_of_a_file_that_lacks_what_it_needs_names_the_file_and_the_settings(tmp_path):
    (tmp_path / "a.yaml").write_text("max_steps: 10\ntrain_data: x\n")
    with pytest.raises(ValueError, match=r"a\.yaml has no config, no per_device_train_batch_size\..*pretrain_335m"):
        plan_run([str(tmp_path / "a.yaml")])
    (tmp_path / "a.yaml").write_text("max_steps: 10\nper_device_train_batch_size: 2\nconfig: {num_layerz: 2}\n")
    with pytest.raises(ValueError, match="num_layerz.* Did you mean num_layers"):
        plan_run([str(tmp_path / "a.yaml")])
    (tmp_path / "a.yaml").write_text("max_steps: 10\nper_device_train_batch_size: 2\nconfig: {num_layers: 2}\n")
    plan_run([str(tmp_path / "a.yaml")])  # where the text is does not matter
