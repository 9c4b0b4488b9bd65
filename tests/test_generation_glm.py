# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from conftest import CLS, EOP, EOS, GMASK, MASK, PAD, SOP, make_model
from drawn_rows import blanks_of, padded, part_as, sides
from generation_rows import MODEL, MODELS, NEVER, PART_AS, cut, prompts, with_sop
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_glm import naive_fill, naive_logits, naive_row
from transformers import LogitsProcessor, LogitsProcessorList


pytestmark = pytest.mark.core


def naive(part_a, steps, pieces=(), blank=None, ends=(EOP, EOS)):
    blank = blanks_of(part_a)[0] if blank is None else blank
    return naive_fill(MODEL.state_dict(), 4, part_a, list(pieces), blank, sop=SOP, ends=ends, never=NEVER, steps=steps)


# -------------------------------------------------------------------------------------------------------- greedy decoding


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@settings(max_examples=25, deadline=None)
@given(
    part_as=st.lists(part_as(min_blanks=1), min_size=1, max_size=3),
    side=sides,
    extra=st.integers(0, 2),
    use_cache=st.booleans(),
)
def test_greedy_decoding_is_the_papers(implementation, part_as, side, extra, use_cache):
    output = MODELS[implementation].generate(
        **prompts(part_as, side, extra), max_new_tokens=5, use_cache=use_cache, do_sample=False
    )
    assert cut(output) == [[SOP, *naive(part_a, 5)] for part_a in part_as]


@settings(max_examples=15, deadline=None)
@given(part_a=part_as(min_blanks=2), first=st.lists(st.integers(3, 89), max_size=3), use_cache=st.booleans())
def test_a_second_piece_sees_the_first_and_stands_on_the_second_blank(part_a, first, use_cache):
    blanks = blanks_of(part_a)
    prompt = [*part_a, SOP, *first, SOP]
    output = MODEL.generate(torch.tensor([prompt]), max_new_tokens=4, use_cache=use_cache)
    assert cut(output[:, len(prompt) :]) == [naive(part_a, 4, [(blanks[0], first)], blanks[1])]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "how",
    [
        {"num_beams": 3},
        {"num_beams": 3, "num_return_sequences": 3},
        {"num_beams": 2, "length_penalty": 2.0, "early_stopping": True},
        {"num_beams": 3, "use_cache": False},
    ],
    ids=str,
)
def test_beams_of_a_padded_batch_are_those_of_each_row_alone(side, how):
    together = MODEL.generate(**prompts(PART_AS, side, 1), max_new_tokens=6, **how)
    alone = [MODEL.generate(**prompts([part_a]), max_new_tokens=6, **how) for part_a in PART_AS]
    assert cut(together) == [row for output in alone for row in cut(output)]


def test_beams_find_what_a_search_by_hand_finds():
    # two beams over three steps, no end allowed
    part_a, beams = PART_AS[0], [([], 0.0)]
    for _ in range(3):
        candidates = []
        for span, score in beams:
            logits = naive_logits(MODEL.state_dict(), 4, *naive_row(part_a, [(2, span)], SOP))[-1]
            logits[[*NEVER, EOP, EOS]] = -torch.inf
            log_probabilities = logits.log_softmax(-1)
            candidates += [([*span, token], score + float(log_probabilities[token])) for token in range(99)]
        beams = sorted(candidates, key=lambda candidate: -candidate[1])[:2]
    output = MODEL.generate(
        **prompts([part_a]), num_beams=2, num_return_sequences=2, max_new_tokens=3, suppress_tokens=[EOP, EOS]
    )
    assert output.tolist() == [[SOP, *span] for span, _ in beams]


# ------------------------------------------------------------------------------------------------- the three kinds of prompt


@pytest.mark.parametrize(
    "inputs",
    [prompts([[*part_a, SOP] for part_a in PART_AS]), with_sop(prompts(PART_AS)), with_sop(prompts(PART_AS, "right"))],
    ids=["padding on the left", "the same, sop put behind", "padding between Part A and sop"],
)
def test_a_prompt_with_sop_is_continued_and_returned_whole(inputs):
    output = MODEL.generate(**inputs, max_new_tokens=4)
    width = inputs["input_ids"].shape[1]
    assert (output[:, :width] == inputs["input_ids"]).all()
    assert cut(output[:, width:]) == [naive(part_a, 4) for part_a in PART_AS]


