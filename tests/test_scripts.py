# SPDX-License-Identifier: Apache-2.0
import importlib.util
import json
import logging
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.testing_utils import CaptureLogger

from transformers_glm.commands import run
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.runs.arguments import parse_arguments, yaml_as_flags
from transformers_glm.runs.model_arguments import ModelArguments
from transformers_glm.runs.processor import processor_name


ROOT = Path(__file__).parents[1]
SIZES = '{"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "max_sequence_length": 48}'


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    paragraphs = (
        f"This is text number {n}. It holds {n * n} words, or less! Does it end here? It does." for n in range(120)
    )
    path.write_text("\n\n".join(paragraphs))
    return path


def pretraining_flags(text_file, output_dir, *more):
    return [
        *("--train_data", str(text_file), "--document", "paragraph", "--output_dir", str(output_dir)),
        *("--vocab_size", "300", "--config", SIZES, "--per_device_train_batch_size", "4"),
        *("--report_to", "none", "--disable_tqdm", "True", "--use_cpu", *more),
    ]


def pretrain(text_file, output_dir, *more):
    return script("pretrain").main(pretraining_flags(text_file, output_dir, *more))


def test_pretrain_leaves_a_model_a_tokenizer_and_metrics(text_file, tmp_path, tiny_model):
    output_dir = tmp_path / "run"
    flags = ["--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1", "--evaluation_documents", "10"]
    metrics = pretrain(text_file, output_dir, *flags, "--mixture", '{"token": 0.4, "sentence": 0.3, "document": 0.3}')
    assert json.loads((output_dir / "metrics.json").read_text()) == metrics
    assert {"eval_accuracy", "eval_perplexity", "eval_loss", "train_loss", "parameters"} <= set(metrics)
    model = AutoModelForSeq2SeqLM.from_pretrained(output_dir)
    assert model.num_parameters() == metrics["parameters"]
    assert len(AutoTokenizer.from_pretrained(output_dir)) == model.config.vocab_size == 300
    assert not list(output_dir.glob("unfinished*"))
    # the Trainer's loss is a mean over batches, the perplexity one over tokens
    assert metrics["eval_perplexity"] == pytest.approx(torch.tensor(metrics["eval_loss"]).exp().item(), rel=0.02)


def test_pretraining_lowers_the_loss(text_file, tmp_path):
    flags = ["--evaluation_documents", "10", "--learning_rate", "1e-2", "--save_strategy", "no"]
    first = pretrain(text_file, tmp_path / "first", *flags, "--max_steps", "1")
    later = pretrain(text_file, tmp_path / "later", *flags, "--max_steps", "40")
    assert later["eval_loss"] < 0.8 * first["eval_loss"]
    assert later["eval_accuracy"] > first["eval_accuracy"]


def test_evaluation_text_is_blanked_once(text_file, tmp_path):
    flags = ["--evaluation_documents", "10", "--learning_rate", "0", "--max_steps", "2", "--save_strategy", "no"]
    one, two = (pretrain(text_file, tmp_path / seed, *flags, "--data_seed", seed) for seed in ("1", "2"))
    assert [one[name] for name in ("eval_loss", "eval_tokens")] == [two[name] for name in ("eval_loss", "eval_tokens")]


def test_pretrain_streams(text_file, tmp_path):
    metrics = pretrain(
        text_file, tmp_path / "run", "--streaming", "--max_steps", "3", "--evaluation_documents", "5", "--packing"
    )
    assert metrics["eval_tokens"] > 0


def test_pretrain_accumulates_in_bfloat16_and_reports_to_tensorboard(text_file, tmp_path):
    output_dir = tmp_path / "run"
    flags = ["--bf16", "--gradient_accumulation_steps", "2", "--max_steps", "2", "--logging_steps", "1"]
    pretrain(text_file, output_dir, *flags, "--report_to", "tensorboard", "--save_strategy", "no")
    assert list(output_dir.rglob("events.out.tfevents.*"))
    assert load_file(output_dir / "model.safetensors")["glm.word_embeddings.weight"].dtype == torch.float32


