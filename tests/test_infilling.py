# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
import torch
from conftest import make_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_glm import naive_fill, naive_logits, naive_row
from transformers import GenerationConfig

from transformers_glm.infilling import FilledText, fill_blanks, splice


pytestmark = pytest.mark.core


TEXT = "Ada [MASK] the first [MASK]."
WORDS = ["Ada", "wrote", "the log book", "[MASK]", "[sMASK]", "机器", "it was never built!"]
texts_with_blanks = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(
    lambda words: " ".join([*words, "[MASK]"])
)


def naive_log_probability(model, tokenizer, part_a, pieces, blank, written):
    """That of the tokens written into a blank, after the pieces before it."""
    row = naive_row(part_a, [*pieces, (blank, written[:-1])], tokenizer.sop_token_id)
    log_probabilities = naive_logits(model.state_dict(), 4, *row)[-len(written) :].log_softmax(-1)
    return float(log_probabilities[range(len(written)), written].sum())


def naive_fill_all(model, tokenizer, text, steps):
    """Every blank of one text, by the naive twin: the spans, and the log-probability of each with its end."""
    weights, ends = model.state_dict(), [tokenizer.eop_token_id, tokenizer.eos_token_id]
    part_a = tokenizer(text)["input_ids"]
    if part_a[-2] == tokenizer.gmask_token_id:
        part_a = part_a[:-1]
    pieces, scores = [], []
    never = [*tokenizer.mask_token_ids, tokenizer.sop_token_id]
    for blank in [index for index, token in enumerate(part_a) if token in tokenizer.mask_token_ids]:
        written = naive_fill(
            weights, 4, part_a, pieces, blank, sop=tokenizer.sop_token_id, ends=ends, never=never, steps=steps
        )
        scores.append(naive_log_probability(model, tokenizer, part_a, pieces, blank, written))
        pieces.append((blank, written[:-1] if written[-1] in ends else written))
    return [span for _, span in pieces], scores


def close(filled, other):
    return filled.pieces == other.pieces and filled.log_probabilities == pytest.approx(
        other.log_probabilities, abs=1e-3
    )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(texts_with_blanks, min_size=1, max_size=4))
def test_greedy_filling_is_the_papers(texts, text_model, tokenizer):
    for text, filled in zip(texts, fill_blanks(text_model, tokenizer, texts, max_new_tokens=4), strict=True):
        spans, scores = naive_fill_all(text_model, tokenizer, text, steps=4)
        assert filled.pieces == tokenizer.batch_decode(spans, skip_special_tokens=True)
        assert filled.log_probabilities == pytest.approx(scores, abs=1e-3)
        assert filled.text == splice(text, filled.pieces, tokenizer)


@pytest.mark.parametrize(
    "how",
    [
        {"use_cache": False},
        {"cache_implementation": "static"},
        {"cache_implementation": "dynamic"},
        {"prompt_lookup_num_tokens": 2, "batch_size": 1},
        {"assistant_early_exit": 1, "batch_size": 1},
        {"batch_size": 2},
    ],
    ids=str,
)
def test_the_way_does_not_change_what_is_filled(how, text_model, tokenizer):
    texts = [TEXT, "[sMASK]", "It [MASK] [MASK] a [MASK]", "Grace [gMASK]"]
    expected = fill_blanks(text_model, tokenizer, texts, max_new_tokens=6)
    for filled, one in zip(fill_blanks(text_model, tokenizer, texts, max_new_tokens=6, **how), expected, strict=True):
        assert close(filled, one)


@pytest.fixture
def seen(text_model):
    """The ids that the model is given, call by call."""
    calls = []
    text_model.glm.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append(kwargs["input_ids"].tolist()), with_kwargs=True
    )
    return calls


def test_the_cache_is_carried_on_from_blank_to_blank(seen, text_model, tokenizer):
    fill_blanks(text_model, tokenizer, TEXT, max_new_tokens=4)
    prompt, *later = (len(rows[0]) for rows in seen)
    assert prompt == len(tokenizer(TEXT)["input_ids"]) + 1
    assert max(later) == 2  # the last token of the first piece and the sop of the second


def test_nothing_follows_a_document_blank_at_the_end(seen, text_model, tokenizer):
    fill_blanks(text_model, tokenizer, ["Ada [gMASK]"], max_new_tokens=1)
    fill_blanks(text_model, tokenizer, ["Ada [MASK]"], max_new_tokens=1)
    assert seen[0][0][-2:] == [tokenizer.gmask_token_id, tokenizer.sop_token_id]
    assert seen[1][0][-3:] == [tokenizer.mask_token_id, tokenizer.eos_token_id, tokenizer.sop_token_id]


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_the_tokenizer_s_padding_side_does_not_matter(padding_side, text_model, tokenizer):
    texts = [TEXT, "It [MASK] a long way from the first program to the log book [MASK]"]
    expected = [fill_blanks(text_model, tokenizer, text, max_new_tokens=4) for text in texts]
    before, tokenizer.padding_side = tokenizer.padding_side, padding_side
    try:
        together = fill_blanks(text_model, tokenizer, texts, max_new_tokens=4)
    finally:
        tokenizer.padding_side = before
    assert all(close(*pair) for pair in zip(together, expected, strict=True))