@pytest.mark.parametrize(
    "how", [{}, {"use_cache": False}, {"num_beams": 3}, {"cache_implementation": "static"}], ids=str
)
@pytest.mark.parametrize("place", ["right", "middle", "both"])
def test_padding_may_stand_behind_sop_and_within_a_row(how, place):
    rows = [[*part_a, SOP, 41] for part_a in PART_AS]
    width = max(map(len, rows)) + 2
    padded_rows, masks = [], []
    for row in rows:
        before = {"right": 0, "middle": 2, "both": 1}[place]  # tokens of Part A, or pads, before the first pad
        head, pads = (row[:before], [PAD] * (width - len(row)))
        padded_rows.append(
            {"right": row + pads, "middle": head + pads + row[before:], "both": [PAD, *row, *pads[1:]]}[place]
        )
        masks.append([int(token != PAD) for token in padded_rows[-1]])
    output = MODEL.generate(torch.tensor(padded_rows), attention_mask=torch.tensor(masks), max_new_tokens=4, **how)
    alone = [MODEL.generate(torch.tensor([row]), max_new_tokens=4, **how)[:, len(row) :] for row in rows]
    assert cut(output[:, width:]) == [row for one in alone for row in cut(one)]
    derived = MODEL.generate(torch.tensor(padded_rows), max_new_tokens=4, **how)  # padding told by its id
    assert derived.tolist() == output.tolist()


def test_embeddings_and_positions_of_the_caller_move_with_the_padding():
    rows = [[*part_a, SOP] for part_a in PART_AS[:2]]
    laid_out = [naive_row(part_a, [(blanks_of(part_a)[0], [])], SOP) for part_a in PART_AS[:2]]
    inputs = prompts(rows, "right", 1)
    positions = {
        "position_ids": padded([row[1] for row in laid_out], "right", 1),
        "block_position_ids": padded([row[2] for row in laid_out], "right", 1),
    }
    expected = MODEL.generate(**prompts(rows), max_new_tokens=4)[:, -4:]
    assert MODEL.generate(**inputs, **positions, max_new_tokens=4)[:, -4:].tolist() == expected.tolist()
    inputs["inputs_embeds"] = MODEL.get_input_embeddings()(inputs.pop("input_ids"))
    assert MODEL.generate(**inputs, max_new_tokens=4).tolist() == expected.tolist()


def test_padding_behind_sop_beside_a_cache_is_refused():
    inputs = prompts([[*part_a, SOP] for part_a in PART_AS], "right")
    cache = MODEL(inputs["input_ids"][:, :-1], use_cache=True).cache
    with pytest.raises(ValueError, match="Row 0 of the prompt is padded on the right, .* leave the cache out"):
        MODEL.generate(**inputs, cache=cache)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_without_a_blank_is_continued_at_its_end(side):
    texts = [[CLS, 11, 12, EOS], [CLS, 21, 22, 23, 24, EOS], [CLS, 31]]
    inputs = prompts(texts, side)
    output = MODEL.generate(**inputs, max_new_tokens=4)
    width = inputs["input_ids"].shape[1]
    assert (output[:, :width] == inputs["input_ids"]).all()
    # the end of the text gives its place to the blank
    expected = [naive([*text[: len(text) - (text[-1] == EOS)], GMASK], 4) for text in texts]
    assert cut(output[:, width:]) == expected


def test_a_text_of_the_end_alone_is_continued():
    assert MODEL.generate(torch.tensor([[EOS]]), max_new_tokens=3).shape == (1, 4)


def test_beams_continue_a_text_without_a_blank():
    text = torch.tensor([[CLS, 11, 12]])
    output = MODEL.generate(text, max_new_tokens=4, num_beams=3, num_return_sequences=2)
    piece = MODEL.generate(torch.tensor([[CLS, 11, 12, GMASK]]), max_new_tokens=4, num_beams=3, num_return_sequences=2)
    assert output[:, 3:].tolist() == piece[:, 1:].tolist()


