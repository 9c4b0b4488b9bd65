# SPDX-License-Identifier: Apache-2.0
"""
Converted checkpoints compute what the old Hub code and the original computed, where their recorded outputs are present.

The recorded calls have the old conventions. Here each is said in ours: stacked positions are split, and a mask is

    None                    a causal 4-D mask (the old code took it for 0 tokens of Part A)
    one number a row        a 4-D mask in which all see this many columns from the first on, and the rest is causal
    (B, T)                  a 4-D mask in which every token sees the columns of ones, those after it too
    (B or 1, 1, T, T)       the same 4-D mask
"""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import DynamicCache

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm.conversion.run import convert


GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "open"
FAMILIES = ["bert", "gpt2", "chinese", "roberta"]
LOGITS, LOSS, GRADIENT = 1e-4, 1e-5, 1e-4

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(not GOLDEN.is_dir(), reason="the recorded outputs (../shared/golden) are not here"),
]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A function that converts a family's checkpoint, once."""
    root = tmp_path_factory.mktemp("converted")

    def folder(family):
        if not (root / family).exists():
            convert(GOLDEN / family / "ckpt", root / family)
        return root / family

    return folder


def load(folder, model_class=GLMForConditionalGeneration, attn_implementation="eager", **kwargs):
    return model_class.from_pretrained(folder, attn_implementation=attn_implementation, **kwargs).eval()


def read_goldens(family, name):
    return json.loads((GOLDEN / family / f"{name}.json").read_text()), load_file(
        GOLDEN / family / f"{name}.safetensors"
    )


def case_tensors(tensors, case):
    """The recorded inputs and outputs of a case."""
    begins = {part: f"{case}/{part}/" for part in ("in", "out")}
    return [
        {name.removeprefix(begin): value for name, value in tensors.items() if name.startswith(begin)}
        for begin in begins.values()
    ]


def full_mask(mask, batch, queries, memory=0):
    """An old attention mask as a boolean 4-D one."""
    if mask is not None and mask.dim() == 4:
        return mask[:, :, :, -(memory + queries) :].bool().expand(batch, -1, -1, -1)
    if mask is not None and mask.dim() == 2:
        return mask.bool()[:, None, None].expand(-1, -1, queries, -1)
    part_a = torch.zeros(batch) if mask is None else mask.reshape(-1).expand(batch)
    place = torch.arange(queries)
    seen = (place <= place[:, None]) | (place < part_a[:, None, None])
    return torch.cat([torch.ones(batch, queries, memory, dtype=torch.bool), seen], dim=-1)[:, None]


def in_our_words(inputs, memory=0):
    """The call in our conventions."""
    ids = inputs["input_ids"]
    positions = inputs.get("position_ids")
    if positions is None:
        positions = torch.stack([torch.arange(ids.shape[1]), torch.zeros(ids.shape[1], dtype=torch.long)])
        positions = positions.expand(ids.shape[0], -1, -1)
    if positions.dim() == 2:  # a model without block positions
        positions = torch.stack([positions, torch.zeros_like(positions)], dim=1)
    return {
        "input_ids": ids,
        "position_ids": positions[:, 0],
        "block_position_ids": positions[:, 1],
        "attention_mask": full_mask(inputs.get("attention_mask"), *ids.shape, memory),
    }


def near(actual, expected, tolerance=LOGITS, name=None):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0, msg=name)


def check_logits(logits, expected, cols):
    near(logits[..., cols], expected["logits_cols"])
    near(logits.logsumexp(-1), expected["logsumexp"])
    near(logits.topk(8).values, expected["top8_values"])
    near(logits.gather(-1, expected["top8_ids"]), expected["top8_values"])
    near(logits.mean(-1), expected["logits_mean"])


def names_of(description, *begins):
    return [case["name"] for case in description["cases"] if case["name"].startswith(begins)]


