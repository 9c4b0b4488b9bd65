# SPDX-License-Identifier: Apache-2.0
"""`transformers-glm pretrain`, which also writes down what each process was given, and kills one of them if asked to."""

import json
import os
import signal
import sys
from pathlib import Path

from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from transformers_glm.commands.pretrain import main
from transformers_glm.pretraining import run as pretraining


class Recorder(TrainerCallback):
    """Writes the rows of each training batch without their padding, one batch a line, and the losses at the end."""

    def __init__(self, folder, kill_rank, kill_step):
        self.folder, self.kill_rank, self.kill_step = Path(folder), kill_rank, kill_step

    def on_train_begin(self, args, state, control, model, **kwargs):
        path = self.folder / f"rank-{args.process_index}.jsonl"
        self.rows = path.open("a")
        model.register_forward_pre_hook(self.write_rows, with_kwargs=True)

    def write_rows(self, model, args, batch):
        if model.training:
            masks = batch["attention_mask"] == 1
            rows = [ids[mask].tolist() for ids, mask in zip(batch["input_ids"], masks, strict=True)]
            self.rows.write(json.dumps(rows) + "\n")
            self.rows.flush()

    def on_step_end(self, args, state, control, model, **kwargs):
        sharded = sum(isinstance(parameter, DTensor) for parameter in model.parameters())
        (self.folder / f"sharded-{args.process_index}").write_text(str(sharded))
        if state.global_step == self.kill_step and args.process_index == self.kill_rank:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_log(self, args, state, control, **kwargs):
        (self.folder / f"log-{args.process_index}.json").write_text(json.dumps(state.log_history))


def run(folder, kill_rank, kill_step, *arguments):
    """Run the command with a recorder that writes to `folder`."""
    original = pretraining.pretrain

    def pretrain(model_args, data_args, training_args):
        if training_args.fsdp and training_args.world_size > 1:
            # Accelerate takes FSDP for accelerators only, and on CPUs falls back to DDP without a word
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        recorder = Recorder(folder, int(kill_rank), int(kill_step))
        return original(model_args, data_args, training_args, [recorder])

    pretraining.pretrain = pretrain
    main(arguments)


if __name__ == "__main__":
    run(*sys.argv[1:])