def test_pretrain_continues_from_a_checkpoint_with_its_tokenizer(text_file, tmp_path):
    pretrain(text_file, tmp_path / "first", "--max_steps", "1")
    flags = ["--model", str(tmp_path / "first"), "--learning_rate", "0", "--max_steps", "1"]
    pretrain(text_file, tmp_path / "second", *flags)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("first", "second")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_second_run_goes_on_from_the_last_checkpoint_and_says_so(text_file, tmp_path, caplog):
    output_dir = tmp_path / "run"
    pretrain(text_file, output_dir, "--max_steps", "2", "--save_steps", "1")
    with caplog.at_level(logging.WARNING), CaptureLogger(logging.getLogger("transformers.trainer")) as of_trainer:
        pretrain(text_file, output_dir, "--max_steps", "3")
    assert "Resuming from" in caplog.text and "checkpoint-2" in caplog.text
    assert "missing keys" not in of_trainer.out  # the tied head
    assert "Using the tokenizer of 300 tokens that an earlier run left" in caplog.text
    assert json.loads((output_dir / "checkpoint-3" / "trainer_state.json").read_text())["global_step"] == 3


def test_a_run_of_other_settings_is_not_gone_on_with(text_file, tmp_path):
    output_dir = tmp_path / "run"
    pretrain(text_file, output_dir, "--max_steps", "2", "--save_steps", "1")
    weights = (output_dir / "model.safetensors").read_bytes()
    with pytest.raises(
        ValueError, match="run holds a run of other settings.*: mask_ratio: 0.15 and 0.3. Give another"
    ):
        pretrain(text_file, output_dir, "--max_steps", "3", "--mask_ratio", "0.3")
    assert (output_dir / "model.safetensors").read_bytes() == weights
    (output_dir / "run.json").unlink()
    pretrain(text_file, output_dir, "--max_steps", "3", "--mask_ratio", "0.3")
    assert json.loads((output_dir / "run.json").read_text())["mask_ratio"] == 0.3


