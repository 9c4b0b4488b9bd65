# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
import torch
from transformers import Trainer, TrainingArguments

from transformers_glm.pretraining.optimizer import Muon, MuonWithAdamW, use_muon


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


SHAPES = [(4, 6), (4, 6), (6, 4), (5, 5), (3, 9), (4, 6)]


def muons(dtype, **settings):
    """Ours and PyTorch's with equal matrices; the last one never gets a gradient."""
    torch.manual_seed(0)
    matrices = [torch.randn(shape, dtype=dtype) for shape in SHAPES]
    for kind in (Muon, torch.optim.Muon):
        parameters = [torch.nn.Parameter(matrix.clone()) for matrix in matrices]
        yield parameters, kind(parameters, **MUON, **settings)


def three_steps(*parameters_and_optimizers):
    for seed in range(3):
        for parameters, optimizer in parameters_and_optimizers:
            torch.manual_seed(seed)
            for parameter in parameters[:-1]:
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()


@pytest.mark.parametrize(
    "settings",
    [{}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}, {"ns_steps": 3, "momentum": 0.5}],
    ids=str,
)
def test_muon_is_that_of_pytorch_without_its_rounding(settings, monkeypatch):
    """PyTorch's own lines, kept from rounding to bf16, give the same in double precision."""
    ours, theirs = muons(torch.float64, **settings)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    three_steps(ours, theirs)
    for one, other in zip(ours[0], theirs[0], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert all(map(torch.equal, momenta(ours), momenta(theirs)))


def momenta(parameters_and_optimizer):
    parameters, optimizer = parameters_and_optimizer
    return [optimizer.state[parameter]["momentum_buffer"] for parameter in parameters[:-1]]


def test_muon_is_that_of_pytorch_within_its_rounding():
    ours, theirs = muons(torch.float32)
    before = [parameter.detach().clone() for parameter in ours[0]]
    three_steps(ours, theirs)
    for one, other, start in zip(ours[0][:-1], theirs[0], before, strict=False):
        way = (other - start).norm()
        assert (one - other).norm() < 0.02 * way  # bf16 has 8 bits; five steps of three products each
    assert torch.equal(ours[0][-1], before[-1]) and torch.equal(theirs[0][-1], before[-1])


def test_muon_takes_the_state_of_pytorch():
    """A run that was begun with PyTorch's Muon goes on."""
    ours, theirs = muons(torch.float32)
    three_steps(theirs)
    ours[1].load_state_dict(theirs[1].state_dict())
    assert all(map(torch.equal, momenta(ours), momenta(theirs)))
    three_steps(ours)


def test_muon_calculates_in_fp32_at_least():
    matrix = torch.nn.Parameter(torch.eye(4, dtype=torch.bfloat16))
    matrix.grad = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])).bfloat16()
    Muon([matrix], lr=1.0, weight_decay=0.0).step()
    assert matrix.dtype == torch.bfloat16
    assert (matrix - torch.eye(4)).diagonal().neg().float().tolist() == pytest.approx([1] * 4, abs=0.35)


def test_it_steps_as_muon_and_adamw_do_apart():
    both, apart = parameters(), parameters()
    optimizer = optimizer_of(*both)
    muon, adamw = Muon([apart[0]], **MUON), torch.optim.AdamW([apart[1]], **ADAMW)
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
