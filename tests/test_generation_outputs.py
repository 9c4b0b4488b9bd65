# SPDX-License-Identifier: Apache-2.0
"""What generate gives back: sequences, scores and states, streams; and what makes it stop."""

import threading

import pytest
import torch
from conftest import CLS, EOP, EOS, GMASK, SOP
from generation_rows import MODEL, MODELS, PART_AS, cut, naive_scores, prompts, with_sop
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer, TextStreamer


pytestmark = pytest.mark.core


FORMS = ["part A", "with sop", "text"]


def inputs_of(form, side="left"):
    inputs = prompts([[CLS, 11, 12], [CLS, 21, 22, 23]] if form == "text" else PART_AS[:2], side)
    return with_sop(inputs) if form == "with sop" else inputs


def shown(form, inputs):
    """Columns of the output that were not generated."""
    return 1 if form == "part A" else inputs["input_ids"].shape[1]


# ------------------------------------------------------------------------------------------- sequences, scores and states


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}], ids=str)
def test_transition_scores_are_log_probabilities_of_the_full_forward_pass(form, side, how):
    inputs = inputs_of(form, side)
    output = MODEL.generate(
        **inputs,
        max_new_tokens=4,
        return_dict_in_generate=True,
        output_logits=True,
        output_scores=True,
        **how,
    )
    beams = output.beam_indices if "num_beams" in how else None
    scores = MODEL.compute_transition_scores(output.sequences, output.logits, beams, normalize_logits=True)
    new = output.sequences[:, shown(form, inputs) :]
    assert scores.shape == new.shape
    ways = how.get("num_return_sequences", 1)
    for row, span in enumerate(cut(new)):
        part_a = (
            [[CLS, 11, 12, GMASK], [CLS, 21, 22, 23, GMASK]][row // ways] if form == "text" else PART_AS[row // ways]
        )
        tokens, place = [*part_a, SOP, *span], len(part_a)
        full = MODEL(torch.tensor([tokens])).logits[0, place:-1].log_softmax(-1)
        torch.testing.assert_close(scores[row, : len(span)], full[range(len(span)), span], rtol=1e-4, atol=1e-4)
    if "num_beams" in how:  # the sum over a beam, divided by the tokens that were generated, is the score of the beam
        of_beams = MODEL.compute_transition_scores(output.sequences, output.scores, beams).sum(-1)
        lengths = (beams >= 0).sum(-1)
        torch.testing.assert_close(of_beams / lengths, output.sequences_scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_attentions_and_states_are_those_of_the_uncached_forward_pass(form):
    model = MODELS["eager"]
    inputs = {name: value[:1] for name, value in inputs_of(form).items()}
    output = model.generate(
        **inputs,
        max_new_tokens=3,
        suppress_tokens=[EOP, EOS],
        return_dict_in_generate=True,
        output_attentions=True,
        output_hidden_states=True,
        output_logits=True,
    )
    tokens = {"part A": [*PART_AS[0], SOP], "with sop": [*PART_AS[0], SOP], "text": [CLS, 11, 12, GMASK, SOP]}[form]
    row = torch.tensor([[*tokens, *output.sequences[0, -3:].tolist()]])
    full = model(row, output_attentions=True, output_hidden_states=True)
    width, padding = len(tokens), int((inputs["attention_mask"] == 0).sum())
    assert len(output.attentions) == len(output.hidden_states) == len(output.logits) == 3
    for step in range(3):
        query = slice(0, width) if step == 0 else slice(width + step - 1, width + step)
        for layer, attention in enumerate(output.attentions[step]):
            seen = attention[:, :, padding if step == 0 else 0 :, padding:]
            torch.testing.assert_close(seen, full.attentions[layer][:, :, query, : width + step], rtol=1e-4, atol=1e-4)
        for layer, states in enumerate(output.hidden_states[step]):
            states = states[:, padding if step == 0 else 0 :]
            torch.testing.assert_close(states, full.hidden_states[layer][:, query], rtol=1e-4, atol=1e-4)
        expected = full.logits[:, width + step - 1]
        torch.testing.assert_close(output.logits[step], expected, rtol=1e-4, atol=1e-4)
    assert output.cache.get_seq_length() == padding + width + 2


def test_generation_under_inference_mode_is_the_same():
    expected = MODEL.generate(**prompts(PART_AS), max_new_tokens=4)
    with torch.inference_mode():
        output = MODEL.generate(**prompts(PART_AS), max_new_tokens=4)
    assert output.is_inference() and output.tolist() == expected.tolist()


# ---------------------------------------------------------------------------------------------------------------- streams


class Recorder:
    """A streamer that keeps what it is given."""

    def __init__(self):
        self.received, self.ended = [], False

    def put(self, value):
        self.received.append(value.tolist())

    def end(self):
        self.ended = True


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", [{}, {"do_sample": True}], ids=["greedy", "sampling"])
def test_a_streamer_receives_what_is_returned_the_prompt_first(form, how):
    streamer = Recorder()
    inputs = {name: value[:1] for name, value in inputs_of(form).items()}
    output = MODEL.generate(**inputs, max_new_tokens=3, streamer=streamer, **how)
    prompt, *new = streamer.received
    assert prompt == output[:, : shown(form, inputs)].tolist()
    assert [token for tokens in new for token in tokens] == output[0, shown(form, inputs) :].tolist()
    assert streamer.ended


def test_text_streamers_write_the_piece(text_model, tokenizer, capsys):
    inputs = tokenizer("Ada [MASK] program.", return_tensors="pt")
    how = {**inputs, "max_new_tokens": 6, "suppress_tokens": [tokenizer.eop_token_id, tokenizer.eos_token_id]}
    piece = text_model.generate(**how)[0]
    text_model.generate(**how, streamer=TextStreamer(tokenizer, skip_prompt=True))
    assert capsys.readouterr().out == tokenizer.decode(piece[1:]) + "\n"
    text_model.generate(**how, streamer=TextStreamer(tokenizer))
    assert capsys.readouterr().out == tokenizer.decode(piece) + "\n"  # sop is all there is of a prompt
    streamer = TextIteratorStreamer(tokenizer, skip_special_tokens=True, timeout=60)
    thread = threading.Thread(target=text_model.generate, kwargs={**how, "streamer": streamer})
    thread.start()
    written = "".join(streamer)
    thread.join()
    assert written == tokenizer.decode(piece, skip_special_tokens=True)


# ------------------------------------------------------------------------------------------------------------------ the end


@pytest.mark.parametrize("form", FORMS)
def test_a_criterion_of_the_caller_sees_what_a_processor_sees(form):
    seen = []

    class ThreeTokens(StoppingCriteria):
        def __call__(self, input_ids, scores, **kwargs):
            seen.append(input_ids.tolist())
            return torch.full((input_ids.shape[0],), len(seen) == 3)

    inputs = {name: value[:1] for name, value in inputs_of(form).items()}
    output = MODEL.generate(
        **inputs,
        max_new_tokens=9,
        stopping_criteria=StoppingCriteriaList([ThreeTokens()]),
        suppress_tokens=[EOP, EOS],
    )
    new = output[0, shown(form, inputs) :].tolist()
    before = {"part A": [SOP], "text": [*inputs["input_ids"][0].tolist(), GMASK, SOP]}
    before = before.get(form, inputs["input_ids"][0].tolist())
    assert len(new) == 3 and seen == [[[*before, *new[:length]]] for length in (1, 2, 3)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("how", [{}, {"num_beams": 2}], ids=str)
def test_stop_strings_end_each_piece_of_a_batch(side, how, text_model, tokenizer):
    texts = ["Ada [MASK] program.", "the log book [MASK]"]
    tokenizer.padding_side, before = side, tokenizer.padding_side
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    tokenizer.padding_side = before
    how = {"max_new_tokens": 12, "suppress_tokens": [tokenizer.eop_token_id, tokenizer.eos_token_id], **how}
    # the third token of the first piece, as text; it is in Part A too, where it stops nothing
    stop = tokenizer.decode(text_model.generate(**inputs, **how)[0, 3])
    texts = [text + stop for text in texts]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side=side)
    output = text_model.generate(**inputs, **how, stop_strings=[stop], tokenizer=tokenizer)
    for text, row in zip(texts, output, strict=True):
        alone = tokenizer(text, return_tensors="pt")
        free = text_model.generate(**alone, **how)[0]
        stopped = text_model.generate(**alone, **how, stop_strings=[stop], tokenizer=tokenizer)[0]
        if "num_beams" not in how:
            ends = [n for n in range(2, len(free) + 1) if stop in tokenizer.decode(free[1:n])]
            assert stopped.tolist() == free[: ends[0] if ends else None].tolist()
        assert row[: len(stopped)].tolist() == stopped.tolist()
        assert set(row[len(stopped) :].tolist()) <= {tokenizer.pad_token_id}


def test_no_time_is_one_token():
    assert MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=9, max_time=0.0).shape == (1, 2)


def test_the_first_scores_are_the_naive_twin_s():
    output = MODEL.generate(
        **prompts(PART_AS), max_new_tokens=1, return_dict_in_generate=True, output_scores=True, output_logits=True
    )
    expected = torch.cat([naive_scores(part_a, []) for part_a in PART_AS])
    torch.testing.assert_close(output.scores[0], expected, rtol=1e-4, atol=1e-4)
    assert not output.logits[0].isinf().any()
