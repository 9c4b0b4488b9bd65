# SPDX-License-Identifier: Apache-2.0
"""As many steps as a time has room for: measured before training, and fewer if the machine becomes slower."""

import json
import logging
import math
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import ProgressCallback, Trainer, TrainerCallback

from ..files import write_whole
from .processor import processor_name


logger = logging.getLogger(__name__)

TRIAL = 0.02  # share of the time in which steps are measured
TRIAL_SECONDS = 10  # of it at most
LEAST_STEPS = 3  # measured, however long they take; the first one is slower and does not count
SPARE = 0.05  # share of the time for checkpoints, logs and slower moments
WINDOW = 0.1  # share of the time over which the pace is taken while training


@dataclass
class Plan:
    """
    How many steps a run takes, written down with it in `plan.json`, so that a resumed run goes on with the same.

    Args:
        steps (`int`): the steps that the schedule of the learning rate was made for.
        seconds (`float`): the time that they were chosen for.
        seconds_per_step (`float`): as measured.
        processor (`str`): where.
        shortened (`list[tuple[int, int]]`):
            The step from which the schedule was run through faster, and the step at which it then ends, each time that the
            machine had become slower.
    """

    steps: int
    seconds: float
    seconds_per_step: float
    processor: str
    shortened: list[tuple[int, int]] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The step at which training ends."""
        return self.shortened[-1][1] if self.shortened else self.steps

    def place(self, step: int) -> float:
        """
        Where in the schedule of `steps` steps a step stands.

            steps 8, shortened [(4, 6)]     step 0 1 2 3 4 5 6      place 0 1 2 3 4 6 8
        """
        steps, places = [0, self.steps], [0.0, self.steps]
        for start, end in self.shortened:
            steps, places = [*steps[:-1], start, end], [*places[:-1], np.interp(start, steps, places), self.steps]
        return float(np.interp(step, steps, places))

    def save(self, output_dir: str | Path) -> None:
        """Write it into the folder of its run."""
        with write_whole(Path(output_dir) / "plan.json") as unfinished:
            unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, output_dir: str | Path) -> "Plan | None":
        """
        The plan of the run in a folder, if it has one.

        Raises:
            `ValueError`: `plan.json` is damaged.
        """
        file = Path(output_dir) / "plan.json"
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{file} is damaged ({error}). Restore it, or remove it: the steps that are left are then chosen anew."
            ) from error


class Deadline(TrainerCallback):
    """
    Keeps a run to its time: where steps have become slower than planned, or evaluations and checkpoints take the time of some,
    the rest of the schedule is run through in fewer.

    Args:
        trainer (`Trainer`): the trainer of the run.
        plan (`Plan`): its plan, which is changed and saved when it is shortened.
        seconds (`float`): the time.
        start (`float`): when it began, as `time.monotonic` has it.
    """

    def __init__(self, trainer: Trainer, plan: Plan, seconds: float, start: float):
        self.trainer, self.plan, self.seconds, self.start = trainer, plan, seconds, start
        self.ends: deque[float] = deque()  # of the last steps, by a clock that stands still in `paused` seconds
        self.paused, self.told = 0.0, start
        self.steps, self.pause_of_step = 0, 0.0

    def on_train_begin(self, args, state, control, lr_scheduler, **kwargs) -> None:
        """Let the schedule follow the plan."""

        def by_the_plan(rate):
            return lambda step: rate(self.plan.place(step))

        if isinstance(lr_scheduler, LambdaLR):  # the others follow the loss
            lr_scheduler.lr_lambdas = [by_the_plan(rate) for rate in lr_scheduler.lr_lambdas]
        self._end_at(state, self.plan.end)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Look whether the steps that are left fit into the time that is left."""
        now = self.told = time.monotonic()
        self.steps += 1
        self.ends.append(now - self.paused)
        while self.ends[-1] - self.ends[0] > WINDOW * self.seconds and len(self.ends) > 2:
            self.ends.popleft()
        measured = self.ends[-1] - self.ends[0]
        steps_left, seconds_left = state.max_steps - state.global_step, self.start + self.seconds - now
        if steps_left < 2 or measured < WINDOW / 2 * self.seconds:
            return
        pace = measured / (len(self.ends) - 1) + self.pause_of_step
        if pace * steps_left <= seconds_left:
            return
        end = state.global_step + max(1, int((1 - SPARE) * seconds_left / pace))
        logger.warning(
            "A step now takes %.2f s, with its share of evaluations and checkpoints: the schedule ends with step %d in place of %d.",
            *(pace, end, state.max_steps),
        )
        # a resumed run may be slower before the step from which it was shortened when it was there first
        done = [(since, to) for since, to in self.plan.shortened if since < state.global_step]
        self.plan.shortened = [*done, (state.global_step, end)]
        self.plan.save(args.output_dir)
        self._end_at(state, end)

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        """Time spent between two steps counts against neither of them; it is spread over all steps before it."""
        now = time.monotonic()
        if self.steps:
            self.paused += now - self.told
            self.pause_of_step = self.paused / self.steps
        self.told = now

    on_save = on_evaluate

    def _end_at(self, state, step: int) -> None:
        state.max_steps = step
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback) and callback.training_bar is not None:
                callback.training_bar.total = step


