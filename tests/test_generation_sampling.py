# SPDX-License-Identifier: Apache-2.0
"""Sampling draws what a loop by hand draws with the same seed, and never a blank."""

import pytest
import torch
from conftest import CLS, EOP, EOS, MASK, PAD, SOP
from generation_rows import MODEL, NEVER, PART_AS, naive_scores, prompts, with_sop
from transformers import LogitsProcessorList
from transformers.generation import logits_process as stock


pytestmark = pytest.mark.core


STEPS = 5
WARPERS = {
    "as it is": ({"top_k": 0}, []),
    "temperature, top_k": ({"temperature": 3.0, "top_k": 20}, [(stock.TemperatureLogitsWarper, 3.0), (stock.TopKLogitsWarper, 20)]),
    "top_p": ({"top_k": 0, "top_p": 0.8}, [(stock.TopPLogitsWarper, 0.8)]),
    "min_p": ({"top_k": 0, "min_p": 0.1}, [(stock.MinPLogitsWarper, 0.1)]),
    "typical_p": ({"top_k": 0, "typical_p": 0.7}, [(stock.TypicalLogitsWarper, 0.7)]),
    "epsilon_cutoff": ({"top_k": 0, "epsilon_cutoff": 0.05}, [(stock.EpsilonLogitsWarper, 0.05)]),
    "eta_cutoff": ({"top_k": 0, "eta_cutoff": 0.05}, [(stock.EtaLogitsWarper, 0.05)]),
    "top_h": ({"top_k": 0, "top_h": 0.5}, [(stock.TopHLogitsWarper, 0.5)]),
}  # fmt: skip


def naive_samples(part_as, warpers, seed):
    """A token of every row at a time, all over again with it; a row that has ended is padded."""
    torch.manual_seed(seed)
    spans, ended = [[] for _ in part_as], [False] * len(part_as)
    for _ in range(STEPS):
        scores = torch.cat([naive_scores(part_a, span) for part_a, span in zip(part_as, spans, strict=True)])
        scores = LogitsProcessorList([warper(value) for warper, value in warpers])(None, scores)
        drawn = torch.multinomial(scores.softmax(-1), 1).flatten().tolist()
        for row, token in enumerate(drawn):
            spans[row].append(PAD if ended[row] else token)
            ended[row] |= token in (EOP, EOS)
        if all(ended):
            break
    return [[SOP, *span] for span in spans]


@pytest.mark.parametrize("name", WARPERS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_sampling_draws_what_a_loop_by_hand_draws(name, side):
    how, warpers = WARPERS[name]
    for seed in (0, 1):
        torch.manual_seed(seed)
        output = MODEL.generate(**prompts(PART_AS, side, 1), do_sample=True, max_new_tokens=STEPS, **how)
        assert output.tolist() == naive_samples(PART_AS, warpers, seed)


@pytest.mark.parametrize("how", [{}, {"use_cache": False}, {"cache_implementation": "static"}], ids=str)
@pytest.mark.parametrize(
    "search", [{}, {"num_beams": 3, "num_return_sequences": 2}], ids=["sampling", "beam sampling"]
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_with_one_seed_neither_padding_nor_the_cache_changes_what_is_drawn(how, search, side):
    for part_a in PART_AS:
        outputs = []
        for inputs, ways in ((prompts([part_a]), {}), (prompts([part_a], side, 3), how)):
            torch.manual_seed(4)
            outputs.append(
                MODEL.generate(**inputs, do_sample=True, temperature=2.0, max_new_tokens=6, **search, **ways)
            )
        assert outputs[0].tolist() == outputs[1].tolist()


@pytest.mark.parametrize("form", ["part A", "with sop", "text"])
@pytest.mark.parametrize("search", [{}, {"num_beams": 2}], ids=["sampling", "beam sampling"])
def test_no_temperature_draws_a_blank_or_sop(form, search):
    torch.manual_seed(0)
    inputs = {"part A": prompts(PART_AS), "with sop": with_sop(prompts(PART_AS)), "text": prompts([[CLS, 11]] * 3)}[
        form
    ]
    output = MODEL.generate(
        **inputs,
        do_sample=True,
        temperature=1e4,
        top_k=0,
        max_new_tokens=60,
        num_return_sequences=2,
        suppress_tokens=[EOP, EOS],
        **search,
    )
    new = output[:, 1 if form == "part A" else inputs["input_ids"].shape[1] :]
    assert new.shape[1] == 60 and len(set(new.flatten().tolist())) >= 60
    assert not set(NEVER) & set(new.flatten().tolist())


@pytest.mark.parametrize("how", [{"top_k": 1}, {"top_k": 0, "top_p": 0.1}, {"top_k": 0, "min_p": 0.9}], ids=str)
def test_where_a_blank_is_the_likeliest_the_next_likeliest_is_drawn(how):
    # cutting the distribution first would leave nothing to draw
    drawn = MODEL.generate(**prompts(PART_AS), do_sample=True, max_new_tokens=4, sequence_bias={(MASK,): 1e3}, **how)
    if "top_k" in how and how["top_k"] == 1:
        assert drawn.tolist() == MODEL.generate(**prompts(PART_AS), max_new_tokens=4).tolist()
    assert not set(NEVER) & set(drawn[:, 1:].flatten().tolist())


def test_several_samples_of_a_batch_stand_in_the_order_of_its_rows():
    torch.manual_seed(0)
    output = MODEL.generate(
        **prompts(PART_AS),
        do_sample=True,
        top_k=1,
        num_return_sequences=2,
        max_new_tokens=4,
        return_dict_in_generate=True,
    )
    greedy = MODEL.generate(**prompts(PART_AS), max_new_tokens=4)
    assert output.sequences.tolist() == greedy.repeat_interleave(2, 0).tolist()
