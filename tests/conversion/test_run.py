# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import old_checkpoints as old
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    GlmConfig,
    GlmForCausalLM,
    PreTrainedConfig,
)

import transformers_glm  # noqa: F401  registers GLM
from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification
from tokenization_glm import GLMTokenizer
from transformers_glm.commands.convert import main as run_command
from transformers_glm.conversion.config import make_config as config_of
from transformers_glm.conversion.formats import HUB, OURS, TRAINING, open_checkpoint
from transformers_glm.conversion.names import RELEASED
from transformers_glm.conversion.old_configs import TOKENS_BY_SOP, is_old_config
from transformers_glm.conversion.run import convert, write_hub_state
from transformers_glm.conversion.verify import verify
from transformers_glm.integrations.old_configs import catch_old_configs, leave_out_remote_tokenizers


ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED_SIZES = {"hidden_size": 32, "num_attention_heads": 4, "max_sequence_length": 40, "vocab_size": 200}
FORMS = ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.safetensors", "model.safetensors.index.json"]


def same(state, folder):
    loaded = GLMForConditionalGeneration.from_pretrained(folder).state_dict()
    return all(torch.equal(loaded[f"glm.{name}"], tensor) for name, tensor in state.items())


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(tmp_path):
    """A snapshot of the Hub, and its state."""
    state = old.old_state()
    return old.write_hub(tmp_path / "hub", state), state


