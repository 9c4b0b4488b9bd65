# SPDX-License-Identifier: Apache-2.0
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.utils import FullyShardedDataParallelPlugin
from transformers import HfArgumentParser, TrainingArguments

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from transformers_glm.blanking.objectives import ObjectiveSettings
from transformers_glm.cloze.arguments import ClozeArguments, ClozeDataArguments, TaskArguments
from transformers_glm.cloze.tasks import load_task, task_names
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import ModelArguments


CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
PARAMETERS = {
    "pretrain_110m": 109_338_624,
    "pretrain_335m": 334_688_256,
    "pretrain_410m": 410_265_600,
    "pretrain_515m": 514_632_960,
    "pretrain_2b": 1_920_122_880,
    "pretrain_10b": 9_880_682_496,
}
DATACLASSES = (ModelArguments, PretrainingArguments, TrainingArguments)
# what a machine without an accelerator cannot have
ANYWHERE = ["--use_cpu", "--bf16", "False", "--report_to", "none"]


def pretraining_arguments(path, tmp_path):
    return parse_arguments(DATACLASSES, [str(path), *ANYWHERE, "--output_dir", str(tmp_path)])


def test_every_published_size_has_a_config():
    assert set(PARAMETERS) <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem.startswith("pretrain")], ids=lambda p: p.stem)
def test_every_config_is_a_pretraining_run(path, tmp_path):
    model_args, data_args, training_args = pretraining_arguments(path, tmp_path)
    config = GLMConfig(**model_args.config)
    ObjectiveSettings(data_args.mixture or {"token": 1.0}, data_args.mask_ratio)
    assert (data_args.max_length or 0) <= config.max_sequence_length
    assert model_args.vocab_size <= config.vocab_size
    assert yaml.safe_load(path.read_text())["output_dir"] == f"output/{path.stem}"
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=training_args.learning_rate)
    scheduler = scheduler_of(training_args, optimizer)
    warmup = training_args.get_warmup_steps(training_args.max_steps)
    assert scheduler.lr_lambdas[0](warmup) == 1.0


def scheduler_of(training_args, optimizer):
    from transformers import get_scheduler

    return get_scheduler(
        training_args.lr_scheduler_type,
        optimizer,
        training_args.get_warmup_steps(training_args.max_steps),
        training_args.max_steps,
        training_args.lr_scheduler_kwargs,
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_published_size_has_the_published_parameters(name, tmp_path):
    path = next(path for path in CONFIGS if path.stem == name)
    model_args, _, _ = pretraining_arguments(path, tmp_path)
    with torch.device("meta"):
        model = GLMForConditionalGeneration(GLMConfig(**model_args.config))
    assert model.num_parameters() == PARAMETERS[name]
    assert f"{PARAMETERS[name]:,}" in path.read_text()


#                        peak    beta2  epsilon  decay  steps    warmup  end of the decay, and the share of the peak there
HYPERPARAMETERS = {
    "pretrain_110m": (4e-4, 0.98, 1e-6, 0.1, 150_000, 6_000, 120_000, 0.05),
    "pretrain_335m": (2e-4, 0.98, 1e-6, 0.1, 200_000, 8_000, 160_000, 0.05),
    "pretrain_2b": (1e-4, 0.95, 1e-8, 0.1, 250_000, 7_000, 175_000, 0.1),
    "pretrain_10b": (1e-4, 0.95, 1e-8, 0.1, 250_000, 7_000, 175_000, 0.1),
}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_hyperparameters_are_the_published_ones(name, tmp_path):
    path = next(path for path in CONFIGS if path.stem == name)
    _, _, args = pretraining_arguments(path, tmp_path)
    peak, beta2, epsilon, decay, steps, warmup, end, ratio = HYPERPARAMETERS[name]
    assert (args.learning_rate, args.adam_beta1, args.adam_beta2, args.adam_epsilon) == (peak, 0.9, beta2, epsilon)
    assert (args.weight_decay, args.max_grad_norm, args.max_steps) == (decay, 1.0, steps)
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=peak)
    rate = scheduler_of(args, optimizer).lr_lambdas[0]
    assert [rate(warmup), rate((warmup + end) // 2), rate(end), rate(steps)] == pytest.approx(
        [1.0, (1 + ratio) / 2, ratio, ratio]
    )


# epochs of GLM-Large and batch of the paper's runs on SuperGLUE
EPOCHS = {
    "copa": (50, 16),
    "wsc": (50, 16),
    "rte": (50, 16),
    "wic": (30, 16),
    "cb": (50, 16),
    "multirc": (15, 64),
    "boolq": (20, 16),
    "record": (5, 64),
}


@pytest.mark.parametrize("name", [name for name in task_names() if name not in ("intents", "choices")])
def test_every_task_has_a_config(name):
    path = next(path for path in CONFIGS if path.stem == f"cloze_{name}")
    dataclasses = (ClozeArguments, TaskArguments, ClozeDataArguments)
    _, task_args, data_args, args = parse_arguments(
        dataclasses, [str(path), "--use_cpu"], training="TrainingArguments", report_to="none"
    )
    assert task_args.load() == load_task(name)
    assert data_args.train_data != data_args.evaluation_data
    assert args.output_dir == f"output/{path.stem}"
    if name in EPOCHS:
        settings = (args.learning_rate, args.weight_decay, args.warmup_steps, args.lr_scheduler_type)
        assert settings == (1e-5, 0.1, 0.1, "linear")
        assert (args.num_train_epochs, args.per_device_train_batch_size) == EPOCHS[name]


def test_the_fsdp_settings_are_read(tmp_path):
    path = Path(__file__).parents[1] / "configs" / "fsdp2.json"
    settings = parse_arguments(
        (TrainingArguments,),
        [*ANYWHERE, "--output_dir", str(tmp_path), "--fsdp", "--fsdp_config", str(path)],
    )[0].fsdp_plugin_args
    plugin = FullyShardedDataParallelPlugin(**settings)
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert plugin.transformer_cls_names_to_wrap == ["GLMLayer"] == GLMForConditionalGeneration._no_split_modules
    assert "FULL_STATE_DICT" in str(plugin.state_dict_type)  # the checkpoints then hold model.safetensors


@pytest.mark.parametrize("stage", [2, 3])
def test_the_deepspeed_settings_leave_to_the_trainer_what_its_arguments_say(stage):
    path = Path(__file__).parents[1] / "configs" / f"deepspeed_zero{stage}.json"
    settings = json.loads(path.read_text())
    assert settings["zero_optimization"]["stage"] == stage
    for name in ("gradient_clipping", "gradient_accumulation_steps", "train_batch_size"):
        assert settings[name] == "auto"


def test_the_documented_launch_lines_have_flags_that_exist():
    text = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    .*scripts/pretrain.py (.*)$", text, flags=re.MULTILINE)
    assert len(lines) == 3
    known = HfArgumentParser(DATACLASSES)._option_string_actions
    for line in [*lines, *re.findall(r"`(--[^`]*)`", text.replace("--cards", ""))]:
        words = shlex.split(line)
        assert [word for word in words if word.startswith("--") and word not in known] == []
        paths = [word for word in words if word.startswith("configs/")]
        assert all((Path(__file__).parents[1] / path).is_file() for path in paths)
