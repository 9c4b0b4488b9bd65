# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are not whole, not of one piece or not harmless: each is refused by name, and nothing is written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import old_checkpoints as old
import pytest
import torch
from safetensors.torch import load_file, save_file

from transformers_glm.conversion.files import Stored, open_pickle, open_safetensors, write_safetensors
from transformers_glm.conversion.run import convert


ROOT = Path(__file__).parents[2]
BIN, SHARDED, SAFE, SAFE_SHARDED = (
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.safetensors",
    "model.safetensors.index.json",
)
RANK = "7/mp_rank_{:02d}_model_states.pt"


def change_state(path, change, key=None):
    """Rewrite a file of tensors."""
    if path.suffix == ".safetensors":
        state = load_file(path)
        change(state)
        save_file(state, path)
        return
    content = torch.load(path, weights_only=False)
    change(content if key is None else content[key])
    torch.save(content, path)


def drop(name):
    return lambda state: state.pop(name)


def put(name, value):
    return lambda state: state.__setitem__(name, value)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path):
    content = bytearray(path.read_bytes())
    place = content.find(old.old_state()["word_embeddings.weight"].numpy().tobytes()[:64])
    assert place > 0
    content[place] ^= 0xFF
    path.write_bytes(content)


def change_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


LAYER = "transformer.layers.1.mlp.dense_h_to_4h.bias"
HUB_DAMAGES = {
    "unknown name": (BIN, lambda f: change_state(f / BIN, put("lm.weight", torch.ones(2))), "lm.weight: no tensor of GLM"),
    "unknown layer": (SAFE, lambda f: change_state(f / SAFE, put("transformer.layers.2.input_layernorm.bias", torch.ones(16))), r"layers\.2\.input_layernorm\.bias: a model of 2 layers"),
    "missing name": (SAFE, lambda f: change_state(f / SAFE, drop(LAYER)), f"lacks 1 of 29 tensors, among them {LAYER}"),
    "wrong shape": (BIN, lambda f: change_state(f / BIN, put(LAYER, torch.ones(63))), rf"pytorch_model\.bin: {LAYER} has shape \(63,\), .* has \(64,\)"),
    "wrong vocabulary": (BIN, lambda f: change_json(f / "config.json", vocab_size=256), r"word_embeddings\.weight has shape \(128, 16\)"),
    "twice": (BIN, lambda f: change_state(f / BIN, put(f"glm.{LAYER}", torch.ones(64))), "are the same tensor"),
    "integers": (BIN, lambda f: change_state(f / BIN, put(LAYER, torch.ones(64, dtype=torch.int8))), f"{LAYER} is torch.int8"),
    "integers, safe": (SAFE, lambda f: change_state(f / SAFE, put(LAYER, torch.ones(64, dtype=torch.int8))), f"{LAYER} is I8"),
    "no tensor": (BIN, lambda f: change_state(f / BIN, put(LAYER, [1.0])), f"{LAYER} is list"),
    "NaN": (SAFE, lambda f: change_state(f / SAFE, put(LAYER, torch.full((64,), torch.nan))), f"{LAYER} holds NaN"),
    "truncated": (BIN, lambda f: cut(f / BIN), r"pytorch_model\.bin is truncated or damaged"),
    "truncated, safe": (SAFE, lambda f: cut(f / SAFE), r"model\.safetensors is truncated or damaged"),
    "empty": (BIN, lambda f: cut(f / BIN, 0), r"pytorch_model\.bin is truncated, damaged or not a checkpoint"),
    "a changed byte": (BIN, lambda f: flip(f / BIN), "does not have its checksum"),
    "a pointer": (BIN, lambda f: (f / BIN).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "Git LFS pointer"),
    "no weights": (BIN, lambda f: (f / BIN).unlink(), "holds no weights"),
    "no shard": (SHARDED, lambda f: (f / "pytorch_model-00002-of-00002.bin").unlink(), r"pytorch_model-00002-of-00002\.bin is missing"),
    "a shard cut": (SHARDED, lambda f: cut(f / "pytorch_model-00002-of-00002.bin"), r"pytorch_model-00002-of-00002\.bin is truncated"),
    "the other shard": (SAFE_SHARDED, lambda f: shutil.copy(f / "model-00001-of-00002.safetensors", f / "model-00002-of-00002.safetensors"), r"model-00002-of-00002\.safetensors and model\.safetensors\.index\.json disagree"),
    "a shard of another size": (SAFE_SHARDED, lambda f: change_state(f / "model-00001-of-00002.safetensors", put("word_embeddings.weight", torch.ones(256, 16))), r"model-00001-of-00002\.safetensors: word_embeddings\.weight has shape \(256, 16\)"),
    "a damaged index": (SHARDED, lambda f: cut(f / SHARDED), r"index\.json is not JSON"),
    "an empty index": (SHARDED, lambda f: (f / SHARDED).write_text("{}"), "has no weight_map"),
    "an index elsewhere": (SHARDED, lambda f: change_json(f / SHARDED, weight_map={"word_embeddings.weight": "../x.bin"}), "outside its folder"),
    "no JSON": (BIN, lambda f: cut(f / "config.json"), r"config\.json is not JSON"),
    "a list": (BIN, lambda f: (f / "config.json").write_text("[]"), "holds list, not settings"),
    "GLM-4": (BIN, lambda f: (f / "config.json").write_text('{"model_type": "glm", "num_hidden_layers": 40}'), "need no conversion"),
    "no config": (BIN, lambda f: (f / "config.json").unlink(), "holds no GLM checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("damage", HUB_DAMAGES)
def test_a_damaged_snapshot_is_refused_by_name(damage, tmp_path):
    form, inflict, message = HUB_DAMAGES[damage]
    folder = old.write_hub(tmp_path / "hub", old.old_state(), form)
    inflict(folder)
    with pytest.raises(ValueError, match=message):
        convert(folder, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def other_run(folder, **settings):
    """Put the second rank of another run in place of this one's."""
    other = old.write_training(folder.parent / "other", settings.pop("state", old.old_state()), 2, **settings)
    iteration = settings.get("iteration", 7)
    shutil.move(other / str(iteration) / "mp_rank_01_model_states.pt", folder / RANK.format(1))
    shutil.rmtree(other)


def exchange(first, second):
    aside = first.rename(first.with_name("aside"))
    second.rename(first)
    aside.rename(second)


TRAINING_DAMAGES = {
    "no second rank": (lambda f: (f / RANK.format(1)).unlink(), r"mp_rank_00.* is one of 2 model-parallel shards, and 1 are"),
    "no first rank": (lambda f: (f / RANK.format(0)).unlink(), r"mp_rank_00_model_states\.pt is missing"),
    "another iteration": (lambda f: other_run(f, iteration=9), r"mp_rank_01.*is of another run.*global_steps is 9 and 7|iteration is 9 and 7"),
    "another seed": (lambda f: other_run(f, state=old.old_state(1)), r"mp_rank_01_model_states\.pt: .* differ"),
    "another width": (lambda f: other_run(f, state=old.old_state(width=32)), "the shards are of different runs"),
    "another depth": (lambda f: other_run(f, state=old.old_state(layers=3)), r"mp_rank_01.* disagree about transformer\.layers\.2"),
    "another type": (lambda f: other_run(f, state=old.old_state(dtype=torch.float16)), "the shards are of different runs"),
    "a rank twice": (lambda f: shutil.copy(f / RANK.format(1), f / RANK.format(2)), "one of 2 model-parallel shards, and 3 are"),
    "a copy": (lambda f: shutil.copy(f / RANK.format(0), f / RANK.format(1)), "mp_rank_01_model_states.pt was written as mp_rank_00_model_states.pt"),
    "names exchanged": (lambda f: exchange(f / RANK.format(0), f / RANK.format(1)), "mp_rank_00_model_states.pt was written as mp_rank_01_model_states.pt"),
    "truncated": (lambda f: cut(f / RANK.format(1)), r"mp_rank_01_model_states\.pt is truncated or damaged"),
    "unknown name": (lambda f: [change_state(f / RANK.format(rank), put("bias", torch.ones(2)), "module") for rank in (0, 1)], "bias: no tensor of GLM"),
    "a prompt": (lambda f: [change_state(f / RANK.format(rank), put("prompt_spell.spell_embeddings.weight", torch.ones(2)), "module") for rank in (0, 1)], "P-tuning prompt"),
    "missing everywhere": (lambda f: [change_state(f / RANK.format(rank), drop(LAYER), "module") for rank in (0, 1)], f"lacks 1 of 29 tensors, among them {LAYER}"),
    "missing in one": (lambda f: change_state(f / RANK.format(1), drop(LAYER), "module"), f"disagree about {LAYER}"),
    "no embeddings": (lambda f: [change_state(f / RANK.format(rank), drop("word_embeddings.weight"), "module") for rank in (0, 1)], "lacks word_embeddings.weight"),
    "no module": (lambda f: torch.save({"model": {}}, f / RANK.format(1)), "no dictionary of tensors under 'module'"),
    "no folder": (lambda f: shutil.rmtree(f / "7"), "names '7', and .*7 holds no mp_rank"),
    "an empty folder": (lambda f: [(f / RANK.format(rank)).unlink() for rank in (0, 1)], "holds no mp_rank"),
}  # fmt: skip


@pytest.mark.parametrize("damage", TRAINING_DAMAGES)
def test_a_damaged_training_checkpoint_is_refused_by_name(damage, tmp_path):
    inflict, message = TRAINING_DAMAGES[damage]
    folder = old.write_training(tmp_path / "trained", old.old_state(), 2)
    inflict(folder)
    with pytest.raises(ValueError, match=message):
        convert(folder, tmp_path / "out", num_attention_heads=2)
    assert [path.name for path in tmp_path.iterdir()] == ["trained"]


def test_half_of_the_ranks_is_noticed_even_where_the_file_does_not_tell_their_number(tmp_path):
    folder = old.write_training(tmp_path / "trained", old.old_state(), 4, mp_world_size=None)
    for rank in (2, 3):
        (folder / RANK.format(rank)).unlink()
    with pytest.raises(ValueError, match=r"attention\.dense\.weight has shape \(16, 8\)"):
        convert(folder, tmp_path / "out", num_attention_heads=2)


def test_what_drifted_a_little_between_ranks_is_taken_from_the_first(tmp_path):
    folder, state = old.write_training(tmp_path / "trained", old.old_state(), 2), old.old_state()
    name = "transformer.final_layernorm.weight"
    change_state(folder / RANK.format(1), put(name, state[name] * 1.001), "module")
    convert(folder, tmp_path / "out", num_attention_heads=2)
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[f"glm.{name}"], state[name])


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zip_form", [True, False])
@pytest.mark.parametrize("form", ["hub", "training"])
def test_code_in_a_pickle_is_refused_and_does_not_run(form, zip_form, tmp_path):
    marker = tmp_path / "code-ran"
    if form == "hub":
        folder = old.write_hub(tmp_path / "source", old.old_state())
        path, content = folder / BIN, {**old.old_state(), "extra": Evil(marker)}
        torch.save(content, path, _use_new_zipfile_serialization=zip_form)
    else:
        folder = old.write_training(tmp_path / "source", old.old_state(), zip_form=zip_form, optimizer=Evil(marker))
        path = folder / RANK.format(0)
    with pytest.raises(ValueError, match=rf"{path.name}.* asks for `(posix|os|nt)\.system`.*refused"):
        convert(folder, tmp_path / "out", num_attention_heads=2)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # it would have run


def test_objects_beyond_the_random_states_are_refused(tmp_path):
    folder = old.write_training(tmp_path / "trained", old.old_state(), lr_scheduler=Path("x"))
    with pytest.raises(ValueError, match="asks for `pathlib"):
        convert(folder, tmp_path / "out", num_attention_heads=2)


def test_random_states_are_passed_over_unread(tmp_path):
    folder = old.write_training(tmp_path / "trained", old.old_state())
    tensors, rest = open_pickle(folder / RANK.format(0), "module")
    assert set(tensors) == set(old.old_state())
    assert type(rest["np_rng_state"][1]).__name__ == "Unread"
    assert rest["iteration"] == 7


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_written_files_are_read_by_safetensors(dtype, tmp_path):
    tensors = {
        "odd": torch.arange(3).to(torch.float16),
        "matrix": torch.randn(5, 3).to(dtype),
        "strided": torch.randn(4, 6).to(dtype).T,
        "empty": torch.empty(0, 3, dtype=dtype),
    }
    stored = {name: Stored(tuple(t.shape), t.dtype, name, lambda t=t: t) for name, t in tensors.items()}
    write_safetensors(tmp_path / "x.safetensors", stored)
    loaded = load_file(tmp_path / "x.safetensors")
    assert all(
        torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )
    reopened = open_safetensors(tmp_path / "x.safetensors")
    assert all(torch.equal(reopened[name].read(), tensor) for name, tensor in tensors.items())


MEASURE = """
import re, sys
from pathlib import Path
import transformers_glm.conversion.run as conversion

def peak():  # not ru_maxrss, which begins with that of the process before
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

source, warm, out, heads = sys.argv[1:]
conversion.convert(warm, out + "-warm")  # what is imported and allocated on first use
before = peak()
conversion.convert(source, out, num_attention_heads=int(heads))
print(before, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read where Linux tells it")
@pytest.mark.parametrize("form", ["bin", "safetensors", "training"])
def test_converting_takes_less_memory_than_the_checkpoint(form, tmp_path):
    state = old.old_state(width=1024, layers=6)
    size = sum(tensor.nbytes for tensor in state.values())
    if form == "training":
        source = old.write_training(tmp_path / "large", state, 2)
    else:
        source = old.write_hub(
            tmp_path / "large", state, BIN if form == "bin" else SAFE, hidden_size=1024, num_layers=6
        )
    del state
    warm = old.write_hub(tmp_path / "warm", old.old_state())
    measured = []
    for turn in range(3):
        finished = subprocess.run(
            [sys.executable, "-c", MEASURE, str(source), str(warm), str(tmp_path / f"out{turn}"), "2"],
            capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr
        measured.append([int(number) for number in finished.stdout.split()])
    # how many read pages of a mapped file stay resident is the system's whim: the least of three is the conversion's own
    before, peak = min(measured, key=lambda pair: pair[1] - pair[0])
    megabyte = 2**20
    print(
        f"{form}: {size / megabyte:.0f} MB of weights; peak of resident memory {peak / megabyte:.0f} MB, of it "
        f"{before / megabyte:.0f} MB before the conversion: {(peak - before) / size:.2f} of the checkpoint"
    )
    assert peak - before < 0.7 * size