@pytest.mark.parametrize("stop", [None, ["es"]])
def test_beams_of_a_batch_are_those_of_each_text_alone(stop, text_model, tokenizer):
    ends = [tokenizer.eop_token_id, tokenizer.eos_token_id] if stop else None
    texts = ["Ada [MASK] the log [MASK]", "x [MASK] y"]
    how = {"num_beams": 2, "max_new_tokens": 8, "suppress_tokens": ends, "stop_strings": stop}
    together = fill_blanks(text_model, tokenizer, texts, **how)
    assert not stop or together[0].pieces[0].endswith("est")
    for text, filled in zip(texts, together, strict=True):
        assert close(filled, fill_blanks(text_model, tokenizer, text, **how))


@pytest.mark.parametrize("how", [{"num_beams": 3}, {"do_sample": True}], ids=str)
def test_ways_of_filling_are_carried_on_by_themselves(how, text_model, tokenizer):
    torch.manual_seed(0)
    texts = [TEXT, "x [MASK] y [MASK] z [MASK]"]
    ways = fill_blanks(text_model, tokenizer, texts, num_return_sequences=2, max_new_tokens=3, **how)
    assert [len(of_text) for of_text in ways] == [2, 2]
    for text, of_text in zip(texts, ways, strict=True):
        assert of_text[0].pieces != of_text[1].pieces
        for filled in of_text:
            assert len(filled.pieces) == text.count("[MASK]")
            assert filled.text == splice(text, filled.pieces, tokenizer)
    if "num_beams" in how:
        best = fill_blanks(text_model, tokenizer, TEXT, max_new_tokens=3, **how)
        assert close(ways[0][0], best)
        assert ways[0][0].log_probabilities[0] > ways[0][1].log_probabilities[0]


def test_sampled_log_probabilities_are_the_model_s(text_model, tokenizer):
    torch.manual_seed(1)
    filled = fill_blanks(text_model, tokenizer, "Ada [MASK]", do_sample=True, max_new_tokens=1)
    part_a = tokenizer("Ada [MASK]")["input_ids"]
    row = naive_row(part_a, [(part_a.index(tokenizer.mask_token_id), [])], tokenizer.sop_token_id)
    log_probabilities = naive_logits(text_model.state_dict(), 4, *row)[-1].log_softmax(-1)
    assert (log_probabilities - filled.log_probabilities[0]).abs().min() < 1e-4


@pytest.mark.parametrize("how", [{}, {"use_cache": False}, {"batch_size": 1}], ids=str)
def test_stop_strings_end_a_piece_and_the_next_one_goes_on_behind_it(how, text_model, tokenizer):
    texts = ["Ada [MASK] the log [MASK]", "x [MASK] y [MASK] z"]
    how = {**how, "max_new_tokens": 8, "suppress_tokens": [tokenizer.eop_token_id, tokenizer.eos_token_id]}
    free = fill_blanks(text_model, tokenizer, texts, **how)
    stop = free[0].pieces[0][3:5]
    filled = fill_blanks(text_model, tokenizer, texts, stop_strings=[stop], **how)
    stopped = filled[0].pieces[0]
    assert stop in stopped and len(tokenizer(stopped)["input_ids"]) < len(tokenizer(free[0].pieces[0])["input_ids"])
    assert free[0].pieces[0].startswith(stopped)
    for text, one in zip(texts, filled, strict=True):
        part_a, pieces = tokenizer(text)["input_ids"], []
        blanks = [index for index, token in enumerate(part_a) if token in tokenizer.mask_token_ids]
        for blank, piece, score in zip(blanks, one.pieces, one.log_probabilities, strict=True):
            span = tokenizer(piece, add_special_tokens=False)["input_ids"]
            expected = naive_log_probability(text_model, tokenizer, part_a, pieces, blank, span)
            assert score == pytest.approx(expected, abs=1e-3)
            pieces.append((blank, span))


def test_a_string_gives_one_and_a_list_gives_a_list(text_model, tokenizer):
    assert isinstance(fill_blanks(text_model, tokenizer, TEXT, max_new_tokens=1), FilledText)
    assert len(fill_blanks(text_model, tokenizer, [TEXT], max_new_tokens=1)) == 1
    assert fill_blanks(text_model, tokenizer, [], max_new_tokens=1) == []


def test_a_generation_config_is_obeyed(text_model, tokenizer):
    config = GenerationConfig(max_new_tokens=2)
    assert close(
        fill_blanks(text_model, tokenizer, TEXT, generation_config=config),
        fill_blanks(text_model, tokenizer, TEXT, max_new_tokens=2),
    )


def test_what_a_configuration_leaves_out_is_the_model_s(text_model, tokenizer, monkeypatch):
    expected = fill_blanks(text_model, tokenizer, "It [MASK] [MASK] a [MASK]", max_new_tokens=6)
    monkeypatch.setattr(text_model, "generation_config", copy.deepcopy(text_model.generation_config))
    text_model.generation_config.prompt_lookup_num_tokens = 2
    config = GenerationConfig(max_new_tokens=6)
    assert close(fill_blanks(text_model, tokenizer, "It [MASK] [MASK] a [MASK]", generation_config=config), expected)


def test_no_more_tokens_are_asked_for_by_default_than_the_table_has(tokenizer):
    model = make_model(tokenizer=tokenizer, max_sequence_length=20)
    assert len(fill_blanks(model, tokenizer, TEXT).pieces) == 2


def test_pieces_take_the_places_of_the_blanks(tokenizer):
    assert splice("Ada [MASK] the [sMASK].", [" wrote", " log"], tokenizer) == "Ada wrote the log."
    assert splice("[MASK]\n[gMASK]", ["A", " b"], tokenizer) == "A b"
    assert splice(r"a [MASK]", [r" \1\n"], tokenizer) == r"a \1\n"  # no escapes in what is put in