def recorded(name):
    """What was recorded of the old programs, and the weights that they ran with."""
    tensors = load_file(FIXTURES / name)
    return tensors, {
        key.removeprefix("weights/"): value for key, value in tensors.items() if key.startswith("weights/")
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prefix", ["", "glm."])
def test_every_form_of_the_hub_gives_the_same_model(form, prefix, tmp_path):
    state = old.old_state()
    source = old.write_hub(tmp_path / "hub", {prefix + name: tensor for name, tensor in state.items()}, form)
    assert convert(source, tmp_path / "out").form == HUB
    assert same(state, tmp_path / "out")


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("below", [False, True])
def test_every_number_of_ranks_gives_the_same_model(ranks, below, tmp_path):
    state = old.old_state()
    source = old.write_training(tmp_path / "trained", state, ranks)
    checkpoint = convert(source / "7" if below else source, tmp_path / "out", num_attention_heads=old.HEADS)
    assert checkpoint.form == TRAINING
    assert same(state, tmp_path / "out")


def test_files_from_before_pytorch_1_6_are_read(tmp_path):
    state = old.old_state()
    source = old.write_training(tmp_path / "trained", state, 2, zip_form=False)
    convert(source, tmp_path / "out", num_attention_heads=old.HEADS)
    assert same(state, tmp_path / "out")


def test_the_configuration_of_a_hub_checkpoint_is_kept_and_completed(hub, tmp_path):
    convert(hub[0], tmp_path / "out")
    config = GLMConfig.from_pretrained(tmp_path / "out")
    assert config.model_type == json.loads((tmp_path / "out" / "config.json").read_text())["model_type"]
    assert (config.hidden_size, config.num_layers, config.num_attention_heads) == (old.WIDTH, old.LAYERS, old.HEADS)
    assert (config.vocab_size, config.max_sequence_length) == (old.VOCABULARY, old.POSITIONS)
    assert config.mask_token_ids == [old.WORDS.index("[MASK]")]
    assert config.decoder_start_token_id == old.SOP
    assert config.eos_token_id == [old.EOP, old.WORDS.index("[SEP]")]
    assert config.pad_token_id == 0
    assert config.architectures == ["GLMForConditionalGeneration"]
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert not {"auto_map", "pool_token", "parallel_output", "_name_or_path"} & set(written)


def test_generation_stops_at_every_end_and_writes_no_blank(hub, tmp_path):
    convert(hub[0], tmp_path / "out")
    generation = GenerationConfig.from_pretrained(tmp_path / "out")
    # the original ended texts of this vocabulary with [PAD]
    assert generation.eos_token_id == [old.EOP, old.WORDS.index("[SEP]"), 0]
    assert generation.suppress_tokens == [old.WORDS.index("[MASK]"), old.SOP]
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert model.generate(**tokenizer("the [MASK] text", return_tensors="pt"), max_new_tokens=3).shape[0] == 1


def test_the_tokenizer_is_saved_as_it_was(hub, tmp_path):
    convert(hub[0], tmp_path / "out")
    text = "Is [MASK] the text?"
    assert type(AutoTokenizer.from_pretrained(tmp_path / "out")) is GLMTokenizer
    assert AutoTokenizer.from_pretrained(tmp_path / "out")(text) == GLMTokenizer.from_pretrained(hub[0])(text)
    assert (tmp_path / "out" / "tokenizer.json").exists()


def test_a_roberta_blank_gets_the_id_it_was_trained_with(tmp_path):
    source = old.write_hub(tmp_path / "hub", old.old_state())
    for name in ("vocab.txt", "tokenizer_config.json", "added_tokens.json"):
        (source / name).unlink()
    vocab = ["<s>", "<pad>", "</s>", "<unk>", *map(chr, range(97, 123)), "Ġ", "<mask>"]
    (source / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(vocab)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    added = {"<|startofpiece|>": 32, "<|endofpiece|>": 33, "[MASK]": 34}
    (source / "added_tokens.json").write_text(json.dumps(added))
    settings = {"tokenizer_class": "GLMRobertaTokenizer", "cls_token": "<s>", "mask_token": "[MASK]"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    convert(source, tmp_path / "out")
    assert GLMConfig.from_pretrained(tmp_path / "out").mask_token_ids == [vocab.index("<mask>")]


@pytest.mark.parametrize(("said", "given"), [(None, None), (None, "relu"), ("relu", None), ("relu", "gelu_new")])
def test_a_snapshot_computes_the_exact_gelu_and_training_the_tanh_one_unless_something_says_otherwise(
    said, given, tmp_path
):
    source = old.write_hub(tmp_path / "hub", old.old_state(), **({} if said is None else {"hidden_act": said}))
    assert config_of(open_checkpoint(source), hidden_act=given).hidden_act == (given or said or "gelu")
    trained = open_checkpoint(old.write_training(tmp_path / "trained", old.old_state()))
    config = config_of(trained, num_attention_heads=2, hidden_act=given)
    assert config.hidden_act == (given or "gelu_pytorch_tanh")


def test_heads_come_from_the_shape_of_a_released_model_or_from_args_or_from_the_user(tmp_path):
    checkpoint = open_checkpoint(old.write_training(tmp_path / "none", old.old_state()))
    for sizes in RELEASED:
        settings = dict(zip(("vocab_size", "num_layers", "hidden_size"), sizes, strict=True))
        assert config_of(checkpoint._replace(settings=settings)).num_attention_heads == sizes[2] // 64
    source = old.write_training(tmp_path / "args", old.old_state(), args=argparse.Namespace(num_attention_heads=4))
    assert config_of(open_checkpoint(source)).num_attention_heads == 4
    with pytest.raises(ValueError, match="has 4 attention heads, you gave 2"):
        config_of(open_checkpoint(source), num_attention_heads=2)
    with pytest.raises(ValueError, match="Give --num-attention-heads"):
        config_of(checkpoint)


def test_the_shared_row_of_eop_and_gmask_is_copied(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "vocabulary")
    state = old.old_state(vocabulary=512)
    source = old.write_training(tmp_path / "trained", state, 2)
    settings = {"tokenizer": tmp_path / "vocabulary", "num_attention_heads": old.HEADS}
    checkpoint = convert(source, tmp_path / "out", copy_eop_to_gmask=True, **settings)
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "out")
    expected = state["word_embeddings.weight"].clone()
    expected[tokenizer.gmask_token_id] = expected[tokenizer.eop_token_id]
    assert torch.equal(model.glm.word_embeddings.weight, expected)
    assert tokenizer.gmask_token_id in model.generation_config.suppress_tokens
    assert "tensors are the same" in verify(checkpoint, tmp_path / "out")
    convert(source, tmp_path / "plain", **settings)
    assert same(state, tmp_path / "plain")


def test_a_vocabulary_of_another_model_is_refused(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "vocabulary")
    source = old.write_training(tmp_path / "trained", old.old_state())
    with pytest.raises(ValueError, match="400 tokens, the model 128 embeddings"):
        convert(source, tmp_path / "out", num_attention_heads=2, tokenizer=tmp_path / "vocabulary")
    large = old.write_training(tmp_path / "large", old.old_state(vocabulary=256))
    with pytest.raises(ValueError, match="15 tokens, the model 256 embeddings"):
        convert(large, tmp_path / "out", num_attention_heads=2, tokenizer=old.write_vocabulary(tmp_path / "small"))


def test_settings_that_do_not_exist_are_refused(hub, tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="bare has no vocabulary: none of tokenizer.json"):
        convert(hub[0], tmp_path / "out", tokenizer=tmp_path / "bare")
    with pytest.raises(ValueError, match="hidden_act='gello' is none of"):
        convert(hub[0], tmp_path / "out", hidden_act="gello")
    with pytest.raises(ValueError, match="has 2 attention heads, you gave 4"):
        convert(hub[0], tmp_path / "out", num_attention_heads=4)
    assert not (tmp_path / "out").exists()


def test_the_vocabulary_may_stand_beside_the_tagged_folder(tmp_path):
    source = old.write_training(tmp_path / "trained", old.old_state())
    old.write_vocabulary(source)
    convert(source, tmp_path / "out", num_attention_heads=2)
    assert GLMConfig.from_pretrained(tmp_path / "out").decoder_start_token_id == old.SOP


def test_the_original_classifier_is_converted(tmp_path):
    state = {f"model.{name}": tensor for name, tensor in old.old_state().items()}
    head = {
        "pool_layer.weight": torch.randn(old.WIDTH, old.WIDTH),
        "pool_layer.bias": torch.randn(old.WIDTH),
        "multichoice_head.weight": torch.randn(3, old.WIDTH),
        "multichoice_head.bias": torch.randn(3),
    }
    source = old.write_training(tmp_path / "trained", state | head)
    checkpoint = convert(source, tmp_path / "out", num_attention_heads=2)
    model = GLMForSequenceClassification.from_pretrained(tmp_path / "out")
    assert model.num_labels == 3
    assert torch.equal(model.classifier.dense.weight, head["pool_layer.weight"])
    assert torch.equal(model.classifier.out_proj.bias, head["multichoice_head.bias"])
    verify(checkpoint, tmp_path / "out")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_of_the_weights_is_kept(dtype, tmp_path):
    state = old.old_state(dtype=dtype)
    checkpoint = convert(old.write_hub(tmp_path / "hub", state), tmp_path / "out")
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "out")
    assert model.dtype == dtype
    assert same(state, tmp_path / "out")
    assert "tensors are the same" in verify(checkpoint, tmp_path / "out")


def test_mixed_types_are_kept_and_loaded_without_loss(tmp_path):
    state = {name: tensor.half() if "mlp" in name else tensor for name, tensor in old.old_state().items()}
    convert(old.write_hub(tmp_path / "hub", state), tmp_path / "out")
    assert GLMForConditionalGeneration.from_pretrained(tmp_path / "out").dtype == torch.float32
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(stored[f"glm.{name}"], tensor) for name, tensor in state.items())
    assert all(stored[f"glm.{name}"].dtype == tensor.dtype for name, tensor in state.items())


