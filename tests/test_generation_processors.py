# SPDX-License-Identifier: Apache-2.0
"""Every processor of Transformers, held against the same processor in a search by hand that shows it Part B only."""

import pytest
import torch
from conftest import EOP, EOS, MASK, SOP
from generation_rows import MODEL, NEVER, PART_AS, cut, naive_search, prompts, with_sop
from transformers import LogitsProcessor, LogitsProcessorList, WatermarkingConfig
from transformers.generation import logits_process as stock


pytestmark = pytest.mark.core


ENDS = torch.tensor([EOP, EOS])
STEPS = 5
# arguments of generate, and the processor of a row's Part A that they stand for
PROCESSORS = {
    "repetition_penalty": ({"repetition_penalty": 3.0}, lambda part_a: stock.RepetitionPenaltyLogitsProcessor(3.0)),
    "no_repeat_ngram_size": ({"no_repeat_ngram_size": 1}, lambda part_a: stock.NoRepeatNGramLogitsProcessor(1)),
    "bad_words_ids": (
        {"bad_words_ids": [[25], [87, 98], [6]]},
        lambda part_a: stock.NoBadWordsLogitsProcessor([[25], [87, 98], [6]], ENDS),
    ),
    "sequence_bias": (
        {"sequence_bias": {(25,): -9.0, (87, 41): 50.0}},
        lambda part_a: stock.SequenceBiasLogitsProcessor({(25,): -9.0, (87, 41): 50.0}),
    ),
    "suppress_tokens": (
        {"suppress_tokens": [25, 87]},
        lambda part_a: stock.SuppressTokensLogitsProcessor([25, 87]),
    ),
    "begin_suppress_tokens": (
        {"begin_suppress_tokens": [25, 87]},
        lambda part_a: stock.SuppressTokensAtBeginLogitsProcessor([25, 87], 1),
    ),
    "min_length": (
        {"min_length": 5, "sequence_bias": {(EOP,): 1e4}},
        lambda part_a: LogitsProcessorList(
            [stock.SequenceBiasLogitsProcessor({(EOP,): 1e4}), stock.MinLengthLogitsProcessor(5, ENDS)]
        ),
    ),
    "min_new_tokens": (
        {"min_new_tokens": 3, "sequence_bias": {(EOS,): 1e4}},
        lambda part_a: LogitsProcessorList(
            [stock.SequenceBiasLogitsProcessor({(EOS,): 1e4}), stock.MinLengthLogitsProcessor(4, ENDS)]
        ),
    ),
    "forced_bos_token_id": ({"forced_bos_token_id": 47}, lambda part_a: stock.ForcedBOSTokenLogitsProcessor(47)),
    "forced_eos_token_id": (
        {"forced_eos_token_id": EOP},
        lambda part_a: stock.ForcedEOSTokenLogitsProcessor(1 + STEPS, EOP),
    ),
    "exponential_decay_length_penalty": (
        {"exponential_decay_length_penalty": (2, 9.0)},
        lambda part_a: stock.ExponentialDecayLengthPenalty((2, 9.0), ENDS, 1),
    ),
    "encoder_repetition_penalty": (
        {"encoder_repetition_penalty": 9.0},
        lambda part_a: stock.EncoderRepetitionPenaltyLogitsProcessor(9.0, torch.tensor([part_a])),
    ),
    "encoder_no_repeat_ngram_size": (
        {"encoder_no_repeat_ngram_size": 1, "sequence_bias": {(14,): 20.0, (22,): 20.0, (31,): 20.0}},
        lambda part_a: LogitsProcessorList(
            [
                stock.SequenceBiasLogitsProcessor({(14,): 20.0, (22,): 20.0, (31,): 20.0}),
                stock.EncoderNoRepeatNGramLogitsProcessor(1, torch.tensor([part_a])),
            ]
        ),
    ),
    "prefix_allowed_tokens_fn": (
        {"prefix_allowed_tokens_fn": lambda row, seen: [30 + len(seen), EOP]},
        lambda part_a: stock.PrefixConstrainedLogitsProcessor(lambda row, seen: [30 + len(seen), EOP], 1),
    ),
    "watermarking_config": (
        {"watermarking_config": WatermarkingConfig(bias=9.0, seeding_scheme="selfhash", context_width=2)},
        lambda part_a: stock.WatermarkLogitsProcessor(
            vocab_size=99, device="cpu", bias=9.0, seeding_scheme="selfhash", context_width=2
        ),
    ),
    "remove_invalid_values": ({"remove_invalid_values": True}, lambda part_a: stock.InfNanRemoveLogitsProcessor()),
}
NEUTRAL = {"remove_invalid_values"}  # changes nothing where no score is invalid
EVERY = pytest.mark.parametrize("name", PROCESSORS)


