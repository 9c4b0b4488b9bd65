# SPDX-License-Identifier: Apache-2.0
"""Scripts in the form of `run_glue` and `run_swag` train GLM, and what they save predicts the same in another process."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from test_seq2seq_scripts import ROOT, WORDS, checkpoint

from configuration_glm import GLMConfig


CHOICES = WORDS[:8]
TRAIN = ["--do_train", "--learning_rate", "5e-3", "--per_device_train_batch_size", "16", "--logging_steps", "10"]
TRAIN += ["--lr_scheduler_type", "constant", "--save_strategy", "no", "--max_steps", "140"]


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def run(script, model, output, *more):
    """Run a copy of the script among the user's files, without the network; what it wrote of itself."""
    command = [sys.executable, script.name, "--model_name_or_path", model, "--output_dir", output]
    command += ["--report_to", "none"]
    command += ["--train_file", "train.json", "--validation_file", "validation.json", "--use_cpu"]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *more], cwd=script.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((script.parent / output / "result.json").read_text(encoding="utf-8"))


def train_and_load_again(name, folder, texts, rows, *padding, **settings):
    """Train on all rows but 32; the saved model, in a process of its own, must predict what the trained one did."""
    script = shutil.copy(ROOT / "tests" / "stock_scripts" / name, folder / name)
    checkpoint(folder / "glm", texts, **settings)
    write(folder / "train.json", rows[:-32])
    write(folder / "validation.json", rows[-32:])
    trained = run(script, "glm", "trained", *TRAIN, *padding)
    loaded = run(script, "trained", "loaded", *padding)
    assert loaded["losses"] == [] and len(trained["predictions"]) == 32
    assert loaded["predictions"] == trained["predictions"]
    return trained


def apples():
    """Four of eight words, and whether there is an apple among them."""
    draw = random.Random(1)
    for _ in range(160):
        words = draw.sample(CHOICES, 4)
        yield " ".join(words), "apple" in words


@pytest.mark.slow
def test_a_script_that_classifies_pairs_learns_and_what_it_saved_predicts_the_same(tmp_path):
    rows = [
        {"sentence1": "Is it here?", "sentence2": text, "label": "yes" if here else "no"} for text, here in apples()
    ]
    texts = [*CHOICES * 5, "Is it here?"]
    trained = train_and_load_again("classify.py", tmp_path, texts, rows, padding_side="left")
    assert trained["losses"][0] > 0.5 and trained["losses"][-1] < 0.1, trained["losses"]
    assert trained["metrics"]["eval_accuracy"] > 0.9
    assert GLMConfig.from_pretrained(tmp_path / "trained").id2label == {0: "no", 1: "yes"}


@pytest.mark.slow
def test_a_script_that_predicts_numbers_learns_and_what_it_saved_predicts_the_same(tmp_path):
    rows = [{"sentence1": text, "label": float(here)} for text, here in apples()]
    trained = train_and_load_again("classify.py", tmp_path, CHOICES * 5, rows, "--pad_to_max_length")
    assert trained["losses"][-1] < 0.05 and trained["metrics"]["eval_mse"] < 0.05, trained["losses"]
    assert {len(numbers) for numbers in trained["predictions"]} == {1}


def saw_again():
    """Four words of which one was seen before."""
    draw = random.Random(0)
    for _ in range(160):
        words, label = draw.sample(CHOICES, 4), draw.randrange(4)
        endings = {f"ending{number}": word for number, word in enumerate(words)}
        yield {"sent1": f"She saw {words[label]}.", "sent2": "Again", **endings, "label": label}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "padding"),
    [({"padding_side": "left", "append_mask": "[MASK]"}, []), ({"padding_side": "right"}, ["--pad_to_max_length"])],
    ids=["padded on the left, with a blank", "padded before, without"],
)
def test_a_script_that_chooses_learns_and_what_it_saved_predicts_the_same(settings, padding, tmp_path):
    texts = [*CHOICES * 5, "She saw it. Again"]
    trained = train_and_load_again("choose.py", tmp_path, texts, list(saw_again()), *padding, **settings)
    assert trained["losses"][0] > 1.2 and trained["losses"][-1] < 0.3, trained["losses"]
    assert trained["metrics"]["eval_accuracy"] > 0.9
    assert {len(scores) for scores in trained["predictions"]} == {4}
