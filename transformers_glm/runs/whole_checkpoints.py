# SPDX-License-Identifier: Apache-2.0
"""Whether a checkpoint of the Trainer is whole: a run resumes only from a whole one, and logs which."""

import json
import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME


logger = logging.getLogger(__name__)

NAME = re.compile(r"checkpoint-(\d+)")  # other folders beside the checkpoints are ignored
# the parts of a checkpoint, and the names that one of its files or folders matches
PARTS = {
    "the Trainer's state": ("trainer_state.json",),
    "weights": (
        "model.safetensors",
        "model-*.safetensors",
        "adapter_model.safetensors",
        "pytorch_model_fsdp*",
        "global_step*",
    ),
    "optimizer": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "schedule": ("scheduler.pt",),
    "random state": ("rng_state*.pth",),
}


def last_checkpoint(training_args: TrainingArguments) -> str | None:
    """
    The checkpoint to go on from: the one asked for, or the last one in `output_dir` that is whole; those that are not are named.

    Raises:
        `ValueError`: the checkpoint that is asked for is not whole, or none of those in `output_dir` is.
    """
    asked, output_dir = training_args.resume_from_checkpoint, Path(training_args.output_dir)
    parts = [part for part in PARTS if not training_args.save_only_model or part in ("the Trainer's state", "weights")]
    if asked and asked not in ("True", "true"):
        if faults := list(_faults(Path(asked), parts)):
            raise ValueError(
                f"{asked} is not a whole checkpoint: {'; '.join(faults)}. Give another one, or leave --resume_from_checkpoint out: "
                "then the last whole one is taken."
            )
        return asked
    found = [path for path in output_dir.glob("checkpoint-*") if path.is_dir() and NAME.fullmatch(path.name)]
    for path in sorted(found, key=lambda path: -int(NAME.fullmatch(path.name)[1])):
        faults = list(_faults(path, parts))
        if not faults:
            logger.warning("Resuming from %s. Give another output_dir to begin anew.", path)
            return str(path)
        logger.warning("%s is not whole and is left out: %s.", path, "; ".join(faults))
    if found:
        raise ValueError(
            f"None of the checkpoints in {output_dir} is whole, see above. Remove them to begin anew, or give another output_dir."
        )
    if asked:
        raise ValueError(f"There is no checkpoint to resume from in {output_dir}. Leave --resume_from_checkpoint out.")
    return None


def _faults(checkpoint: Path, parts: list[str]) -> Iterator[str]:
    """What is missing or damaged. Files are opened and their ends looked for; they are not read whole."""
    if any(checkpoint.glob("global_step*")):  # DeepSpeed may keep the schedule there
        parts = [part for part in parts if part != "schedule"]
    for part in parts:
        files = [file for name in PARTS[part] for file in sorted(checkpoint.glob(name))]
        if not files:
            yield f"its {part} is missing ({' or '.join(PARTS[part])})"
        for file in files:
            try:
                _open(file)
            except (SafetensorError, ValueError, OSError, zipfile.BadZipFile) as error:
                yield f"{file.name} is damaged ({error or type(error).__name__})"
    index = checkpoint / "model.safetensors.index.json"
    if index.is_file():
        try:
            named = sorted(
                {str(file) for file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
            )
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            yield f"{index.name} is damaged ({type(error).__name__}: {error})"
        else:
            yield from (f"{file} is missing" for file in named if not (checkpoint / file).is_file())
    elif any(checkpoint.glob("model-*.safetensors")):
        yield f"{index.name} is missing"


def _open(file: Path) -> None:
    if file.is_dir():
        return
    if file.suffix == ".safetensors":
        with safe_open(file, "pt"):  # a file that ends early is refused
            return
    if file.name == TRAINER_STATE_NAME:
        state = json.loads(file.read_text(encoding="utf-8"))
        if not (isinstance(state, dict) and isinstance(state.get("global_step"), int)):
            raise ValueError("it has no global_step")
    elif file.suffix in (".pt", ".bin", ".pth"):
        with zipfile.ZipFile(file):  # its list of contents stands at the end
            return