def keep_within(trainer: Trainer, seconds: float, steps_done: int = 0) -> None:
    """
    Let a trainer take as many steps as `seconds` have room for, `max_steps` (or `num_train_epochs`) at most.

    How long a step takes is measured by a few steps, which are undone. The schedule is made for the steps that were
    chosen, and ends within the time even where the machine becomes slower. A resumed run keeps the plan that it has.

    Args:
        trainer (`Trainer`): a trainer before it trains.
        seconds (`float`): the time, from now on.
        steps_done (`int`, *optional*, defaults to 0): steps of the run that is gone on with.

    Raises:
        `ValueError`: there are several processes; no time is given; the plan of the run is damaged.
    """
    if seconds <= 0:
        raise ValueError(f"max_seconds={seconds}: training takes more than no time. Give seconds, or leave it out.")
    args, start = trainer.args, time.monotonic()
    if args.world_size > 1:
        raise ValueError("Each process has a clock of its own, and they would part. Say with max_steps when to end.")
    plan = Plan.load(args.output_dir) if steps_done else None
    if plan is None:
        pace = seconds_per_step(trainer, min(TRIAL * seconds, TRIAL_SECONDS))
        fit = int((1 - SPARE) * (start + seconds - time.monotonic()) / pace)
        plan = Plan(max(1, min(steps_done + fit, _most_steps(trainer))), seconds, pace, processor_name())
        plan.save(args.output_dir)
    elif plan.seconds != seconds:
        logger.warning(
            "The run goes on with its plan for %.0f s; another max_seconds adds no steps to it.", plan.seconds
        )
    logger.warning(
        "%d steps in at most %.0f s: one was measured to take %.3f s (%s).",
        *(plan.end, plan.seconds, plan.seconds_per_step, plan.processor),
    )
    args.max_steps = plan.end if steps_done >= plan.end else plan.steps
    trainer.add_callback(Deadline(trainer, plan, seconds, start))


def seconds_per_step(trainer: Trainer, at_most: float) -> float:
    """
    The mean time of a step of training, from steps that leave the weights, the optimizer and PyTorch's generators as they were.

    Args:
        trainer (`Trainer`): a trainer before it trains.
        at_most (`float`): seconds after which no further step is begun; three steps are taken in any case.
    """
    if trainer.optimizer is None:
        trainer.create_optimizer()
    model, optimizer, args = trainer.model.train(), trainer.optimizer, trainer.args
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter.detach().clone() for parameter in trained]
    ends, first = [], time.monotonic()
    with torch.random.fork_rng():
        loader = trainer.get_train_dataloader()
        batches = chain.from_iterable(repeat(loader))
        while len(ends) < LEAST_STEPS or time.monotonic() - first < at_most:
            for _ in range(args.gradient_accumulation_steps):
                with trainer.accelerator.autocast():
                    loss = trainer.compute_loss(model, next(batches))
                trainer.accelerator.backward(loss)
                loss.item()  # waits for a card
            torch.nn.utils.clip_grad_norm_(trained, args.max_grad_norm or math.inf)
            optimizer.step()
            model.zero_grad()
            ends.append(time.monotonic())
        del batches  # which is in the middle of the loader
        loader.end()  # for Accelerate, which knows the loader that is read
    optimizer.state.clear()
    for parameter, weight in zip(trained, weights, strict=True):
        parameter.data.copy_(weight)
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def _most_steps(trainer: Trainer) -> int:
    args = trainer.args
    if args.max_steps > 0:
        return args.max_steps
    batches = len(trainer.get_train_dataloader())
    return math.ceil(args.num_train_epochs * math.ceil(batches / args.gradient_accumulation_steps))