def test_what_is_written_is_what_save_pretrained_writes(hub, tmp_path):
    convert(hub[0], tmp_path / "out")
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "out")
    model.save_pretrained(tmp_path / "saved")
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "saved"))
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name in ("config.json", "generation_config.json"):
        ours, theirs = (json.loads((tmp_path / folder / name).read_text()) for folder in ("out", "saved"))
        assert ours == theirs, name


def test_large_weights_are_sharded_as_save_pretrained_does(hub, tmp_path):
    convert(hub[0], tmp_path / "out", max_shard_size="10KB")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in hub[1].values())
    assert same(hub[1], tmp_path / "out")


def test_converting_saving_loading_and_converting_again_changes_nothing(hub, tmp_path):
    convert(hub[0], tmp_path / "first")
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "first")
    model.save_pretrained(tmp_path / "saved")
    again = old.write_vocabulary(tmp_path / "again")
    write_hub_state(tmp_path / "saved", again / "model.safetensors")
    (again / "config.json").write_text(json.dumps(old.CONFIG))
    convert(again, tmp_path / "second")
    first, second = files_of(tmp_path / "first"), files_of(tmp_path / "second")
    assert set(first) == set(second)
    for name in set(first) - {"README.md", "model.safetensors"}:
        assert first[name] == second[name], name
    assert same(hub[1], tmp_path / "second")


def test_our_own_folder_is_left_alone(hub, tmp_path, capsys):
    convert(hub[0], tmp_path / "out")
    before = files_of(tmp_path / "out")
    run_command([str(tmp_path / "out"), str(tmp_path / "again")])
    assert "nothing to do" in capsys.readouterr().out
    assert not (tmp_path / "again").exists()
    assert files_of(tmp_path / "out") == before
    assert open_checkpoint(tmp_path / "out").form == OURS


