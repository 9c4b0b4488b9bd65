# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
import torch
from transformers import Trainer, TrainingArguments

from transformers_glm.optimizer import MuonWithAdamW, use_muon


MUON, ADAMW = {"lr": 0.02, "weight_decay": 0.1}, {"lr": 1e-3, "betas": (0.9, 0.98), "weight_decay": 0.01}


def parameters(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Parameter(torch.randn(4, 6)), torch.nn.Parameter(torch.randn(5))


def optimizer_of(matrix, vector):
    return MuonWithAdamW([{"params": [matrix], **MUON}], [{"params": [vector], **ADAMW}])


def step(optimizers, matrix, vector, seed):
    torch.manual_seed(seed)
    matrix.grad, vector.grad = torch.randn(4, 6), torch.randn(5)
    for optimizer in optimizers:
        optimizer.step()


def test_it_steps_as_muon_and_adamw_do_apart():
    both, apart = parameters(), parameters()
    optimizer = optimizer_of(*both)
    muon, adamw = torch.optim.Muon([apart[0]], **MUON), torch.optim.AdamW([apart[1]], **ADAMW)
    for seed in range(5):
        step([optimizer], *both, seed)
        step([muon, adamw], *apart, seed)
    assert torch.equal(both[0], apart[0]) and torch.equal(both[1], apart[1])


def test_a_schedule_sets_the_rates_of_both():
    optimizer = optimizer_of(*parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in (optimizer.muon.param_groups + optimizer.adamw.param_groups)] == [0.01, 5e-4]


def test_a_saved_state_goes_on_as_if_never_stopped():
    whole = parameters()
    optimizer = optimizer_of(*whole)
    step([optimizer], *whole, 0)
    halved = tuple(torch.nn.Parameter(parameter.detach().clone()) for parameter in whole)
    resumed = optimizer_of(*halved)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for seed in (1, 2):
        step([optimizer], *whole, seed)
        step([resumed], *halved, seed)
    assert torch.equal(whole[0], halved[0]) and torch.equal(whole[1], halved[1])


def test_muon_gets_the_matrices_of_the_layers_and_adamw_the_rest(tiny_model, tmp_path):
    trainer = Trainer(tiny_model, TrainingArguments(tmp_path, use_cpu=True, weight_decay=0.1))
    use_muon(trainer, 0.02)
    name_of = {parameter: name for name, parameter in tiny_model.named_parameters()}
    muon, decayed, others = ({name_of[p] for p in group["params"]} for group in trainer.optimizer.param_groups)
    kinds = {name.split("layers.")[1][2:] for name in muon}
    assert kinds == {
        "attention.query_key_value.weight",
        "attention.dense.weight",
        "mlp.dense_h_to_4h.weight",
        "mlp.dense_4h_to_h.weight",
    }
    assert decayed == {
        "glm.word_embeddings.weight",
        "glm.transformer.position_embeddings.weight",
        "glm.transformer.block_position_embeddings.weight",
    }
    assert all(name.endswith("bias") or "layernorm" in name for name in others)
    assert muon | decayed | others == set(name_of.values())
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.1, 0.1, 0.0]


def test_sharded_weights_are_refused(tiny_model, tmp_path):
    trainer = Trainer(tiny_model, TrainingArguments(tmp_path, use_cpu=True))
    trainer.args.deepspeed = "zero3.json"
    with pytest.raises(ValueError, match="whole matrices"):
        use_muon(trainer, 0.02)
