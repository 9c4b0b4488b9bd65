# SPDX-License-Identifier: Apache-2.0
"""
What the benchmarks time, counted: operations, kernel calls, bytes, tokens read, calls of Python. Each bound is what was
measured and the margin that is named, so that work which is added shows on any machine, quiet or not.
"""

import random
import sys
from collections import Counter

import old_checkpoints as old
import pytest
import torch
from conftest import TEXTS, make_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, DataCollatorForLanguageModeling, GPT2Config, GPT2LMHeadModel
from transformers.cache_utils import DynamicCache

from modeling_glm import GLMForConditionalGeneration
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm import DataCollatorForBlankInfilling, fill_blanks
from transformers_glm.conversion import run
from transformers_glm.conversion.formats import open_checkpoint


VOCABULARY, WIDTH, HEADS, ROWS, LENGTH = 400, 64, 4, 4, 96
GLM, BERT, GPT2 = "GLM", "BERT", "GPT-2"


class Kernels(TorchDispatchMode):
    """Counts what reaches the kernels of PyTorch; views of tensors cost nothing and are left out."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.calls[function.overloadpacket.__name__] += 1
        return result


def count_kernels(run):
    with Kernels() as kernels:
        run()
    return sum(kernels.calls.values())


def documents(tokenizer):
    ids = tokenizer(" ".join(TEXTS) * 20, add_special_tokens=False)["input_ids"]
    size = LENGTH - 2
    return [
        {"input_ids": [tokenizer.cls_token_id, *ids[row * size : (row + 1) * size], tokenizer.eos_token_id]}
        for row in range(ROWS)
    ]


def model_and_batch(name, tokenizer, layers=2, attention="sdpa"):
    """GLM and its peers, as wide and as deep, without dropout, and their batches of the same documents."""
    torch.manual_seed(0)
    rows = documents(tokenizer)
    if name == GLM:
        config = make_config(tokenizer=tokenizer, vocab_size=VOCABULARY, hidden_size=WIDTH, num_layers=layers, num_attention_heads=HEADS, use_cache=False, max_sequence_length=LENGTH)  # fmt: skip
        model = GLMForConditionalGeneration._from_config(config, attn_implementation=attention)
        return model.train(), DataCollatorForBlankInfilling(tokenizer)(rows)
    if name == BERT:
        config = BertConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=layers, num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        model = BertForMaskedLM._from_config(config, attn_implementation=attention)
    else:
        config = GPT2Config(
            vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=layers, n_head=HEADS, use_cache=False, bos_token_id=None,
            eos_token_id=None, attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0,
        )  # fmt: skip
        model = GPT2LMHeadModel._from_config(config, attn_implementation=attention)
    return model.train(), dict(DataCollatorForLanguageModeling(tokenizer, mlm=name == BERT)(rows))


# a step of training


@pytest.fixture(scope="module")
def operations(tokenizer):
    """Floating point operations of a forward and a backward pass."""
    counted = {}
    for name in (GLM, BERT, GPT2):
        model, batch = model_and_batch(name, tokenizer, attention="eager")
        with FlopCounterMode(display=False) as counter:
            model(**batch).loss.backward()
        counted[name] = counter.get_total_flops()
    return counted


@pytest.mark.parametrize(("peer", "measured"), [(BERT, 1.012), (GPT2, 1.039)])
def test_a_step_computes_no_more_than_measured_beside_a_peer(peer, measured, operations):
    """Pieces make rows longer, the head sees labelled positions only. Margin 1 %."""
    assert operations[GLM] / operations[peer] <= measured * 1.01


@pytest.fixture(scope="module")
def step_calls(tokenizer):
    """Kernel calls of a forward and a backward pass: of each layer, and of all outside the layers."""
    counted = {}
    for name in (GLM, BERT, GPT2):
        calls = []
        for layers in (1, 2):
            model, batch = model_and_batch(name, tokenizer, layers)
            calls.append(count_kernels(lambda: model(**batch).loss.backward()))  # noqa: B023
        counted[name] = (calls[1] - calls[0], 2 * calls[0] - calls[1])
    return counted


def test_a_layer_takes_no_more_kernel_calls_than_those_of_the_peers(step_calls):
    """No margin."""
    assert step_calls[GLM][0] <= 29
    assert step_calls[GLM][0] <= min(step_calls[BERT][0], step_calls[GPT2][0])


def test_outside_the_layers_a_step_takes_no_more_kernel_calls_than_measured(step_calls):
    """Checks of ranges, the mask, the choice of labelled positions. Margin 2 calls."""
    assert step_calls[GLM][1] <= 65 + 2


@pytest.mark.parametrize(("peer", "measured"), [(BERT, 0.978), (GPT2, 0.661)])
def test_a_step_keeps_no_more_bytes_than_measured_beside_a_peer(peer, measured, tokenizer):
    """All that autograd keeps for the backward pass except the weights. Margin 2 %."""

    def kept_bytes(name):
        model, batch = model_and_batch(name, tokenizer)
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        kept = {}

        def keep(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(**batch).loss
        assert loss.isfinite()
        return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)

    assert kept_bytes(GLM) / kept_bytes(peer) <= measured * 1.02


# generation


def calls_of_a_token(model, **inputs):
    """Kernel calls that one more token takes: mask, positions, the model, processors, the choice."""
    counts = []
    for new in (4, 6):
        length = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "pad_token_id": 0}
        counts.append(count_kernels(lambda: model.generate(**inputs, **length)))  # noqa: B023
    return (counts[1] - counts[0]) / 2


def test_a_token_takes_no_more_kernel_calls_than_measured_beside_gpt2(text_model, tokenizer):
    """Of two layers each. Margin 2 calls."""
    prompt = tokenizer(["A [MASK] b"], return_tensors="pt")
    peer, _ = model_and_batch(GPT2, tokenizer)
    peer.generation_config.eos_token_id = 1
    peer.config.use_cache = True
    ours, theirs = calls_of_a_token(text_model, **prompt), calls_of_a_token(peer.eval(), **prompt)
    assert ours - theirs <= 4 + 2


def tokens_read(model, run):
    """The lengths of the rows that the model reads, forward pass by forward pass."""
    lengths = []
    handle = model.glm.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    run()
    handle.remove()
    return lengths


def test_blanks_of_one_text_are_filled_with_one_reading_of_it(text_model, tokenizer):
    """The sop and two of three tokens of each piece, and its third with the next sop; a generation each reads all again."""
    text = " ".join(f"{word} [MASK]" for word in ["one", "two", "three", "four", "five", "six", "seven", "eight"])
    length = {"max_new_tokens": 3, "min_new_tokens": 3}
    prompt = len(tokenizer(text)["input_ids"]) + 1
    together = tokens_read(text_model, lambda: fill_blanks(text_model, tokenizer, text, **length))
    assert together == [prompt, 1, 1] + 7 * [2, 1, 1]

    def one_by_one():
        row = tokenizer(text, return_tensors="pt")["input_ids"]
        for _ in range(8):
            row = torch.cat([row, torch.tensor([[tokenizer.sop_token_id]])], dim=-1)
            row = text_model.generate(row, **length)

    apart = tokens_read(text_model, one_by_one)
    assert apart == [tokens for blank in range(8) for tokens in (prompt + 4 * blank, 1, 1)]


def test_the_cache_is_copied_only_when_a_text_leaves_the_batch(text_model, tokenizer, monkeypatch):
    copied = []
    monkeypatch.setattr(DynamicCache, "batch_select_indices", lambda cache, kept: copied.append(kept.tolist()))
    fill_blanks(text_model, tokenizer, "a [MASK] b [MASK] c [MASK]", max_new_tokens=2)
    assert copied == []
    monkeypatch.undo()
    select = DynamicCache.batch_select_indices
    monkeypatch.setattr(
        DynamicCache,
        "batch_select_indices",
        lambda cache, kept: (copied.append(kept.tolist()), select(cache, kept)),
    )
    fill_blanks(text_model, tokenizer, ["a [MASK]", "a [MASK] b [MASK] c [MASK]"], max_new_tokens=2)
    assert copied == [[1]]


def test_choices_share_one_reading_of_their_context(text_model, tokenizer):
    chooser = GLMForMultipleChoice(text_model.config).eval()
    context, choices = " ".join(TEXTS[:1]) + " [MASK]", [f"{number}" for number in range(10)]
    encoded = tokenizer([context], return_tensors="pt")
    part_a = encoded["input_ids"].shape[1]
    once = tokenizer.build_inputs_for_multiple_choice(encoded, [choices])
    rows = tokenizer([context] * 10, return_tensors="pt")
    each = tokenizer.build_inputs_for_multiple_choice(rows, [[choice] for choice in choices])
    with torch.no_grad():
        [shared] = tokens_read(chooser, lambda: chooser(**once))
        [apart] = tokens_read(chooser, lambda: chooser(**each))
    of_choices = shared - part_a
    assert 10 <= of_choices <= 30  # sop and the tokens of each but the last
    assert apart == 10 * part_a + of_choices


# data


def count_calls(run):
    """Calls of functions while `run` runs, by name: of Python's, and of those written in C or Rust."""
    counted = Counter()

    def count(frame, event, argument):
        if event == "call":
            counted[frame.f_code.co_name] += 1
        elif event == "c_call":
            counted[argument.__name__] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize(("level", "measured"), [("token", 437), ("sentence", 133), ("document", 132)])
