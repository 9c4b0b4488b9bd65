# SPDX-License-Identifier: Apache-2.0
"""Files that are whole and say what cannot be: each is refused by name, before memory or time is spent on it."""

import argparse
import struct
import zipfile

import old_checkpoints as old
import pytest
import torch
from old_checkpoints import change, refuses
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

import transformers_glm  # noqa: F401  registers GLM
from configuration_glm import GLMConfig
from transformers_glm.conversion.run import convert, write_hub_state


BIN, SHARDED = "pytorch_model.bin", "pytorch_model.bin.index.json"
RANK = "7/mp_rank_00_model_states.pt"
LAYER = "transformer.layers.1.mlp.dense_h_to_4h.bias"


CONFIGS = {
    "layers": ({"num_layers": 10**9}, "num_layers=1000000000: it must be at most 1000"),
    "more layers than weights": ({"num_layers": 3}, "num_layers=3, and the weights hold 2 layers"),
    "vocabulary": ({"vocab_size": 10**12}, "vocab_size=1000000000000: it must be at most"),
    "width": ({"hidden_size": 2**40}, "hidden_size=1099511627776: it must be at most"),
    "positions": ({"max_sequence_length": 2**40}, "max_sequence_length=1099511627776: it must be at most"),
    "a text": ({"hidden_size": "wide"}, "hidden_size"),
    "a list": ({"num_layers": [2]}, "num_layers"),
    "heads": ({"num_attention_heads": "2"}, "num_attention_heads='2' in the checkpoint"),
    "activation": ({"hidden_act": ["gelu"]}, "hidden_act=.* is none of"),
    "not a number": ({"layernorm_epsilon": float("nan")}, "layernorm_epsilon=nan"),
    "labels as a list": ({"id2label": ["no", "yes"]}, "id2label is of type list, and must be a dictionary"),
    "labels without ids": ({"id2label": {"no": 0}}, "id2label holds 'no': 0"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_settings_that_cannot_be_are_refused_before_a_model_is_built(case, tmp_path):
    """Row 19: a config.json with num_layers 10**9; row 20: `id2label` a list."""
    values, message = CONFIGS[case]
    folder = old.write_hub(tmp_path / "hub", old.old_state())
    change(folder / "config.json", **values)
    refuses(folder, message)


@pytest.mark.parametrize("auto_class", [GLMConfig, AutoConfig, AutoModel])
@pytest.mark.parametrize("form", ["hub", "out"])
@pytest.mark.parametrize("values", [{"num_layers": 10**9}, {"id2label": ["no"]}])
def test_loading_refuses_such_settings_too_and_names_the_file(auto_class, form, values, tmp_path):
    """Row 19: num_layers 10**9 through GLMConfig.from_pretrained and AutoModel.from_pretrained."""
    convert(old.write_hub(tmp_path / "hub", old.old_state()), tmp_path / "out")
    change(tmp_path / form / "config.json", **values)
    with pytest.raises(ValueError, match=rf"{form}.config\.json: .*{next(iter(values))}.*Correct the file"):
        auto_class.from_pretrained(tmp_path / form)


def test_a_number_of_labels_without_end_is_refused():
    """Row 19: num_labels of 10**9 is a table of as many texts."""
    with pytest.raises(ValueError, match="num_labels=1000000000: it must be a whole number of at most"):
        GLMConfig(num_labels=10**9)


@pytest.mark.parametrize("form", ["hub", "trained", "out"])
def test_the_old_state_of_half_a_checkpoint_is_not_written(form, tmp_path):
    """Row 11: a checkpoint without one of its tensors, of which only the conversion asked whether it is whole."""
    state = old.old_state()
    convert(old.write_hub(tmp_path / "hub", state), tmp_path / "out")
    old.write_training(tmp_path / "trained", state)
    del state[LAYER]
    torch.save(state, tmp_path / "hub" / BIN)
    torch.save({"module": state}, tmp_path / "trained" / RANK)
    save_file({f"glm.{name}": tensor for name, tensor in state.items()}, tmp_path / "out" / "model.safetensors")
    with pytest.raises(ValueError, match=f"lacks 1 of 29 tensors, among them {LAYER}"):
        write_hub_state(tmp_path / form, tmp_path / "back.safetensors")
    assert not (tmp_path / "back.safetensors").exists()


@pytest.mark.parametrize("name", ["config.json", SHARDED, "added_tokens.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is not JSON"),
        ('{"a":' * 100_000, "is not JSON"),
        ("[]", "holds list"),
        ("", "is empty"),
        ("\xff", ""),
    ],
)
def test_json_that_is_no_object_is_refused(name, text, message, tmp_path):
    """Row 20: deep JSON."""
    folder = old.write_hub(tmp_path / "hub", old.old_state(), SHARDED)
    (folder / name).write_bytes(text.encode("latin-1"))
    refuses(folder, rf"{name} {message}")


def test_a_large_file_in_place_of_a_small_one_is_not_read(tmp_path):
    """Row 19: a settings file of gigabytes."""
    folder = old.write_hub(tmp_path / "hub", old.old_state())
    with (folder / "config.json").open("wb") as file:
        file.truncate(2**40)
    refuses(folder, r"config\.json has 1099511627776 bytes")


@pytest.mark.parametrize("form", ["compressed", "overlapping"])
def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(form, tmp_path):
    """Row 19: a small archive that unpacks to gigabytes."""
    folder = old.write_hub(tmp_path / "hub", old.old_state())
    path = folder / BIN
    if form == "compressed":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(2**24))
    else:  # the sizes in the archive's table say more than the file has
        content, entry = bytearray(path.read_bytes()), path.read_bytes().rfind(b"PK\x01\x02")
        struct.pack_into("<II", content, entry + 20, 2**31, 2**31)
        path.write_bytes(content)
    refuses(folder, rf"{BIN} is a compressed archive of \d+ bytes that unpacks to \d+")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            LAYER,
            torch.ones(1).expand(10**9),
            r"of shape \(1000000000,\), its tensors have \d+ bytes, and the file has",
        ),
        (LAYER, torch.ones(64).to_sparse(), r"is stored as torch\.sparse_coo"),
        (LAYER, torch.ones(64, device="meta"), "is on the device 'meta', without its numbers"),
        (LAYER, torch.ones(64).to(torch.float8_e4m3fn), r"is torch\.float8_e4m3fn"),
        (LAYER, torch.ones(64, dtype=torch.complex64), r"is torch\.complex64"),
        (LAYER, torch.ones(10**9, 0), r"is empty, of shape \(1000000000, 0\)"),
        (LAYER, "x", "is str"),
        (5, torch.ones(64), "a tensor is called 5"),
        ((LAYER,), torch.ones(64), "a tensor is called"),
    ],
)
@pytest.mark.parametrize("form", ["hub", "training"])
def test_a_tensor_that_cannot_be_written_is_refused(form, name, value, message, tmp_path):
    """Row 20: sparse, meta or float8 tensors; row 19: a tensor of gigabytes in a file of kilobytes."""
    state = {**old.old_state(), name: value}
    if form == "hub":
        folder = old.write_hub(tmp_path / "hub", old.old_state())
        torch.save(state, folder / BIN)
    else:
        folder = old.write_training(tmp_path / "trained", old.old_state())
        torch.save({"module": state, "mp_world_size": 1}, folder / RANK)
    refuses(folder, message, num_attention_heads=2)