@EVERY
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_processor_sees_part_b_only_in_a_padded_batch_too(name, side):
    how, processor = PROCESSORS[name]
    output = MODEL.generate(**prompts(PART_AS, side, 2), max_new_tokens=STEPS, **how)
    assert cut(output) == [naive_search(part_a, STEPS, processor(part_a)) for part_a in PART_AS]
    changed = cut(output) != [naive_search(part_a, STEPS) for part_a in PART_AS]
    assert changed != (name in NEUTRAL)


@EVERY
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_processor_under_beams_is_that_of_each_row_alone(name, side):
    how = {"num_beams": 3, "max_new_tokens": STEPS, **PROCESSORS[name][0]}
    together = MODEL.generate(**prompts(PART_AS, side, 2), **how)
    alone = [MODEL.generate(**prompts([part_a]), **how) for part_a in PART_AS]
    assert cut(together) == [row for output in alone for row in cut(output)]


@pytest.mark.parametrize("name", ["repetition_penalty", "no_repeat_ngram_size"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_processor_sees_all_of_a_row_that_has_sop(name, side):
    how, processor = PROCESSORS[name][0], PROCESSORS[name][1](None)
    inputs = with_sop(prompts(PART_AS, side, 2))
    output = MODEL.generate(**inputs, max_new_tokens=STEPS, sequence_bias={(31,): 8.0}, **how)
    both = LogitsProcessorList([stock.SequenceBiasLogitsProcessor({(31,): 8.0}), processor])
    new = cut(output[:, inputs["input_ids"].shape[1] :])
    assert [[SOP, *row] for row in new] == [naive_search(part_a, STEPS, both, True) for part_a in PART_AS]
    assert [[SOP, *row] for row in new] != [naive_search(part_a, STEPS, both) for part_a in PART_AS]


def test_lengths_of_a_continued_text_are_those_of_the_text_and_what_follows():
    text = torch.tensor([[3, 4, 5]])
    for how in ({"min_length": 7}, {"min_new_tokens": 4}):
        output = MODEL.generate(text, max_new_tokens=9, sequence_bias={(EOP,): 1e4}, **how)
        assert output.shape == (1, 8) and output[0, -1] == EOP
    forced = MODEL.generate(text, max_length=7, forced_eos_token_id=EOP, suppress_tokens=[EOS])
    assert forced[0, -1] == EOP and forced.shape[1] <= 7


def test_what_is_never_generated_leaves_the_distribution_that_is_renormalized():
    output = MODEL.generate(
        **prompts(PART_AS[:1]),
        max_new_tokens=3,
        renormalize_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
    )
    for scores in output.scores:
        assert float(scores[0].exp().sum()) == pytest.approx(1, abs=1e-5)
        assert scores[0, NEVER].isneginf().all()


def test_a_processor_of_the_caller_does_not_replace_the_one_that_keeps_blanks_away():
    class Prefers(LogitsProcessor):
        def __call__(self, input_ids, scores):
            return scores.index_fill(1, torch.tensor([MASK]), 1e6)

    own = LogitsProcessorList([Prefers(), stock.SuppressTokensLogitsProcessor([25])])
    output = MODEL.generate(**prompts(PART_AS), max_new_tokens=STEPS, logits_processor=own, suppress_tokens=[87])
    assert not {MASK, 25} & set(output.flatten().tolist())