def test_positions_given_are_those_derived_and_may_be_longer_than_the_prompt():
    part_as = PART_AS[:2]
    with_sop = [[*part_a, SOP] for part_a in part_as]
    expected = MODEL.generate(**prompts(with_sop), max_new_tokens=4)
    rows = [naive_row(part_a, [(blanks_of(part_a)[0], [])], SOP) for part_a in part_as]
    positions = {
        "position_ids": padded([row[1] for row in rows], "left"),
        "block_position_ids": padded([row[2] for row in rows], "left"),
    }
    for inputs in (
        prompts(with_sop),
        {**prompts(with_sop), "use_cache": False},
        {**prompts(with_sop), "num_beams": 2},
    ):
        given_positions = MODEL.generate(**inputs, **positions, max_new_tokens=4)
        assert given_positions.tolist() == MODEL.generate(**inputs, max_new_tokens=4).tolist()
    # the old tokenizers' build_inputs_for_generation lays the piece out in advance
    longer = {
        "position_ids": torch.cat([positions["position_ids"], positions["position_ids"][:, -1:].expand(-1, 6)], dim=1),
        "block_position_ids": torch.cat([positions["block_position_ids"], torch.arange(2, 8).expand(2, -1)], dim=1),
    }
    assert MODEL.generate(**prompts(with_sop), **longer, max_new_tokens=4).tolist() == expected.tolist()


def test_positions_given_for_part_a_alone_decide():
    part_a = torch.tensor([PART_AS[0]])
    moved = {"position_ids": torch.tensor([[3, 4, 5, 6, 7]]), "block_position_ids": torch.zeros_like(part_a)}
    output = MODEL.generate(part_a, **moved, max_new_tokens=4)
    row = [*PART_AS[0], SOP]
    expected = MODEL.generate(
        torch.tensor([row]),
        position_ids=torch.tensor([[3, 4, 5, 6, 7, 5]]),
        block_position_ids=torch.tensor([[0, 0, 0, 0, 0, 1]]),
        max_new_tokens=4,
    )
    assert output.tolist() == expected[:, 5:].tolist()
    assert output.tolist() != MODEL.generate(part_a, max_new_tokens=4).tolist()


def test_prompts_of_embeddings_are_continued():
    row = torch.tensor([[*PART_AS[0], SOP]])
    expected = MODEL.generate(row, max_new_tokens=4)[:, row.shape[1] :]
    embeddings = MODEL.get_input_embeddings()(row)
    assert MODEL.generate(inputs_embeds=embeddings, max_new_tokens=4).tolist() == expected.tolist()
    both = MODEL.generate(row, inputs_embeds=embeddings, max_new_tokens=4)
    assert both[:, row.shape[1] :].tolist() == expected.tolist()


def test_a_cache_of_the_first_piece_is_carried_on_to_the_second():
    part_a = [CLS, 11, MASK, 14, MASK, 15]
    first = MODEL.generate(
        torch.tensor([[*part_a, SOP]]), max_new_tokens=3, suppress_tokens=[EOP, EOS], return_dict_in_generate=True
    )
    row = torch.cat([first.sequences, torch.tensor([[SOP]])], dim=1)
    expected = MODEL.generate(row, max_new_tokens=4)
    assert first.cache.get_seq_length() == row.shape[1] - 2
    carried = MODEL.generate(row, max_new_tokens=4, cache=first.cache)
    assert carried.tolist() == expected.tolist()


def test_what_the_caller_adds_reaches_the_model():
    inputs = MODEL.prepare_inputs_for_generation(
        input_ids=torch.tensor([[1, 2, 3]]), position_ids=torch.tensor([[0, 1, 2]]), output_attentions=True, own=42
    )
    assert inputs["output_attentions"] is True and inputs["own"] == 42
    assert inputs["position_ids"].tolist() == [[0, 1, 2]]


def test_positions_of_a_step_are_contiguous():
    # a compiled step is compiled again for every new stride
    steps = []
    handle = MODEL.glm.register_forward_pre_hook(lambda module, args, kwargs: steps.append(kwargs), with_kwargs=True)
    MODEL.generate(**prompts(PART_AS), max_new_tokens=5)
    handle.remove()
    assert len(steps) == 5
    for step in steps:
        assert step["position_ids"].is_contiguous() and step["block_position_ids"].is_contiguous()
        assert len({step[name].stride(0) for name in ("input_ids", "position_ids", "block_position_ids")}) == 1


# ------------------------------------------------------------------------------------------------------------------ the end


class Prefers(LogitsProcessor):
    """Makes one token the likeliest at one length of the row."""

    def __init__(self, token, length):
        self.token, self.length = token, length

    def __call__(self, input_ids, scores):
        if input_ids.shape[1] >= self.length:
            scores = scores.clone()
            scores[:, self.token] = 1e6
        return scores


@pytest.mark.parametrize("end", [EOP, EOS])
def test_generation_stops_at_the_end_of_the_piece_and_of_the_text(end):
    output = MODEL.generate(
        **prompts(PART_AS[:1]), max_new_tokens=9, logits_processor=LogitsProcessorList([Prefers(end, 4)])
    )
    assert output.shape[1] == 5 and output[0, -1] == end