def test_the_old_state_has_the_old_names(hub, tmp_path):
    convert(hub[0], tmp_path / "out")
    write_hub_state(tmp_path / "out", tmp_path / "back" / "pytorch_model.safetensors")
    back = load_file(tmp_path / "back" / "pytorch_model.safetensors")
    assert set(back) == set(hub[1])
    assert all(torch.equal(back[name], tensor) for name, tensor in hub[1].items())
    with pytest.raises(ValueError, match="pickles are not written"):
        write_hub_state(tmp_path / "out", tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="exists"):
        write_hub_state(tmp_path / "out", tmp_path / "back" / "pytorch_model.safetensors")


def test_the_old_state_of_a_classifier_has_the_old_codes_names(tmp_path):
    tensors, weights = recorded("old_classifier.safetensors")
    labels = {str(number): f"LABEL_{number}" for number in range(3)}
    source = old.write_hub(tmp_path / "hub", weights, "model.safetensors", **RECORDED_SIZES, id2label=labels)
    convert(source, tmp_path / "out")
    model = GLMForSequenceClassification.from_pretrained(tmp_path / "out", attn_implementation="eager").eval()
    positions = tensors["in/position_ids"]
    length = positions.shape[-1]
    place = torch.arange(length)
    mask = (place <= place[:, None]) | (place < tensors["in/attention_mask"][:, None, None])
    inputs = {"position_ids": positions[:, 0], "block_position_ids": positions[:, 1], "attention_mask": mask[:, None]}
    with torch.no_grad():
        output = model(tensors["in/input_ids"], **inputs, labels=tensors["in/labels"])
    torch.testing.assert_close(output.logits, tensors["out/logits"], atol=1e-4, rtol=0)
    torch.testing.assert_close(output.loss, tensors["out/loss"][0], atol=1e-5, rtol=0)
    write_hub_state(tmp_path / "out", tmp_path / "back.safetensors")
    assert set(load_file(tmp_path / "back.safetensors")) == set(weights)


@pytest.mark.parametrize(("act", "out"), [("gelu", "out"), ("gelu_pytorch_tanh", "out_orig")])
def test_a_converted_checkpoint_computes_what_was_recorded_of_the_old_programs(act, out, tmp_path):
    tensors, weights = recorded("old_language_model.safetensors")
    source = old.write_hub(tmp_path / "hub", weights, "model.safetensors", **RECORDED_SIZES)
    checkpoint = convert(source, tmp_path / "out", hidden_act=act)
    assert "tensors are the same" in verify(checkpoint, tmp_path / "out")
    for implementation in ("eager", "sdpa"):
        model = GLMForConditionalGeneration.from_pretrained(
            tmp_path / "out", attn_implementation=implementation
        ).eval()
        for case in ("sep_vector", "sep_scalar", "mask_4d"):
            ids, positions, mask = (
                tensors[f"{case}/in/{name}"] for name in ("input_ids", "position_ids", "attention_mask")
            )
            if mask.dim() < 2:  # this many tokens are seen by all, the rest is causal
                place = torch.arange(ids.shape[1])
                part_a = mask.reshape(-1).expand(len(ids))[:, None, None]
                mask = ((place <= place[:, None]) | (place < part_a))[:, None]
            with torch.no_grad():
                call = {"position_ids": positions[:, 0], "block_position_ids": positions[:, 1], "attention_mask": mask}
                logits = model(ids, **call).logits
            torch.testing.assert_close(logits[..., ::5], tensors[f"{case}/{out}/logits"], atol=1e-4, rtol=0)


