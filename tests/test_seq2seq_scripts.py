# SPDX-License-Identifier: Apache-2.0
"""Scripts written for T5 and BART train GLM and predict with it, unmodified, in a process of their own."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_model
from safetensors.torch import load_file

from tokenization_glm import GLMTokenizer


ROOT = Path(__file__).parents[1]
SUMMARIZE = ROOT / "tests" / "stock_scripts" / "summarize.py"
DATA = ROOT.parent / "shared" / "data" / "seq2seq" / "scitldr"
WORDS = ["apple", "tree", "river", "stone", "cloud", "bread", "light", "music", "glass", "paper", "horse", "table"]


def checkpoint(folder, texts, **kwargs):
    """A tiny GLM and a tokenizer whose sources get a blank, as a user finds them in a folder."""
    tokenizer = GLMTokenizer.train(texts, vocab_size=600, **kwargs)
    model = make_model(tokenizer=tokenizer, hidden_size=64, initializer_range=0.05, max_sequence_length=64)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def write(path, pairs):
    lines = [json.dumps({"source": source, "target": target}) for source, target in pairs]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(script, output, model, train, test, *more):
    """Run a script as the documentation says, without the network."""
    command = [sys.executable, "-m", "transformers_glm", script, "--output_dir", output, "--model_name_or_path", model]
    command += ["--train_file", train, "--test_file", test, "--predict_with_generate", "--report_to", "none"]
    command += ["--use_cpu", "--disable_tqdm", "True", "--lr_scheduler_type", "constant", "--logging_steps", "5"]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in [*command, *more]], cwd=ROOT.parent, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((Path(output) / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def pairs():
    """Twelve sources of different lengths and what is to be written for each."""
    draw = random.Random(0)
    return [
        (" ".join(draw.choices(WORDS, k=draw.randint(3, 9))), " ".join(draw.choices(WORDS, k=draw.randint(1, 5))))
        for _ in range(12)
    ]


BY_HEART = ["--do_train", "--learning_rate", "1e-2", "--per_device_train_batch_size", "12", "--max_steps", "80"]
BY_HEART += ["--generation_max_length", "30", "--save_strategy", "no"]
VARIANTS = {
    "right": ({"append_mask": "[MASK]"}, ["--generation_num_beams", "3"]),
    "left, smoothed, by length": (
        {"append_mask": "[gMASK]", "padding_side": "left"},
        ["--label_smoothing_factor", "0.1", "--train_sampling_strategy", "group_by_length"],
    ),
    "truncated, accumulated": (
        {"append_mask": "[MASK]"},
        ["--max_source_length", "12", "--gradient_accumulation_steps", "3", "--per_device_train_batch_size", "4"],
    ),
    "padded, longer table": (
        {"append_mask": "[MASK]", "padding_side": "left"},
        ["--max_source_length", "100", "--pad_to_max_length", "--activation_checkpointing"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_script_for_t5_learns_its_pairs_by_heart(variant, tmp_path, pairs):
    settings, more = VARIANTS[variant]
    model = checkpoint(tmp_path / "glm", [text for pair in pairs for text in pair] * 5, **settings)
    train = write(tmp_path / "train.json", pairs)
    # the targets of the file to predict are wrong, so what is predicted rightly was not read off them; they number the rows
    test = write(tmp_path / "test.json", [(source, f"wrong {row}") for row, (source, _) in enumerate(pairs)])
    result = run(SUMMARIZE, tmp_path / "out", model, train, test, *BY_HEART, *more)
    assert result["losses"][-1] < 0.5 * result["losses"][0]
    # with group_by_length the Trainer predicts in the order of lengths
    targets = [pairs[int(label.split()[1])][1] for label in result["labels"]]
    assert sorted(targets) == sorted(target for _, target in pairs)
    assert result["texts"] == targets  # no source, no special token, all of the target
    assert settings["append_mask"] + "<|endoftext|>" in result["source"]


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_uninterrupted_one_and_the_best_is_kept(tmp_path, pairs):
    model = checkpoint(tmp_path / "glm", [text for pair in pairs for text in pair] * 5, append_mask="[MASK]")
    file = write(tmp_path / "pairs.json", pairs)
    settings = ["--do_train", "--learning_rate", "1e-2", "--per_device_train_batch_size", "4", "--max_steps", "12"]
    settings += ["--eval_strategy", "steps", "--eval_steps", "4", "--save_steps", "4", "--load_best_model_at_end"]
    whole = run(SUMMARIZE, tmp_path / "whole", model, file, file, *settings)
    assert whole["best"].endswith("checkpoint-12")
    resume = ["--resume_from_checkpoint", tmp_path / "whole" / "checkpoint-8"]
    run(SUMMARIZE, tmp_path / "resumed", model, file, file, *settings, *resume)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/seq2seq is absent")
def test_a_script_for_t5_trains_on_abstracts(tmp_path):
    sources, targets = (
        (DATA / f"train.{name}").read_text(encoding="utf-8").splitlines()[:200] for name in ("source", "target")
    )
    model = checkpoint(tmp_path / "glm", sources, append_mask="[MASK]")
    file = write(tmp_path / "train.json", list(zip(sources, targets, strict=True)))
    test = write(tmp_path / "test.json", list(zip(sources[:8], targets[:8], strict=True)))
    settings = ["--do_train", "--learning_rate", "5e-3", "--per_device_train_batch_size", "16", "--max_steps", "40"]
    result = run(SUMMARIZE, tmp_path / "out", model, file, test, *settings, "--generation_max_length", "20")
    assert result["losses"][-1] < 0.85 * result["losses"][0]
    # piece by piece no prediction is the abstract it was made from
    assert not any(text and sources[row].startswith(text) for row, text in enumerate(result["texts"]))


def test_the_runner_runs_a_script_as_python_does(tmp_path):
    script = tmp_path / "script.py"
    (tmp_path / "neighbour.py").write_text("NAME = 'neighbour'")
    script.write_text(
        "import sys\nimport neighbour\nfrom transformers import AutoConfig\n"
        "print(__name__, sys.argv, neighbour.NAME, AutoConfig.for_model('glm_infilling').model_type)"
    )
    command = [sys.executable, "-m", "transformers_glm", str(script), "--flag", "x y"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == f"__main__ {[str(script), '--flag', 'x y']} neighbour glm_infilling", done.stderr
    done = subprocess.run([*command[:3], "nowhere.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "There is no script 'nowhere.py'" in done.stderr


def test_the_python_of_the_document_prints_what_it_says(text_model, tokenizer, tmp_path, monkeypatch, capsys):
    text_model.save_pretrained(tmp_path / "output" / "demo")
    tokenizer.save_pretrained(tmp_path / "output" / "demo")
    monkeypatch.chdir(tmp_path)
    # the other one needs TRL: tests/integrations/test_trl.py
    block, _ = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "seq2seq.md").read_text(encoding="utf-8"), re.DOTALL
    )
    exec(compile(block, "docs/seq2seq.md", "exec"), {})
    assert capsys.readouterr().out.strip() == re.search(r"  # (\[CLS\].*)$", block, re.MULTILINE)[1]
    assert GLMTokenizer.from_pretrained(tmp_path / "output" / "demo-seq2seq").append_mask == "[gMASK]"
