# SPDX-License-Identifier: Apache-2.0
"""The command `transformers-glm`: its names, its help, what it imports, and configurations by name."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from test_scripts import script

from transformers_glm.__main__ import COMMANDS
from transformers_glm.commands.command_line import print_metrics
from transformers_glm.files import shipped_folder
from transformers_glm.language_modeling.arguments import LanguageModelingArguments
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.runs.arguments import parse_arguments, read_yaml
from transformers_glm.runs.configs import find_config
from transformers_glm.runs.model_arguments import ModelArguments


ROOT = Path(__file__).parents[2]
SHARED = {"__init__", "command_line"}  # modules of the folder that are not commands
SCRIPTS = {
    "pretrain": "pretrain",
    "fill_blanks": "fill",
    "finetune_cloze": "cloze",
    "finetune_seq2seq": "seq2seq",
    "evaluate_lm": "evaluate",
    "convert_checkpoint": "convert",
    "push_to_hub": "push",
    "show_batch": "show_batch",
    "plan_run": "plan",
    "report": "report",
}


def transformers_glm(*arguments, cwd=ROOT, python=()):
    command = [sys.executable, *python, "-m", "transformers_glm", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_every_module_is_a_command_and_every_command_but_run_a_module():
    modules = {path.stem for path in (ROOT / "transformers_glm" / "commands").glob("*.py")} - SHARED
    assert {name.replace("_", "-") for name in modules} == set(COMMANDS) - {"run"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_the_function_of_a_command(name):
    assert script(name).main is importlib.import_module(f"transformers_glm.commands.{SCRIPTS[name]}").main
    assert f"`transformers-glm {SCRIPTS[name].replace('_', '-')}`" in script(name).__doc__
    assert len((ROOT / "scripts" / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 40


def imported(done):
    """The modules that a process with `-X importtime` has imported."""
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_the_help_names_every_command_and_imports_nothing_that_takes_time(tmp_path):
    done = transformers_glm("--help", python=["-X", "importtime"])
    assert done.returncode == 0
    assert set(COMMANDS) <= set(done.stdout.split())
    assert not {"torch", "transformers", "datasets"} & imported(done)
    assert transformers_glm().stdout == done.stdout


# What waits until the flags are parsed. Flags that are made of dataclasses take the parser of Transformers.
LATE = {name: {"torch", "transformers"} for name in ("fill", "convert", "push", "show-batch", "plan", "report")}
LATE |= {name: {"torch", "datasets", "transformers.training_args"} for name in ("pretrain", "evaluate")}
LATE["cloze"] = {"torch", "datasets", "modeling_glm", "transformers.trainer"}
LATE["seq2seq"] = {"modeling_glm", "evaluate", "transformers.trainer", "transformers_glm.seq2seq.run"}


@pytest.mark.parametrize("name", LATE)
def test_the_help_of_a_command_comes_before_heavy_imports(name):
    done = transformers_glm(name, "--help", python=["-X", "importtime"])
    assert done.returncode == 0 and f"    transformers-glm {name} " in done.stdout
    assert done.stdout.startswith(f"usage: transformers-glm {name} ")
    assert "argparse" in imported(done) and not LATE[name] & imported(done)


def test_flags_of_our_own_are_few():
    of_pretrain = {*ModelArguments.__dataclass_fields__, *PretrainingArguments.__dataclass_fields__}
    assert len(of_pretrain) <= 23 and len(LanguageModelingArguments.__dataclass_fields__) <= 18


def test_a_name_that_is_no_command_is_refused_with_the_names_there_are():
    done = transformers_glm("fil")
    assert done.returncode == 2
    assert "invalid choice: 'fil' (choose from" in done.stderr and "show-batch" in done.stderr


def test_run_is_the_same_as_a_script_in_the_place_of_a_command(tmp_path):
    (tmp_path / "script.py").write_text("import sys\nprint(sys.argv, 'transformers_glm' in sys.modules)")
    for arguments in (["script.py", "--flag"], ["run", "script.py", "--flag"]):
        assert transformers_glm(*arguments, cwd=tmp_path).stdout == "['script.py', '--flag'] True\n"
    assert "usage: transformers-glm run SCRIPT" in transformers_glm("run", "nowhere").stderr


@pytest.mark.parametrize("ending", [".yaml", ".json"])
def test_every_configuration_is_found_by_its_name_from_any_folder(ending, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted((ROOT / "configs").glob(f"*{ending}"))
    assert len(files) > 2 and shipped_folder("configs") == ROOT / "configs"
    assert [find_config(path.stem, ending) for path in files] == files


def test_a_configuration_by_name_or_path_is_read_and_flags_win(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("train_data: own.txt\nmask_ratio: 0.3\n")
    [named] = parse_arguments((PretrainingArguments,), ["own.yaml"])
    assert (named.train_data, named.mask_ratio) == (["own.txt"], 0.3)
    anywhere = ["--use_cpu", "--bf16", "False", "--report_to", "none", "--train_data", "my.txt"]
    model_args, data_args, args = parse_arguments(
        (ModelArguments, PretrainingArguments), ["pretrain_small_en", *anywhere], training="TrainingArguments"
    )
    settings = read_yaml(ROOT / "configs" / "pretrain_small_en.yaml")
    assert data_args.train_data == ["my.txt"]
    assert (args.max_steps, model_args.config) == (settings["max_steps"], settings["config"])


def test_the_settings_of_fsdp_and_deepspeed_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    anywhere = ["--use_cpu", "--report_to", "none", "--output_dir", "out"]
    [args] = parse_arguments((), [*anywhere, "--fsdp", "--fsdp_config", "fsdp2"], training="TrainingArguments")
    assert args.fsdp_plugin_args["fsdp_version"] == 2
    with pytest.raises(ValueError, match=r"no configuration 'deepspeed_zero'.*deepspeed_zero\d"):
        parse_arguments((), [*anywhere, "--deepspeed", "deepspeed_zero"], training="TrainingArguments")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pretrain_smal_en", r"no configuration 'pretrain_smal_en'\. .*or a name: pretrain_small_en, pretrain_small_"),
        ("x", "no configuration 'x'.*cloze_banking77, .*seq2seq_xsum"),
        ("nowhere.yaml", "nowhere.yaml does not exist"),
    ],
)
def test_what_is_no_configuration_is_refused_with_the_close_ones_named(name, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments((PretrainingArguments,), [name, "--train_data", "x"])


def test_metrics_are_printed_one_to_a_line(capsys):
    print_metrics({"eval_loss": 2.34567, "parameters": 861184, "task": "cb"})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["eval_loss", "2.346"], ["parameters", "861,184"], ["task", "cb"]]
    assert len({len(line) for line in lines}) == 1


def test_fill_refuses_a_batch_of_no_texts(capsys):
    with pytest.raises(SystemExit):
        script("fill_blanks").main(["--batch_size", "0", "[MASK]"])
    assert "--batch_size 0 fills nothing: it must be 1 or more" in capsys.readouterr().err