def test_verify_finds_a_changed_tensor(hub, tmp_path):
    checkpoint = convert(hub[0], tmp_path / "out")
    assert "29 tensors are the same" in verify(checkpoint, tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    tensors["glm.transformer.layers.1.mlp.dense_h_to_4h.bias"][3] += 1e-3
    save_file(tensors, tmp_path / "out" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"layers\.1\.mlp\.dense_h_to_4h\.bias"):
        verify(checkpoint, tmp_path / "out")


@pytest.mark.parametrize("change", [{"num_attention_heads": 4}, {"hidden_act": "relu"}, {"layernorm_epsilon": 0.1}])
def test_verify_finds_a_changed_configuration(change, hub, tmp_path):
    checkpoint = convert(hub[0], tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    (tmp_path / "out" / "config.json").write_text(json.dumps(config | change))
    [(field, value)] = change.items()
    with pytest.raises(ValueError, match=f"{field} in .* is {value!r}, and the source says"):
        verify(checkpoint, tmp_path / "out")


def test_the_command_line_converts_verifies_and_writes_back(hub, tmp_path, capsys):
    out, back = tmp_path / "out", tmp_path / "pytorch_model.safetensors"
    run_command([str(hub[0]), str(out), "--verify", "--hidden-act", "gelu_new", "--to-hub-state", str(back)])
    printed = capsys.readouterr().out
    assert "a snapshot of the Hub" in printed
    assert "verified: 29 tensors are the same" in printed
    assert GLMConfig.from_pretrained(out).hidden_act == "gelu_new"
    assert set(load_file(back)) == set(hub[1])
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "import transformers_glm" in card
    assert card.endswith("\nThe licence and the training data are those of the original model.\n")


def test_the_command_line_names_what_is_wrong_and_writes_nothing(hub, tmp_path):
    (hub[0] / "pytorch_model.bin").write_bytes((hub[0] / "pytorch_model.bin").read_bytes()[:-100])
    command = [sys.executable, str(ROOT / "scripts" / "convert_checkpoint.py"), str(hub[0]), str(tmp_path / "out")]
    finished = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith(
        f"error: {hub[0] / 'pytorch_model.bin'} is truncated or damaged"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub"]


@pytest.mark.parametrize("arguments", [["source"], ["source", "--verify", "--to-hub-state", "x.safetensors"]])
def test_the_command_line_wants_somewhere_to_write(arguments):
    with pytest.raises(SystemExit):
        run_command(arguments)


def test_a_folder_in_use_is_not_written_to(hub, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        convert(hub[0], tmp_path / "out")
    assert files_of(tmp_path / "out") == {"notes.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    convert(hub[0], tmp_path / "empty")
    assert same(hub[1], tmp_path / "empty")


def test_an_old_configuration_is_told_from_glm_4s():
    assert is_old_config(old.CONFIG)
    assert not is_old_config(GlmConfig().to_dict())
    assert not is_old_config(GLMConfig().to_dict())


def test_reading_an_old_configuration_gives_ours_and_leaves_others_alone(hub, tmp_path):
    class Reader(PreTrainedConfig):
        pass

    catch_old_configs(SimpleNamespace(PreTrainedConfig=Reader))
    settings, _ = Reader.get_config_dict(hub[0])
    assert settings["model_type"] == "glm_infilling"
    assert settings["hidden_act"] == "gelu"
    assert settings["decoder_start_token_id"] == old.SOP
    assert "auto_map" not in settings
    assert GLMConfig(**settings).num_layers == old.LAYERS
    GlmConfig(num_hidden_layers=3).save_pretrained(tmp_path / "glm-4")
    settings, _ = Reader.get_config_dict(tmp_path / "glm-4")
    assert settings == PreTrainedConfig.get_config_dict(tmp_path / "glm-4")[0]


@pytest.mark.parametrize(
    ("name", "code", "model", "ours"),
    [
        ("GLMBertTokenizer", "tokenization_glm.GLMBertTokenizer", old.CONFIG, True),
        ("GLMTokenizer", "tokenization_glm.GLMTokenizer", {"model_type": "glm_infilling"}, True),
        ("GLMTokenizer", "me/glm--tokenization_glm.GLMTokenizer", None, True),
        ("GLMTokenizer", "tokenization_theirs.GLMTokenizer", None, False),
        ("GLMTokenizer", "tokenization_theirs.GLMTokenizer", {"model_type": "glm_infilling"}, False),
        ("GLMTokenizer", "tokenization_glm.GLMTokenizer", {"model_type": "glm4"}, False),
        ("TheirTokenizer", "tokenization_theirs.TheirTokenizer", None, None),
    ],
)
def test_the_remote_code_of_our_tokenizers_is_left_out_and_that_of_others_stays(name, code, model, ours, tmp_path):
    """Row 23: a foreign class that is also called GLMTokenizer."""
    settings = {"tokenizer_class": name, "auto_map": {"AutoTokenizer": [code, None]}}
    if model is not None:
        (tmp_path / "config.json").write_text(json.dumps(model))
    module = SimpleNamespace(get_tokenizer_config=lambda _: dict(settings))
    leave_out_remote_tokenizers(module)
    read = module.get_tokenizer_config(tmp_path)
    if ours:
        assert read == {"tokenizer_class": name}
    else:
        assert read == {**settings, "tokenizer_class": name if ours is None else code}


@pytest.mark.parametrize(("module", "model_type"), [("tokenization_theirs", "theirs"), ("tokenization_glm", "bert")])
def test_a_foreign_remote_tokenizer_with_our_name_loads_as_without_this_package(module, model_type, tmp_path):
    """Row 23: with trust it is the repository's class, never ours, which has no vocabulary there."""
    (tmp_path / f"{module}.py").write_text(
        "from transformers import BertTokenizer\n\n\nclass GLMTokenizer(BertTokenizer):\n    theirs = True\n"
    )
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "wrote"]))
    settings = {"tokenizer_class": "GLMTokenizer", "auto_map": {"AutoTokenizer": [None, f"{module}.GLMTokenizer"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=True)
    assert tokenizer.theirs and tokenizer("ada wrote")["input_ids"] == [2, 5, 6, 3]
    if model_type == "theirs":
        with pytest.raises(ValueError, match="trust_remote_code=True"):
            AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)


@pytest.mark.parametrize("settings", [{}, {"trust_remote_code": True}])
def test_an_unconverted_folder_loads_through_the_auto_classes(settings, hub, monkeypatch):
    eos = [old.EOP, old.WORDS.index("[SEP]")]
    released = {"mask_token_ids": [old.WORDS.index("[MASK]")], "pad_token_id": 0, "eos_token_id": eos}
    monkeypatch.setitem(TOKENS_BY_SOP, old.SOP, released)
    config = AutoConfig.from_pretrained(hub[0], **settings)
    assert type(config) is GLMConfig
    assert type(AutoModel.from_pretrained(hub[0], **settings)).__name__ == "GLMModel"
    model = AutoModelForSeq2SeqLM.from_pretrained(hub[0], **settings)
    state = model.state_dict()
    assert all(torch.equal(state[f"glm.{name}"], tensor) for name, tensor in hub[1].items())
    assert model.generation_config.eos_token_id == eos
    tokenizer = AutoTokenizer.from_pretrained(hub[0], **settings)
    assert isinstance(tokenizer, GLMTokenizer)
    inputs = tokenizer("the [MASK] text", return_tensors="pt")
    assert model.generate(**inputs, max_new_tokens=3)[0, 0] == old.SOP


def test_an_unconverted_folder_computes_what_the_converted_one_does(hub, tmp_path):
    convert(hub[0], tmp_path / "out")
    models = [AutoModelForSeq2SeqLM.from_pretrained(folder).eval() for folder in (hub[0], tmp_path / "out")]
    with torch.no_grad():
        logits = [model(torch.arange(12)[None]).logits for model in models]
    assert torch.equal(*logits)


def test_the_tokens_of_the_released_vocabularies_are_those_of_their_tokenizers():
    shared = ROOT.parent / "shared" / "golden" / "open"
    if not shared.is_dir():
        pytest.skip("the released vocabularies (../shared/golden) are not here")
    for family in ("bert", "gpt2", "roberta", "chinese"):
        tokenizer = GLMTokenizer.from_pretrained(shared / family / "ckpt")
        tokens = TOKENS_BY_SOP[tokenizer.sop_token_id]
        assert tokens["pad_token_id"] == tokenizer.pad_token_id
        assert tokens["eos_token_id"] == [tokenizer.eop_token_id, tokenizer.eos_token_id]
        trained = [50264] if family == "roberta" else []
        assert tokens["mask_token_ids"] == [*trained, *tokenizer.mask_token_ids]


def test_glm_4_loads_as_before(tmp_path):
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    config = GlmConfig(hidden_size=16, intermediate_size=16, vocab_size=20, pad_token_id=0, **sizes)
    GlmForCausalLM(config).save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is GlmConfig
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is GlmForCausalLM
    assert type(AutoConfig.for_model("glm")) is GlmConfig


def test_the_migration_guide_names_flags_and_messages_that_exist(capsys):
    guide = (ROOT / "docs" / "migration.md").read_text()
    with pytest.raises(SystemExit):
        run_command(["--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    used = re.findall(r"transformers-glm convert [^`|\n]*", guide)
    assert used
    for command in used:
        assert set(re.findall(r"--[a-z-]+", command)) <= flags, command
    assert {"--tokenizer", "--num-attention-heads", "--hidden-act", "--copy-eop-to-gmask", "--to-hub-state"} <= flags
    sources = "".join(path.read_text() for path in (*ROOT.glob("*.py"), *ROOT.glob("transformers_glm/**/*.py")))
    for message in (
        "is truncated or damaged",
        "is a Git LFS pointer",
        "is of another run",
        "must have shape (batch, sequence)",
    ):
        assert message in guide
        assert message in sources