def test_rows_that_end_early_are_padded():
    class EndsFirstRow(LogitsProcessor):
        def __call__(self, input_ids, scores):
            scores = scores.clone()
            scores[:, [EOP, EOS]] = -torch.inf
            scores[0, EOP] = 1e6
            return scores

    output = MODEL.generate(
        **prompts(PART_AS), max_new_tokens=4, logits_processor=LogitsProcessorList([EndsFirstRow()])
    )
    assert output[0].tolist() == [SOP, EOP, PAD, PAD, PAD]


@pytest.mark.parametrize("token", sorted(NEVER))
@pytest.mark.parametrize("how", [{}, {"do_sample": True}, {"num_beams": 2}], ids=["greedy", "sampling", "beams"])
def test_blanks_and_sop_are_never_generated(token, how):
    prefers = LogitsProcessorList([Prefers(token, 1)])
    for prompt in (PART_AS[0], [*PART_AS[0], SOP], [CLS, 11]):
        output = MODEL.generate(torch.tensor([prompt]), max_new_tokens=4, logits_processor=prefers, **how)
        new = output[0, 1:] if prompt == PART_AS[0] else output[0, len(prompt) :]
        assert not set(NEVER) & set(new.tolist())


# ----------------------------------------------------------- Part A alone: what counts tokens and what looks back sees Part B


def test_processors_see_part_b_only():
    seen = []

    class Spy(LogitsProcessor):
        def __call__(self, input_ids, scores):
            seen.append(input_ids.tolist())
            return scores

    output = MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=3, logits_processor=LogitsProcessorList([Spy()]))
    assert seen[0] == [[SOP]]
    assert seen[-1] == [output[0, :-1].tolist()]


def test_max_length_counts_part_b_only():
    assert MODEL.generate(**prompts(PART_AS[:1]), max_length=4, suppress_tokens=[EOP, EOS]).shape == (1, 4)
    # a row with sop counts as in every causal model
    row = torch.tensor([[*PART_AS[0], SOP]])
    assert MODEL.generate(row, max_length=8, suppress_tokens=[EOP, EOS]).shape == (1, 8)
    text = torch.tensor([[CLS, 11, 12]])
    assert MODEL.generate(text, max_length=8, suppress_tokens=[EOP, EOS]).shape == (1, 8)


def test_twenty_new_tokens_are_the_default():
    assert MODEL.generate(**prompts(PART_AS[:1]), suppress_tokens=[EOP, EOS]).shape == (1, 21)


@pytest.mark.parametrize("how", [{"min_new_tokens": 5}, {"min_length": 6}])
def test_min_new_tokens_keeps_both_ends_away(how):
    for end in (EOP, EOS):
        output = MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=9, sequence_bias={(end,): 1e4}, **how)
        assert output.shape[1] == 7 and output[0, -1] == end


# ------------------------------------------------------------------------------------------------------------- refused


def test_continuous_batching_is_refused_by_name():
    with pytest.raises(ValueError, match="continuous batching"):
        MODEL.generate_batch([PART_AS[0]])
    with pytest.raises(ValueError, match="continuous batching"):
        MODEL.init_continuous_batching()


def test_more_new_tokens_than_block_positions_are_refused_before_the_first():
    MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=64, suppress_tokens=[EOP, EOS])  # the table's last row
    with pytest.raises(ValueError, match="65 new tokens were asked for, but a piece has 64 block positions"):
        MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=65)


def test_prompts_of_different_kinds_are_refused():
    with pytest.raises(ValueError, match="Row 1 of the prompt has no sop and row 0 has one"):
        MODEL.generate(torch.tensor([[CLS, MASK, SOP], [CLS, MASK, 11]]))
    with pytest.raises(ValueError, match="Row 0 of the prompt has no blank and row 1 has one"):
        MODEL.generate(torch.tensor([[CLS, 12, 13], [CLS, MASK, 11]]))


def test_a_row_longer_than_the_position_table_is_nothing_to_be_warned_of(monkeypatch):
    from transformers.generation import stopping_criteria

    warned = []
    monkeypatch.setattr(stopping_criteria.logger, "warning_once", warned.append)
    prompt = torch.tensor([[CLS, *[11] * 11, MASK, EOS]])
    row = make_model(max_sequence_length=16).generate(prompt, min_new_tokens=12, max_new_tokens=12)
    assert row.shape[-1] >= 12 and not warned
