# SPDX-License-Identifier: Apache-2.0
"""Training of a few steps on the CPU, of which nothing is left except its losses."""

from transformers import TrainingArguments


def arguments(folder, kind=TrainingArguments, **settings):
    quiet = {"report_to": "none", "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
    return kind(**{"output_dir": str(folder), "lr_scheduler_type": "constant", **quiet, **settings})


def losses_of(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