@pytest.mark.parametrize("attn_implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_logits_are_the_hub_codes_for_every_form_of_mask(family, attn_implementation, converted):
    model = load(converted(family), attn_implementation=attn_implementation)
    description, tensors = read_goldens(family, "model_golden")
    names = names_of(description, "no_mask", "sep", "mask", "position_limit", "loss_sep")
    assert len(names) == 15
    for name in names:
        inputs, expected = case_tensors(tensors, name)
        output = model(**in_our_words(inputs), output_hidden_states=True)
        check_logits(output.logits, expected, tensors["cols"])
        if "last_hidden_states" in expected:
            near(output.hidden_states[-1], expected["last_hidden_states"], name=name)
    inputs, expected = case_tensors(tensors, "full_logits")
    near(model(**in_our_words(inputs)).logits, expected["logits"])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_our_own_mask_is_the_recorded_one_where_part_a_ends_at_the_first_block_position(family, converted):
    model = load(converted(family), attn_implementation="sdpa")
    description, tensors = read_goldens(family, "model_golden")
    for name in names_of(description, "loss_right"):
        inputs, expected = case_tensors(tensors, name)
        call = in_our_words(inputs) | {"attention_mask": inputs["attention_mask"][:, 0, -1]}
        predicted = inputs["labels"] != -100
        logits = model(**call).logits
        near(logits[..., tensors["cols"]][predicted], expected["logits_cols"][predicted])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_cache_continues_as_the_recorded_memory_did(family, converted):
    model = load(converted(family))
    description, tensors = read_goldens(family, "model_golden")
    names = names_of(description, "mems")
    cache, memory = DynamicCache(config=model.config), 0
    for name in names:
        inputs, expected = case_tensors(tensors, name)
        call = in_our_words(inputs, memory)
        output = model(**call, cache=cache, use_cache=True, output_hidden_states=True)
        check_logits(output.logits, expected, tensors["cols"])
        length = call["input_ids"].shape[1]
        memory += length
        for layer in range(model.config.num_layers):  # the last one is recorded before the final layer norm
            if f"mems.{layer}" in expected:
                near(output.hidden_states[layer], expected[f"mems.{layer}"][:, -length:])
    assert len(names) == 5


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_the_hub_codes(family, converted):
    model = load(converted(family))
    description, tensors = read_goldens(family, "model_golden")
    names = [name for name in names_of(description, "loss") if name != "loss_all_ignored"]
    assert len(names) == 7
    for name in names:
        inputs, expected = case_tensors(tensors, name)
        with torch.no_grad():
            output = model(**in_our_words(inputs), labels=inputs["labels"])
        near(output.loss, expected["loss"][0], LOSS, name=name)
        check_logits(output.logits, expected, tensors["cols"])
    inputs, _ = case_tensors(tensors, "loss_right")
    _, expected = case_tensors(tensors, "grads_loss_right")
    for training in (False, True):  # in training only labelled positions pass through the head
        model.train(training)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.zero_grad()
        for layer in model.glm.transformer.layers:
            layer.attention.attention_dropout = 0.0
        model(**in_our_words(inputs), labels=inputs["labels"]).loss.backward()
        compare_gradients(dict(model.named_parameters()), expected)


def compare_gradients(parameters, expected):
    compared = set()
    for name, gradient in expected.items():
        parameter = name.removeprefix("norm:").removesuffix("[rows]")
        if name == "rows":
            continue
        ours = parameters[parameter].grad
        if name.startswith("norm:"):
            torch.testing.assert_close(ours.norm(), gradient.reshape(()), atol=GRADIENT, rtol=GRADIENT, msg=name)
        else:
            ours = ours[expected["rows"]] if name.endswith("[rows]") else ours
            near(ours, gradient, GRADIENT, name=name)
        compared.add(parameter)
    assert compared == set(parameters)


@torch.no_grad()
def test_a_batch_without_labels_has_the_loss_nan_as_recorded(converted):
    model = load(converted("bert"))
    description, tensors = read_goldens("bert", "model_golden")
    inputs, _ = case_tensors(tensors, "loss_all_ignored")
    (case,) = [case for case in description["cases"] if case["name"] == "loss_all_ignored"]
    assert case["outputs_json"] == {"loss_is_nan": True}
    assert model(**in_our_words(inputs), labels=inputs["labels"]).loss.isnan()


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_choices_have_the_recorded_scores(family, converted):
    model = load(converted(family), GLMForMultipleChoice)
    language_model = load(converted(family))
    description, tensors = read_goldens(family, "model_golden")
    cases = [case for case in description["cases"] if case["class"] == "GLMForMultipleChoice"]
    assert len(cases) == 2
    for case in cases:
        inputs, expected = case_tensors(tensors, case["name"])
        call = in_our_words(inputs)
        choices = {
            name: [[torch.tensor(choice) for choice in row] for row in case["inputs_json"][name]]
            for name in ("choice_ids", "choice_indices")
        }
        output = model(**call, **choices, labels=inputs["labels"])
        near(output.logits, expected["logits"])
        near(output.loss, expected["loss"][0], LOSS)
        is_real = inputs["attention_mask"][:, 0].any(-1)  # the others see nothing and mean nothing
        logits = language_model(**call).logits[..., tensors["cols"]]
        near(logits[is_real], expected["lm_logits_cols"][is_real])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_classes_have_the_recorded_scores(family, converted):
    description, tensors = read_goldens(family, "model_golden")
    names = names_of(description, "seqcls")
    assert len(names) == 4
    for name in names:
        inputs, expected = case_tensors(tensors, name)
        labels = inputs.pop("labels")
        rows, classes = expected["logits"].shape
        if name == "seqcls_choices":  # one score for each of a row's choices; here they are rows of their own
            classes = 1
            inputs = {key: value.flatten(0, 1) for key, value in inputs.items()}
        model = load(converted(family), GLMForSequenceClassification, num_labels=classes)
        head = {key.removeprefix("weights:"): expected[key] for key in expected if key.startswith("weights:")}
        model.classifier.load_state_dict(head)
        logits = model(**in_our_words(inputs)).logits.view(rows, -1)
        near(logits, expected["logits"])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        near(loss, expected["loss"][0], LOSS)
        if classes > 1:
            own = model(**in_our_words(inputs), labels=labels).loss
            near(own, expected["loss"][0], LOSS)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_with_the_tanh_gelu_the_logits_are_the_originals(family, converted):
    model = load(converted(family), hidden_act="gelu_pytorch_tanh")
    description, tensors = read_goldens(family, "model_golden_orig")
    assert len(description["compare"]) == 8
    for name in description["compare"]:
        inputs, expected = case_tensors(tensors, name)
        check_logits(model(**in_our_words(inputs)).logits, expected, tensors["cols"])


def generate(model, context, case):
    inputs = {name: torch.tensor(value) for name, value in context["inputs"].items()}
    length = inputs["input_ids"].shape[1]
    return model.generate(
        inputs["input_ids"],
        position_ids=inputs["position_ids"][:, 0],
        block_position_ids=inputs["position_ids"][:, 1],
        attention_mask=inputs["generation_attention_mask"][:, 0, length - 1, :length],
        max_length=case["max_length"],
        eos_token_id=case["eos_token_id"],
        pad_token_id=case["eos_token_id"],
        **case["kwargs"],
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["greedy", pytest.param("beam4", marks=pytest.mark.slow)])
def test_generation_is_the_hub_codes_token_for_token(family, kind, converted):
    model = load(converted(family), attn_implementation="sdpa")
    golden = json.loads((GOLDEN / family / "generation_golden.json").read_text())
    contexts = {context["name"]: context for context in golden["contexts"]}
    cases = [case for case in golden["cases"] if case["name"].startswith(kind)]
    assert len(cases) == {"greedy": 15, "beam4": 20}[kind]
    for case in cases:
        newest = case.get("other_versions", {}).get("4.57.6", {})
        expected = newest.get("sequences", case["sequences"])
        assert generate(model, contexts[case["context"]], case).tolist() == expected, (case["name"], case["context"])


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_pieces_are_the_originals(family, converted):
    model = load(converted(family), attn_implementation="sdpa", hidden_act="gelu_pytorch_tanh")
    golden = json.loads((GOLDEN / family / "generation_golden_orig.json").read_text())
    cases = [case for case in golden["cases"] if case["mode"] == "greedy"]
    assert any(len(case["pieces"]) > 1 for case in cases)
    for case in cases:
        context = case["context_ids"]
        row = [(token, place, 0) for place, token in enumerate(context)]  # token and both positions
        for position, expected in zip(case["mask_positions"], case["pieces"], strict=True):
            row.append((expected[0], position, 1))
            piece = continue_row(model, row, case["args"])
            # the original never read the token that ended a piece, and recorded it unless it is eop or the end of the text
            stopped = piece[-1] in (model.config.eos_token_id[0], case["args"]["eod_token"])
            assert [expected[0], *piece[: len(piece) - stopped]] == expected, case["text"]
            row += [(token, position, block) for block, token in enumerate(piece[:-1], start=2)]


def continue_row(model, row, args):
    ids, positions, blocks = (torch.tensor([column]) for column in zip(*row, strict=True))
    output = model.generate(
        ids,
        position_ids=positions,
        block_position_ids=blocks,
        max_new_tokens=args["out_seq_length"],
        eos_token_id=[model.config.eos_token_id[0], args["eod_token"]],
        pad_token_id=args["eod_token"],
    )
    return output[0, len(row) :].tolist()


VARIANTS = [
    "attention_scale8",
    "attention_scale_0p5",
    "base",
    "h24_l4_heads3",
    "no_block_position",
    "no_output_predict",
    "one_layer_one_head",
    "short_positions",
]


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_variants_of_the_configuration_compute_what_was_recorded(variant, tmp_path):
    source = GOLDEN / "variants" / variant
    convert(source, tmp_path / "out")
    tensors = load_file(source / "golden.safetensors")
    for out, act in (("out", "gelu"), ("out_orig", "gelu_pytorch_tanh")):
        model = load(tmp_path / "out", hidden_act=act)
        for case in ("sep_vector", "sep_scalar", "mask_4d"):
            inputs, _ = case_tensors(tensors, case)
            expected = {
                name.split("/")[-1]: value for name, value in tensors.items() if name.startswith(f"{case}/{out}/")
            }
            output = model(**in_our_words(inputs), output_hidden_states=True)
            ours = {"logits": output.logits, "last_hidden_states": output.hidden_states[-1]}
            assert expected
            for name, value in expected.items():
                near(ours[name], value)


@torch.no_grad()
def test_a_classification_checkpoint_is_converted_with_its_head(tmp_path):
    source = GOLDEN / "variants" / "seqcls_3labels"
    convert(source, tmp_path / "out")
    model = load(tmp_path / "out", GLMForSequenceClassification)
    tensors = load_file(source / "golden.safetensors")
    inputs = {name.removeprefix("in/"): value for name, value in tensors.items() if name.startswith("in/")}
    output = model(**in_our_words(inputs), labels=inputs["labels"])
    assert GLMConfig.from_pretrained(tmp_path / "out").num_labels == 3
    near(output.logits, tensors["out/logits"])
    near(output.loss, tensors["out/loss"][0], LOSS)


def checksums(folder):
    return {
        name.removeprefix("glm."): hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        for name, tensor in load_file(folder / "model.safetensors").items()
    }


def split_folders():
    return [
        (path.parents[1].name, path.parent.name)
        for path in sorted(GOLDEN.glob("megatron/*/*/latest_checkpointed_iteration.txt"))
    ]


@pytest.mark.parametrize(("family", "split"), split_folders())
def test_model_parallel_shards_merge_to_the_same_bits(family, split, tmp_path):
    expected = json.loads((GOLDEN / "megatron" / family / "expected.json").read_text())
    source = GOLDEN / "megatron" / family / split
    config = json.loads((GOLDEN / family / "ckpt" / "config.json").read_text())
    settings = {"tokenizer": GOLDEN / family / "ckpt", "num_attention_heads": config["num_attention_heads"]}
    convert(source, tmp_path / "out", **settings)
    assert checksums(tmp_path / "out") == {name: facts["sha256"] for name, facts in expected["expected_hf"].items()}
    assert GLMConfig.from_pretrained(tmp_path / "out").hidden_act == "gelu_pytorch_tanh"
    if "expected_glm_10b_chinese" in expected:
        convert(source, tmp_path / "copied", copy_eop_to_gmask=True, **settings)
        assert checksums(tmp_path / "copied") == expected["original_converter"]["sha256"]