def test_parameters_are_tensors_too(tmp_path):
    """Row 20: a state of parameters, which want a gradient, is converted."""
    state = {name: torch.nn.Parameter(tensor) for name, tensor in old.old_state().items()}
    convert(old.write_hub(tmp_path / "hub", state), tmp_path / "out")
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[f"glm.{LAYER}"], state[LAYER].detach())


@pytest.mark.parametrize("shard", [5, None, ["x"], {}, "", ".", "..", "a/b.bin", "a\0b", "x" * 300])
def test_a_shard_whose_name_is_none_is_refused(shard, tmp_path):
    """Row 20: shard names that are no strings."""
    folder = old.write_hub(tmp_path / "hub", old.old_state(), SHARDED)
    change(folder / SHARDED, weight_map={"word_embeddings.weight": shard})
    refuses(folder, "outside its folder or no name of a file")


@pytest.mark.parametrize("values", [{"metadata": None}, {"metadata": []}, {"weight_map": None}, {"weight_map": ["x"]}])
def test_an_index_of_another_form_is_refused(values, tmp_path):
    """Row 20: `metadata: null`."""
    folder = old.write_hub(tmp_path / "hub", old.old_state(), SHARDED)
    change(folder / SHARDED, **values)
    refuses(folder, next(iter(values)))


@pytest.mark.parametrize("tag", ["../7", "/tmp", "7\0", "x" * 300, ".."])
def test_a_tracker_that_names_no_folder_beside_it_is_refused(tag, tmp_path):
    """Row 20: the file that names the folder of the ranks."""
    folder = old.write_training(tmp_path / "trained", old.old_state())
    (folder / "latest_checkpointed_iteration.txt").write_text(tag)
    refuses(folder, "latest_checkpointed_iteration.txt names .*no folder beside it", num_attention_heads=2)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"args": {"num_attention_heads": 2}}, "args is dict, and the original code"),
        ({"args": 5}, "args is int"),
        ({"args": argparse.Namespace(num_attention_heads="2")}, "num_attention_heads='2' in the checkpoint"),
        ({"mp_world_size": [1, 2]}, r"is one of \[1, 2\] model-parallel shards"),
    ],
)
def test_facts_of_a_training_checkpoint_of_another_form_are_refused(facts, message, tmp_path):
    """Row 20: `args` no namespace."""
    folder = old.write_training(tmp_path / "trained", old.old_state(), **facts)
    refuses(folder, message)


def test_facts_that_cannot_be_compared_are_passed_over(tmp_path):
    """Row 20: a tensor among the facts that the ranks of one run share."""
    facts = {"client_lr_scheduler": {"lr": torch.ones(3)}, "global_samples": torch.ones(2)}
    folder = old.write_training(tmp_path / "trained", old.old_state(), 2, **facts)
    convert(folder, tmp_path / "out", num_attention_heads=2)
