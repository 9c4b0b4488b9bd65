# SPDX-License-Identifier: Apache-2.0
"""Muon for the matrices of the layers, AdamW for the rest: fewer steps where steps are dear."""

from typing import Any

import torch
from torch.optim import AdamW, Optimizer
from transformers import Trainer


class MuonWithAdamW(Optimizer):
    """
    Two optimizers of PyTorch as one, for the stock Trainer: one schedule, one state to save.

    [Muon](https://kellerjordan.github.io/posts/muon/) turns the momentum of a matrix into the nearest orthogonal matrix
    and steps along it. It is meant for the matrices inside the layers; embeddings, norms and biases stay with AdamW.

    Args:
        matrices (`list[dict]`): parameter groups of 2-D weights for `torch.optim.Muon`, each with its settings.
        others (`list[dict]`): parameter groups for `torch.optim.AdamW`, each with its settings.
    """

    def __init__(self, matrices: list[dict[str, Any]], others: list[dict[str, Any]]):
        self.muon, self.adamw = torch.optim.Muon(matrices), AdamW(others)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})
        self._share()

    def _share(self):
        """Groups and states are those of this optimizer; the two others only see their part."""
        split = len(self.muon.param_groups)
        self.muon.param_groups, self.adamw.param_groups = self.param_groups[:split], self.param_groups[split:]
        self.muon.state = self.adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Take one step with both."""
        self.muon.step()
        self.adamw.step()


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