def test_the_collator_calls_no_more_functions_than_measured(level, measured, tokenizer):
    """Of 16 documents of 512 tokens, when its tables are full. Margin 10 %: versions of Python and NumPy count differently."""
    rng = random.Random(0)
    words = [token for token in range(len(tokenizer)) if token not in tokenizer.all_special_ids]
    rows = [
        {"input_ids": [tokenizer.cls_token_id, *rng.choices(words, k=510), tokenizer.eos_token_id]} for _ in range(16)
    ]
    collator = DataCollatorForBlankInfilling(tokenizer, {level: 1.0})
    collator.set_epoch(0)
    collator(rows)
    assert count_calls(lambda: collator(rows)).total() / 16 <= measured * 1.1


@pytest.mark.parametrize("texts", [TEXTS, TEXTS * 8])
def test_a_batch_of_texts_goes_to_the_encoder_in_one_call(texts, tokenizer):
    counted = count_calls(lambda: tokenizer(texts, padding=True, return_tensors="pt"))
    # of the backend of the call, and of the Rust backend behind it
    assert {name: number for name, number in counted.items() if name.startswith("encode")} == {"encode_batch": 2}


# conversion


def test_a_conversion_reads_each_tensor_once_and_copies_none(tmp_path, monkeypatch):
    state = old.old_state(width=64, layers=3, vocabulary=512, dtype=torch.float16)
    old.write_hub(
        tmp_path / "hub",
        state,
        hidden_size=64,
        num_layers=3,
        num_attention_heads=4,
        vocab_size=512,
    )
    read = Counter()

    def counted(stored):
        return stored._replace(read=lambda: read.update([stored.place]) or stored.read())

    def open_counted(source):
        checkpoint = open_checkpoint(source)
        return checkpoint._replace(tensors={name: counted(stored) for name, stored in checkpoint.tensors.items()})

    monkeypatch.setattr(run, "open_checkpoint", open_counted)
    with Kernels() as kernels:
        run.convert(tmp_path / "hub", tmp_path / "out")
    assert len(read) == len(state)
    assert set(read.values()) == {1}
    assert not set(kernels.calls) & {"clone", "copy_", "_to_copy", "cat"}
