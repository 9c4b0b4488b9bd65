# SPDX-License-Identifier: Apache-2.0
"""Muon for the matrices of the layers, AdamW for the rest: fewer steps where steps are expensive."""

import math
from collections import defaultdict
from typing import Any

import torch
from torch.optim import AdamW, Optimizer
from transformers import Trainer


class Muon(torch.optim.Muon):
    """
    PyTorch's Muon, except that on a CPU it orthogonalizes in fp32, and all matrices of a shape at once.

    PyTorch does so in bf16, one matrix after the other. A processor without bf16 products takes a hundred times as long
    for these; one that has them takes about as long for small matrices as fp32 takes for all of a shape. Settings and state
    are PyTorch's.
    """

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Take one step."""
        if any(p.device.type != "cpu" for group in self.param_groups for p in group["params"]):
            super().step(closure)
            return
        for group in self.param_groups:
            of_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    of_shape[parameter.shape].append(parameter)
            for shape, parameters in of_shape.items():
                updates = [self._momentum(parameter, group) for parameter in parameters]
                coefficients, steps, eps = (group[name] for name in ("ns_coefficients", "ns_steps", "eps"))
                updates = orthogonalize(torch.stack(updates), coefficients, steps, eps)
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * _scale(shape, group["adjust_lr_fn"]))

    def _momentum(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        state, gradient = self.state[parameter], parameter.grad
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum


def orthogonalize(
    matrices: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """
    The Newton-Schulz steps of [Muon](https://kellerjordan.github.io/posts/muon/) for several matrices of one shape.

    A step makes X to (a + b G + c G²) X with G = X Xᵀ. The factors of all steps are multiplied first, and with X once: they
    are as small as the shorter side, and each G follows from the one before.

    Args:
        matrices (`torch.Tensor` of shape `(N, rows, columns)`): fp32 or fp64; lower precision is raised to fp32.
        coefficients (`tuple[float, float, float]`): a, b and c.
        steps (`int`): how many steps.
        eps (`float`): the least norm that a matrix is divided by.

    Returns:
        `torch.Tensor` of shape `(N, rows, columns)`: matrices whose singular values are near 1.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalize(matrices.mT, coefficients, steps, eps).mT
    a, b, c = coefficients
    matrices = matrices.to(torch.promote_types(matrices.dtype, torch.float32))
    matrices = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    gram, identity = matrices @ matrices.mT, torch.eye(matrices.shape[1], dtype=matrices.dtype)
    product = identity.expand_as(gram)
    for _ in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * identity
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ matrices


def _scale(shape: torch.Size, adjust: str | None) -> float:
    """What the learning rate of a matrix is multiplied by, as `adjust_lr_fn` of PyTorch's Muon says."""
    rows, columns = shape
    if adjust == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


class MuonWithAdamW(Optimizer):
    """
    Two optimizers of PyTorch as one, for the stock Trainer: one schedule, one state to save.

    [Muon](https://kellerjordan.github.io/posts/muon/) turns the momentum of a matrix into the nearest orthogonal matrix
    and steps along it. It is meant for the matrices inside the layers; embeddings, norms and biases stay with AdamW.

    Args:
        matrices (`list[dict]`): parameter groups of 2-D weights for [`Muon`], each with its settings.
        others (`list[dict]`): parameter groups for `torch.optim.AdamW`, each with its settings.
    """

    def __init__(self, matrices: list[dict[str, Any]], others: list[dict[str, Any]]):
        self.muon, self.adamw = Muon(matrices), AdamW(others)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Take one step with both."""
        split = len(self.muon.param_groups)
        for optimizer, groups in ((self.muon, self.param_groups[:split]), (self.adamw, self.param_groups[split:])):
            optimizer.param_groups, optimizer.state = groups, self.state  # which load_state_dict makes anew
            optimizer.step()


def use_muon(trainer: Trainer, learning_rate: float) -> None:
    """
    Give a Trainer, before it trains, Muon with `learning_rate` for the layers' matrices and its own AdamW for the rest.

    Raises:
        `ValueError`: the weights are sharded over devices, so that no process has a whole matrix.
    """
    args = trainer.args
    if args.fsdp or args.deepspeed:
        raise ValueError("Muon needs whole matrices, which FSDP and DeepSpeed shard. Leave muon_learning_rate out.")
    decayed = set(trainer.get_decay_parameter_names(trainer.model))
    parameters = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    matrices = [name for name, parameter in parameters.items() if ".layers." in name and parameter.dim() == 2]
    adamw = {"lr": args.learning_rate, "betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    groups = [
        {"params": [parameters[name] for name in parameters if name not in matrices and (name in decayed) == decays]}
        | {"weight_decay": args.weight_decay if decays else 0.0, **adamw}
        for decays in (True, False)
    ]
    muon = {"params": [parameters[name] for name in matrices], "lr": learning_rate, "weight_decay": args.weight_decay}
    trainer.optimizer = MuonWithAdamW([muon], groups)
