# SPDX-License-Identifier: Apache-2.0
"""Where a training run resumes, and what it leaves."""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_model
from transformers import Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_NAME

from ..files import write_whole
from .processor import warn_of_slow_bf16
from .time_limit import keep_within
from .whole_checkpoints import last_checkpoint


logger = logging.getLogger(__name__)

# settings that may differ when a run is resumed: they change no step, or may change on the way, as a learning rate or a time may
NO_MATTER = (
    *("workers", "evaluation_data", "evaluation_split", "evaluation_rows", "metrics"),
    *("generation", "max_seconds", "muon_learning_rate"),
)


def train_from_checkpoint(trainer: Trainer, max_seconds: float | None = None) -> dict[str, float]:
    """
    Train from where the last checkpoint ends; if an earlier run has done all the steps, only load its weights.

    Args:
        trainer (`Trainer`): a trainer before it trains.
        max_seconds (`float`, *optional*): the longest that training may take, see [`keep_within`].

    Returns:
        `dict[str, float]`: the metrics of the training.
    """
    warn_of_slow_bf16(trainer.args)
    checkpoint, state = last_checkpoint(trainer.args), TrainerState()
    if checkpoint is not None:
        state = TrainerState.load_from_json(str(Path(checkpoint) / TRAINER_STATE_NAME))
    if max_seconds is not None:
        keep_within(trainer, max_seconds, state.global_step)
    # the Trainer would take one step more
    if checkpoint is not None and 0 < trainer.args.max_steps <= state.global_step:
        logger.warning("All %d steps are done already.", trainer.args.max_steps)
        load_model(trainer.model, Path(checkpoint) / SAFE_WEIGHTS_NAME, strict=False)  # the tied head is not saved
        trainer.state = state
        if trainer.is_fsdp_enabled:  # it evaluates only what has been sharded together with its optimizer
            trainer.model, trainer.optimizer = trainer.accelerator.prepare(trainer.model, trainer.create_optimizer())
        return {"train_runtime": 0.0}
    # the tied head is never saved: without this the Trainer would warn that a checkpoint lacks it
    trainer.model._keys_to_ignore_on_save = {"lm_head.weight"} & trainer.model.all_tied_weights_keys.keys()
    return trainer.train(resume_from_checkpoint=checkpoint).metrics


def check_same_run(output_dir: str | Path, *arguments: Any) -> None:
    """
    Refuse to go on with a run that has other settings; write those of a new run into `run.json`.

    Args:
        output_dir (`str` or `Path`): the folder of the run.
        arguments: the dataclasses that define the run: its model, data and task.

    Raises:
        `ValueError`: a checkpoint in `output_dir` is of a run with other settings; each difference is named.
    """
    output_dir, settings = Path(output_dir), {}
    for part in arguments:
        settings |= {name: value for name, value in asdict(part).items() if name not in NO_MATTER}
    settings = json.loads(json.dumps(settings, default=str))
    file = output_dir / "run.json"
    if file.is_file() and any(output_dir.glob(f"checkpoint-*/{TRAINER_STATE_NAME}")):
        before = json.loads(file.read_text(encoding="utf-8"))
        differences = [
            f"{name}: {before.get(name)!r} and {value!r}"
            for name, value in settings.items()
            if name in before and before[name] != value
        ]
        if differences:
            raise ValueError(
                f"{output_dir} holds a run of other settings (its value, yours): {'; '.join(differences)}. Give another "
                f"output_dir, or its settings; where the difference does not matter, remove {file}."
            )
        return
    with write_whole(file) as unfinished:
        unfinished.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def save(trainer: Trainer, metrics: dict[str, float] | None = None) -> None:
    """Save model, tokenizer and metrics, if any, in `output_dir`, where each file appears only once all are complete."""
    output_dir = Path(trainer.args.output_dir)
    unfinished = output_dir / "unfinished"
    trainer.save_model(str(unfinished))
    if not trainer.args.should_save:
        return
    if metrics is not None:
        (unfinished / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    for file in unfinished.iterdir():
        file.replace(output_dir / file.name)
    shutil.rmtree(unfinished)
    logger.warning("Saved model and tokenizer in %s.", output_dir)
