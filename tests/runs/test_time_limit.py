# SPDX-License-Identifier: Apache-2.0
import logging
import shutil
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import ProgressCallback, Trainer, TrainingArguments

from transformers_glm.pretraining import run as pretraining
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.runs import time_limit
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import ModelArguments
from transformers_glm.runs.time_limit import Deadline, Plan, keep_within


SIZES = '{"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "max_sequence_length": 48}'


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(f"This is text number {n}. It holds {n * n} words, or less!" for n in range(120)))
    return path


def pretrain(text_file, output_dir, *more):
    """The trainer of a run with dropout, which draws numbers."""
    flags = [
        *("--train_data", str(text_file), "--document", "paragraph", "--output_dir", str(output_dir)),
        *("--vocab_size", "300", "--config", SIZES, "--per_device_train_batch_size", "4", "--learning_rate", "1e-2"),
        *("--report_to", "none", "--use_cpu", "--logging_steps", "1", "--warmup_steps", "0.1", *more),
    ]
    arguments = parse_arguments((ModelArguments, PretrainingArguments), flags, training="TrainingArguments")
    return pretraining.pretrain(*arguments)[0]


def rates(trainer):
    return [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]


def weights(output_dir):
    return load_file(output_dir / "model.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def clock(monkeypatch, seconds_of_call):
    """A clock that goes on by `seconds_of_call(n)` at its n-th reading; a step is measured to take half a second."""
    readings, now = count(), [0.0]

    def monotonic():
        now[0] += seconds_of_call(next(readings))
        return now[0]

    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(time_limit, "seconds_per_step", lambda trainer, at_most: 0.5)
    return now


@pytest.mark.parametrize(
    "how", [[], ["--muon_learning_rate", "0.02"], ["--gradient_accumulation_steps", "2"]], ids=str
)
def test_to_measure_a_step_changes_nothing(text_file, tmp_path, how):
    measured = pretrain(text_file, tmp_path / "measured", *how, "--max_steps", "4", "--max_seconds", "30")
    given = pretrain(text_file, tmp_path / "given", *how, "--max_steps", "4")
    assert equal(weights(tmp_path / "measured"), weights(tmp_path / "given"))
    assert rates(measured) == rates(given)
    assert 0 < Plan.load(tmp_path / "measured").seconds_per_step < 10


def test_as_many_steps_are_taken_as_fit(text_file, tmp_path, monkeypatch, caplog):
    clock(monkeypatch, lambda reading: 0.5 if reading > 1 else 0.0)
    with caplog.at_level(logging.WARNING):
        trainer = pretrain(text_file, tmp_path / "run", "--max_seconds", "20")
    assert trainer.state.global_step == Plan.load(tmp_path / "run").steps == 38  # 95 % of 20 s, half a second each
    assert "38 steps in at most 20 s: one was measured to take 0.500 s" in caplog.text
    assert rates(trainer)[-1] == pytest.approx(
        1e-2 / 34
    )  # one step before the end of a schedule with four warm-up steps
    assert "now takes" not in caplog.text


@pytest.mark.parametrize(
    ("flags", "steps"), [(["20", "--max_steps", "5"], 5), (["4", "--streaming"], 7)], ids=["asked for", "a stream"]
)
def test_no_more_steps_are_taken_than_asked_for_and_a_stream_needs_no_number(
    flags, steps, text_file, tmp_path, monkeypatch
):
    clock(monkeypatch, lambda reading: 0.5 if reading > 1 else 0.0)
    assert pretrain(text_file, tmp_path / "run", "--max_seconds", *flags).state.global_step == steps


def test_epochs_bound_the_steps_where_no_number_is_given(tmp_path, monkeypatch, tiny_model):
    clock(monkeypatch, lambda reading: 0.0)
    rows = [{"input_ids": [1, 2], "labels": [1, 2]}] * 20
    settings = {"num_train_epochs": 2, "per_device_train_batch_size": 3, "gradient_accumulation_steps": 2}
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **settings)
    trainer = Trainer(tiny_model, arguments, train_dataset=rows)
    keep_within(trainer, 1000)
    assert arguments.max_steps == 8  # 7 batches an epoch, two of them a step


def slower_from_step_30(reading):
    return (0.5 if reading < 32 else 4.0) if reading > 1 else 0.0


def test_a_schedule_ends_in_time_on_a_machine_that_becomes_slower(text_file, tmp_path, monkeypatch, caplog):
    now = clock(monkeypatch, slower_from_step_30)
    with caplog.at_level(logging.WARNING):
        trainer = pretrain(text_file, tmp_path / "run", "--max_seconds", "100")
    plan = Plan.load(tmp_path / "run")
    assert plan.steps == 190 and trainer.state.global_step == plan.end < 60
    assert now[0] < 100 + 4
    assert f"the schedule ends with step {plan.shortened[0][1]} in place of 190" in caplog.text
    seen = rates(trainer)
    assert seen[19:] == sorted(seen[19:], reverse=True)  # 19 steps of warm-up
    assert seen[30] > 0.8e-2 and seen[-1] < 1e-3
    assert trainer.state.max_steps == plan.end


