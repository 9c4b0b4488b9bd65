# SPDX-License-Identifier: Apache-2.0
"""A checkpoint sharded over the processes by the plan of its configuration, against the same in one piece."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from transformers.distributed import DistributedConfig

from modeling_glm import GLMForConditionalGeneration
from multiple_choice_glm import GLMForMultipleChoice


def whole(tensor):
    """The tensor that all processes hold together."""
    return tensor.full_tensor() if isinstance(tensor, dist.tensor.DTensor) else tensor


def largest_difference(ours, theirs):
    return max((whole(a) - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


def run(how, checkpoint, folder):
    """Write what differs, and the shares of the parameters that this process holds, to `folder`."""
    dist.init_process_group("gloo")
    size = dist.get_world_size()
    config = DistributedConfig(fsdp_size=size) if how == "fsdp" else DistributedConfig(tp_size=size)
    model = GLMForConditionalGeneration.from_pretrained(checkpoint, distributed_config=config).train()
    expected = GLMForConditionalGeneration.from_pretrained(checkpoint).train()
    batch = torch.load(Path(folder) / "batch.pt", weights_only=True)
    outputs = [part(**batch) for part in (model, expected)]
    for output in outputs:
        whole(output.loss).backward()
    sharded = [parameter for parameter in model.parameters() if isinstance(parameter, dist.tensor.DTensor)]
    found = {
        "loss": largest_difference([outputs[0].loss.detach()], [outputs[1].loss.detach()]),
        "gradients": largest_difference([p.grad for p in model.parameters()], [p.grad for p in expected.parameters()]),
        "held": sum(p.to_local().numel() for p in sharded) / sum(p.numel() for p in sharded),
        "sharded": sum(p.numel() for p in sharded) / expected.num_parameters(),
    }
    with torch.no_grad():  # after the gradients are read: FSDP leaves the whole weights in their place
        logits = [part(**batch, return_logits=True).logits for part in (model, expected)]
    found["logits"] = largest_difference(logits[:1], logits[1:])
    choices = {**batch, "choice_ids": batch["input_ids"][:, None, 8:].repeat(1, 2, 1)}
    choices["choice_ids"][:, 1] += 1
    choices["choice_indices"] = torch.arange(8, 12).expand_as(choices["choice_ids"])
    del choices["labels"]
    with torch.no_grad():
        scores = [
            GLMForMultipleChoice.from_pretrained(checkpoint, distributed_config=sharding).eval()(**choices).logits
            for sharding in (config, None)
        ]
    found["scores of choices"] = largest_difference(scores[:1], scores[1:])
    model.save_pretrained(Path(folder) / "saved")
    prompt = {"input_ids": batch["input_ids"][:, :8].index_fill(1, torch.tensor([3]), model.config.mask_token_ids[0])}
    pieces = [part.eval().generate(**prompt, max_new_tokens=6, do_sample=False).tolist() for part in (model, expected)]
    found["generates the same"] = pieces[0] == pieces[1] and len(pieces[0][0]) > 2
    (Path(folder) / f"found-{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    run(*sys.argv[1:])
