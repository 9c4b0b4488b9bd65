# SPDX-License-Identifier: Apache-2.0
import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from transformers import TrainingArguments

from transformers_glm.runs.lock import alone_in
from transformers_glm.runs.whole_checkpoints import PARTS, last_checkpoint


FILES = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def save_checkpoint(folder):
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 4}))
    save_file({"weight": torch.ones(100)}, folder / "model.safetensors")
    for name in FILES[2:]:
        torch.save({"value": torch.ones(100)}, folder / name)


@pytest.fixture
def output_dir(tmp_path):
    for step in (4, 8, 12):
        save_checkpoint(tmp_path / f"checkpoint-{step}")
    return tmp_path


def last(output_dir, **settings):
    return last_checkpoint(TrainingArguments(str(output_dir), report_to="none", use_cpu=True, **settings))


DAMAGE = {
    "gone": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "other bytes": lambda file: file.write_bytes(b"x" * 999),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(output_dir, name, damage, caplog):
    """Rows 9 and 14."""
    DAMAGE[damage](output_dir / "checkpoint-12" / name)
    assert last(output_dir) == str(output_dir / "checkpoint-8")
    name = name.split(".")[0]
    assert name in caplog.text and "checkpoint-12 is not whole" in caplog.text
    with pytest.raises(ValueError, match=rf"checkpoint-12 is not a whole checkpoint: .*{name}"):
        last(output_dir, resume_from_checkpoint=str(output_dir / "checkpoint-12"))


def test_strange_folders_and_files_beside_are_left_alone(output_dir):
    """Row 14."""
    for name in ("checkpoint-best", "checkpoint-99.bak"):
        shutil.copytree(output_dir / "checkpoint-4", output_dir / name)
    (output_dir / "checkpoint-77").touch()
    assert last(output_dir) == str(output_dir / "checkpoint-12")


def test_without_a_whole_checkpoint_a_run_does_not_begin_anew_unasked(output_dir):
    for step in (4, 8, 12):
        (output_dir / f"checkpoint-{step}" / "trainer_state.json").write_text("{")
    with pytest.raises(ValueError, match="None of the checkpoints"):
        last(output_dir)


def test_weights_alone_are_a_checkpoint_where_that_is_asked_for(output_dir):
    """Row 9: the explicit flag is the Trainer's own."""
    (output_dir / "checkpoint-12" / "optimizer.pt").unlink()
    assert last(output_dir, save_only_model=True) == str(output_dir / "checkpoint-12")


def test_a_shard_that_is_missing_is_named(output_dir, caplog):
    folder = output_dir / "checkpoint-12"
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    assert last(output_dir) == str(output_dir / "checkpoint-8") and "model-00002-of-00002" in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"weight_map": 5}', b'{"metadata": {}}'])
def test_a_damaged_or_missing_index_is_named(output_dir, content, caplog):
    """Row 14: the same holds for the file that says which shard has what."""
    folder = output_dir / "checkpoint-12"
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    if content is not None:
        (folder / "model.safetensors.index.json").write_bytes(content)
    assert last(output_dir) == str(output_dir / "checkpoint-8")
    assert "model.safetensors.index.json is " in caplog.text


def test_a_state_that_is_no_object_is_named(output_dir, caplog):
    """Row 14."""
    (output_dir / "checkpoint-12" / "trainer_state.json").write_text("[4]")
    assert last(output_dir) == str(output_dir / "checkpoint-8") and "it has no global_step" in caplog.text


def test_a_schedule_that_deepspeed_keeps_is_not_missed(output_dir):
    folder = output_dir / "checkpoint-12"
    (folder / "global_step12").mkdir()
    (folder / "scheduler.pt").unlink()
    assert last(output_dir) == str(folder)


def test_each_part_of_a_checkpoint_has_its_file_here():
    assert len(PARTS) == len(FILES)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    """A lock with the other's process id, which goes with its process."""
    hold = "import sys; from transformers_glm.runs.lock import alone_in\nwith alone_in(sys.argv[1]): print('in', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "in\n"
    with pytest.raises(ValueError, match=rf"Another run \(process {other.pid}\) works in"), alone_in(tmp_path):
        pass
    other.kill()
    other.wait()
    with alone_in(tmp_path):
        pass