def test_a_finished_run_takes_no_further_step(text_file, tmp_path, caplog):
    output_dir = tmp_path / "run"
    pretrain(text_file, output_dir, "--max_steps", "2")
    weights = load_file(output_dir / "model.safetensors")
    with caplog.at_level(logging.WARNING):
        pretrain(text_file, output_dir, "--max_steps", "2")
    assert "All 2 steps are done already" in caplog.text
    again = load_file(output_dir / "model.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_muon_resumes_to_the_same_weights(text_file, tmp_path):
    flags = ["--muon_learning_rate", "0.02", "--learning_rate", "1e-3", "--save_steps", "2", "--lr_scheduler_type"]
    pretrain(text_file, tmp_path / "whole", *flags, "constant", "--max_steps", "4")
    for steps in ("2", "4"):
        pretrain(text_file, tmp_path / "halves", *flags, "constant", "--max_steps", steps)
    whole, halves = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


KILLED_AT_STEP_4 = """
import os, signal, sys
from transformers import TrainerCallback
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.pretraining.run import pretrain
from transformers_glm.commands import run
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.runs.model_arguments import ModelArguments

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

pretrain(*parse_arguments((ModelArguments, PretrainingArguments), sys.argv[1:], training="TrainingArguments"), [Kill()])
"""


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_with_the_same_weights(text_file, tmp_path):
    # 3 batches an epoch, so that the killed run is in the middle of an epoch
    flags = ["--max_steps", "8", "--save_steps", "3", "--learning_rate", "1e-3", "--per_device_train_batch_size", "16"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    pretrain(text_file, whole, *flags)
    command = [sys.executable, "-c", KILLED_AT_STEP_4, *pretraining_flags(text_file, broken, *flags)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in broken.glob("checkpoint-*")] == ["checkpoint-3"]
    pretrain(text_file, broken, *flags)
    expected, weights = (load_file(folder / "model.safetensors") for folder in (whole, broken))
    assert all(torch.equal(expected[name], weights[name]) for name in expected)


BAD_RUNS = {
    "a stream without an end": (["--streaming"], "--max_steps"),
    "nothing to evaluate on": (["--eval_strategy", "steps", "--eval_steps", "1"], "nothing to evaluate on"),
    "rows longer than the position table": (["--max_length", "49"], "max_length 49 is more than .* 48"),
    "no checkpoint to resume": (["--resume_from_checkpoint", "True"], "no checkpoint to resume from"),
    "shares that do not add up": (["--mixture", '{"token": 0.5}'], "add up to 0.5"),
    "nothing blanked": (["--mask_ratio", "0"], "mask_ratio is 0"),
    "everything blanked": (["--mask_ratio", "1"], "mask_ratio is 1"),
    "a folder that is no checkpoint": (
        ["--resume_from_checkpoint", "nope"],
        "--resume_from_checkpoint nope is not a folder",
    ),
    "a setting that no GLM has": (
        ["--config", '{"hiden_size": 64, "layernorm_eps": 1}'],
        "--config names hiden_size, layernorm_eps, which GLMConfig does not have. Did you mean hidden_size or layer",
    ),
    "a setting like none of a GLM": (["--config", '{"x": 3}'], "--config names x, .* It has vocab_size, hidden_size"),
    "settings that are no JSON": (["--config", "{num_layers: 3}"], "--config '{num_layers: 3}' is not JSON"),
    "a vocabulary too small for the bytes": (["--vocab_size", "100"], "vocab_size=100"),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_bad_run_is_refused_before_training(text_file, tmp_path, case):
    flags, message = BAD_RUNS[case]
    with pytest.raises(ValueError, match=message):
        pretrain(text_file, tmp_path / "run", *flags)
    assert not list((tmp_path / "run").glob("checkpoint-*"))


@pytest.mark.parametrize("flags", [["--mask_ratio", "0"], ["--mixture", '{"token": 0.5}'], ["--config", '{"x": 3}']])
def test_bad_settings_are_refused_before_a_tokenizer_is_trained(text_file, tmp_path, flags):
    with pytest.raises(ValueError):
        pretrain(text_file, tmp_path / "run", *flags)
    assert not list((tmp_path / "run").glob("*.json"))


def test_a_stream_gives_the_same_weights_for_any_number_of_workers(text_file, tmp_path):
    weights = []
    for workers in ("0", "2"):
        flags = ["--streaming", "--max_steps", "2", "--dataloader_num_workers", workers]
        pretrain(text_file, tmp_path / workers, *flags)
        weights.append(load_file(tmp_path / workers / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_fill_blanks_reads_lines_and_names_the_bad_ones(text_model, tokenizer, tmp_path):
    for part in (text_model, tokenizer):
        part.save_pretrained(tmp_path)
    command = [
        sys.executable,
        str(ROOT / "scripts" / "fill_blanks.py"),
        "--model",
        str(tmp_path),
        "--max_new_tokens",
        "3",
    ]
    """A line out for each line in, in their order."""
    long = f"[MASK]{' long' * 200}"
    lines = f"Ada [MASK] it.\n\nno blank here\n{long}\nIt was [sMASK]\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=lines, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    ada, *same, it_was = done.stdout.splitlines()
    assert ada.startswith("Ada") and it_was.startswith("It was") and same == ["", "no blank here", long]
    assert "the model's position table 129 rows: '[MASK] long" in done.stderr


def test_a_tokenizer_of_another_model_is_refused(text_file, tmp_path):
    pretrain(text_file, tmp_path / "first", "--max_steps", "1")
    pretrain(text_file, tmp_path / "larger", "--max_steps", "1", "--vocab_size", "310")
    flags = ["--model", str(tmp_path / "first"), "--tokenizer", str(tmp_path / "larger")]
    with pytest.raises(ValueError, match="vocabulary: 310 tokens and room for 300"):
        pretrain(text_file, tmp_path / "run", *flags)


DATACLASSES = (ModelArguments, PretrainingArguments)


def test_flags_override_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "train_data: text\nlearning_rate: 1e-3\nconfig: {num_layers: 2}\nmixture: {token: 1}\nbf16: false\n"
        "document_span: [0.25, 1.0]\ndata_kwargs: null\n"
    )
    flags = [str(tmp_path / "a.yaml"), "--learning_rate", "2e-4", "--output_dir", str(tmp_path), "--report_to", "none"]
    model_args, data_args, training_args = parse_arguments(DATACLASSES, flags, training="TrainingArguments")
    assert training_args.learning_rate == 2e-4
    assert model_args.config == {"num_layers": 2}
    assert (data_args.mixture, data_args.document_span, data_args.data_kwargs) == ({"token": 1}, [0.25, 1.0], {})


@pytest.mark.parametrize(
    ("contents", "message"),
    [(None, "does not exist"), ("- a\n- b\n", "holds list"), ("word", "holds str"), ("a: [b", r"a\.yaml is not YAML")],
)
def test_a_file_without_settings_is_refused(tmp_path, contents, message):
    path = tmp_path / "a.yaml"
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(ValueError, match=message):
        yaml_as_flags(path)


def test_an_unknown_setting_is_named(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("train_data: text\nlearning_rat: 1\n")
    with pytest.raises(ValueError, match="learning_rat"):
        parse_arguments(DATACLASSES, [str(tmp_path / "a.yaml")])


BAD_COMMANDS = {
    "plan_run": ["nowhere.yaml"],
    "report": ["nowhere"],
    "demo": ["--text", "nowhere.txt"],
    "fill_blanks": ["--model", "./nowhere", "[MASK]"],
    "show_batch": ["--tokenizer", "./nowhere", "text"],
    "convert_checkpoint": ["nowhere", "out"],
    "push_to_hub": ["nowhere", "out"],
    "pretrain": ["nowhere.yaml"],
    "finetune_cloze": ["nowhere.yaml"],
    "finetune_seq2seq": ["nowhere.yaml"],
    "evaluate_lm": ["nowhere.yaml"],
}


def test_every_script_is_tried_with_bad_input():
    assert set(BAD_COMMANDS) == {path.stem for path in (ROOT / "scripts").glob("*.py")}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_a_script_ends_with_what_is_wrong_and_without_a_traceback(name, tmp_path, monkeypatch):
    path = ROOT / "scripts" / f"{name}.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), *BAD_COMMANDS[name]])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as end:  # Python prints its text alone and ends with 1
        runpy.run_path(str(path), run_name="__main__")
    assert end.value.code.startswith("error: ") and "nowhere" in end.value.code


def test_the_command_line_ends_with_what_is_wrong_and_without_a_traceback(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "plan_run.py"), *BAD_COMMANDS["plan_run"]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "\nerror: " in f"\n{done.stderr}" and "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder"])
def test_a_folder_that_is_not_there_is_told_as_one(monkeypatch, model):
    """The Hub's library speaks of ids of repositories, of which a path is none."""
    monkeypatch.setattr(sys, "argv", ["script"])
    with pytest.raises(SystemExit, match="If it is meant as a folder: there is none of that name"):
        run(lambda _: AutoTokenizer.from_pretrained(model))


def test_help_shows_the_commands(capsys):
    with pytest.raises(SystemExit):
        script("pretrain").main(["--help"])
    assert "    transformers-glm pretrain pretrain_demo --train_data my.txt" in capsys.readouterr().out


DEMO = [
    *("--seconds", "50", "--settings", "--max_steps", "3", "--save_steps", "2", "--logging_steps", "1"),
    *("--report_to", "none"),
]
DEMO_METRICS = {
    *("perplexity", "accuracy", "unigram_accuracy", "trigram_accuracy", "unigram_perplexity", "trigram_perplexity"),
    *("train_seconds", "parameters", "steps", "blanked_tokens", "tokens_per_second", "processor", "steps_chosen"),
}


def test_the_demo_runs_on_a_text_of_the_user_and_reuses_the_model(text_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo = script("demo")
    metrics = demo.main(["--text", str(text_file), *DEMO])
    output = tmp_path / "output" / "demo"
    written = json.loads((output / "metrics.json").read_text())
    assert set(written) >= DEMO_METRICS
    assert (written["steps_chosen"], written["steps"], written["processor"]) == (3, 3, processor_name())
    assert written["tokens_per_second"] > 0
    # the README's commands load output/demo itself
    assert AutoModelForSeq2SeqLM.from_pretrained(output).config.vocab_size == len(
        AutoTokenizer.from_pretrained(output)
    )
    assert all((output / f"{name}.png").stat().st_size > 1000 for name in ("loss", "attention_mask", "positions"))
    printed = capsys.readouterr().out
    assert printed.count("\nfilled ") == 6 and "[MASK]" in printed
    assert "the goal is not reached" in printed  # three steps
    assert demo.main(["--text", str(text_file), *DEMO]) == metrics
    assert "Reusing the model" in capsys.readouterr().out


def test_an_interrupted_demo_goes_on(text_file, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    demo = script("demo")
    first = demo.main(["--text", str(text_file), *DEMO])
    run = next((tmp_path / "output" / "demo").glob("run-*"))
    (run / "trained.json").unlink()
    with caplog.at_level(logging.WARNING):
        second = demo.main(["--text", str(text_file), *DEMO])
    assert "Resuming from" in caplog.text
    assert (first["perplexity"], first["steps"]) == (second["perplexity"], second["steps"])


@pytest.mark.parametrize(
    ("contents", "message"), [("", "is empty"), ("only one paragraph", "cannot be held out of 1")]
)
def test_the_demo_refuses_a_text_without_enough_text(tmp_path, monkeypatch, contents, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").write_text(contents)
    with pytest.raises(ValueError, match=message):
        script("demo").main(["--text", "my.txt"])