def test_a_resumed_run_goes_on_with_the_same_plan(text_file, tmp_path, monkeypatch, caplog):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    clock(monkeypatch, slower_from_step_30)
    first = pretrain(text_file, whole, "--max_seconds", "100", "--save_steps", "20")
    plan = Plan.load(whole)
    assert plan.shortened
    shutil.copytree(whole, broken)
    for checkpoint in broken.glob("checkpoint-*"):
        if checkpoint.name != "checkpoint-20":
            shutil.rmtree(checkpoint)
    clock(monkeypatch, lambda reading: 0.1)
    monkeypatch.setattr(time_limit, "seconds_per_step", lambda trainer, at_most: 1 / 0)  # not measured again
    second = pretrain(text_file, broken, "--max_seconds", "100", "--save_steps", "20")
    assert Plan.load(broken) == plan and second.state.global_step == plan.end
    assert rates(second) == rates(first) and equal(weights(whole), weights(broken))
    with caplog.at_level(logging.WARNING):
        third = pretrain(text_file, broken, "--max_seconds", "100", "--save_steps", "20")
    assert third.state.global_step == plan.end and f"All {plan.end} steps are done already" in caplog.text


def test_the_place_in_a_schedule():
    plan = Plan(8, 1.0, 1.0, "")
    assert [plan.place(step) for step in range(9)] == list(range(9))
    plan.shortened = [(4, 6)]
    assert [plan.place(step) for step in range(7)] == [0, 1, 2, 3, 4, 6, 8]
    plan = Plan(100, 1.0, 1.0, "", [(10, 55), (20, 40)])  # 2 of 90 from 10 on, then 70 in 20
    assert [plan.place(step) for step in (10, 11, 20, 30, 40)] == [10, 12, 30, 65, 100]


def run_through(deadline, output_dir, monkeypatch, seconds_of_step, *, step=0, end, evaluation=(1000, 0.0)):
    """The callbacks of the steps from `step` on, and of an evaluation of this many seconds after each n-th."""
    now = [0.0]
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    args, state = SimpleNamespace(output_dir=output_dir), SimpleNamespace(global_step=step, max_steps=end)
    while state.global_step < state.max_steps:
        state.global_step += 1
        now[0] += seconds_of_step
        deadline.on_step_end(args, state, None)
        if state.global_step % evaluation[0] == 0:
            now[0] += evaluation[1]
            deadline.on_evaluate(args, state, None)
    return now[0]


def make_deadline(plan, bar=None):
    bars = ProgressCallback()
    bars.training_bar = bar
    return Deadline(SimpleNamespace(callback_handler=SimpleNamespace(callbacks=[bars])), plan, plan.seconds, 0.0)


@pytest.mark.parametrize("each, seconds", [(100, 8.0), (10, 0.8)])
def test_an_evaluation_is_no_slower_step(each, seconds, tmp_path, monkeypatch):
    plan = Plan(500, 100.0, 0.1, "")
    run_through(make_deadline(plan), tmp_path, monkeypatch, 0.1, end=500, evaluation=(each, seconds))
    assert plan.end == 500


def test_time_that_evaluations_take_is_made_up_for(tmp_path, monkeypatch):
    plan, bar = Plan(950, 100.0, 0.1, ""), SimpleNamespace(total=950)
    taken = run_through(make_deadline(plan, bar), tmp_path, monkeypatch, 0.1, end=950, evaluation=(100, 10.0))
    assert 400 < plan.end < 950 and 80 < taken <= 100
    assert bar.total == plan.end
    places = [plan.place(step) for step in range(plan.end + 1)]
    assert max(later - earlier for earlier, later in zip(places, places[1:], strict=False)) < 4  # no cliff at the end
    assert places[-1] == pytest.approx(950)


def test_a_resumed_run_may_be_slower_before_the_step_at_which_it_was_shortened_first(tmp_path, monkeypatch):
    plan = Plan(200, 40.0, 0.1, "", [(150, 170)])
    taken = run_through(make_deadline(plan), tmp_path, monkeypatch, 1.0, step=100, end=170)
    assert taken <= 40 and plan.end < 150
    places = [plan.place(step) for step in range(plan.end + 1)]
    assert places == sorted(places) and places[100] == 100 and places[-1] == pytest.approx(200)


def test_a_plan_is_for_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    trainer = SimpleNamespace(args=TrainingArguments(str(tmp_path), report_to="none"))
    with pytest.raises(ValueError, match="a clock of its own"):
        keep_within(trainer, 1)


@pytest.mark.parametrize("seconds", [0, -3.0])
def test_no_time_is_refused(seconds, tmp_path, tiny_model):
    trainer = Trainer(tiny_model, TrainingArguments(tmp_path, use_cpu=True, report_to="none"))
    with pytest.raises(ValueError, match=f"max_seconds={seconds}: training takes more"):
        keep_within(trainer, seconds)


@pytest.mark.parametrize("text", ['{"steps": 3', '{"steps": 3}', '{"paces": 1}', ""])
def test_a_damaged_plan_is_named_and_not_made_anew(text, tmp_path, tiny_model):
    (tmp_path / "plan.json").write_text(text)
    trainer = Trainer(tiny_model, TrainingArguments(tmp_path, use_cpu=True, report_to="none"))
    with pytest.raises(ValueError, match=r"plan\.json is damaged .* or remove it"):
        keep_within(trainer, 5.0, steps_done=2)


def test_more_time_adds_no_steps_to_a_run_and_that_is_said(tmp_path, tiny_model, caplog):
    Plan(10, 5.0, 0.5, "a processor").save(tmp_path)
    trainer = Trainer(tiny_model, TrainingArguments(tmp_path, use_cpu=True, report_to="none"))
    keep_within(trainer, 50.0, steps_done=2)
    assert trainer.args.max_steps == 10 and "goes on with its plan for 5 s" in caplog.text
