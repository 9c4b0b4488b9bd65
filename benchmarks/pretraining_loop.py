# SPDX-License-Identifier: Apache-2.0
"""
The whole pretraining loop beside the model step alone: what data, logging, checkpoints and the Trainer add.

    python benchmarks/pretraining_loop.py

The loop is that of `scripts/pretrain.py`, called as a function, on Python's language reference: `--steps` steps with logging every
10 and a checkpoint every half of them. The step alone is forward, backward, clipping and the optimizer on the very batches that the
loop was given. They take turns.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from pydoc_data.topics import topics

import torch
from environment import Median, describe
from transformers import Trainer, TrainerCallback

from modeling_glm import GLMForConditionalGeneration
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.pretraining.run import pretrain
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import ModelArguments


class Recorder(TrainerCallback):
    """Notes how long training takes, and keeps its batches."""

    def __init__(self):
        self.batches = []

    def on_train_begin(self, args, state, control, model, **kwargs) -> None:
        """Begin."""
        model.register_forward_pre_hook(lambda model, args, batch: self.batches.append(batch), with_kwargs=True)
        self.begin = time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs) -> None:
        """End."""
        self.seconds = time.perf_counter() - self.begin


def whole_loop(args: argparse.Namespace, text: Path, output: Path) -> tuple[Trainer, Recorder]:
    """A run of the script."""
    sizes = {"hidden_size": args.hidden_size, "num_layers": args.layers, "num_attention_heads": args.hidden_size // 64}
    sizes |= {"max_sequence_length": args.length, "attention_dropout_prob": 0.0}
    flags = {
        "train_data": text,
        "config": json.dumps(sizes),
        "vocab_size": 8192,
        "mixture": '{"token": 0.5, "sentence": 0.2, "document": 0.3}',
        "max_length": args.length,
        "output_dir": output,
        "max_steps": args.steps,
        "per_device_train_batch_size": args.batch,
        "logging_steps": 10,
        "save_steps": args.steps // 2,
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_num_workers": args.workers,
        "dataloader_pin_memory": False,
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    recorder = Recorder()
    settings = parse_arguments((ModelArguments, PretrainingArguments), words, training="TrainingArguments")
    return pretrain(*settings, [recorder])[0], recorder


def step_alone(trainer: Trainer, batches: list[dict]) -> float:
    """Seconds of the bare steps."""
    torch.manual_seed(0)
    model = GLMForConditionalGeneration(trainer.model.config).train()
    optimizer_class, settings = Trainer.get_optimizer_cls_and_kwargs(trainer.args, model)
    optimizer = optimizer_class(model.parameters(), **settings)
    begin = time.perf_counter()
    for batch in batches:
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), trainer.args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - begin


def main() -> None:
    """Print the share of the loop's time that is the model's step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text("\n".join(topics.values()), encoding="utf-8")
        for turn in range(args.repetitions):
            trainer, recorder = whole_loop(args, text, Path(folder, f"run{turn}"))
            shares.append(step_alone(trainer, recorder.batches) / recorder.seconds)
    share = Median(shares)
    print(describe())
    print(f"{args.layers} x {args.hidden_size}, {args.steps} steps of {args.batch} documents of {args.length} tokens")
    print(
        f"{args.workers} workers, median of {args.repetitions}\n\nthe step alone is {share:.1%} of the loop ({share.spread})"
    )


if __name__ == "__main__":
    main()
