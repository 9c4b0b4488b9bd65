# SPDX-License-Identifier: Apache-2.0
"""What may be given to generate beside the three kinds of prompts: embeddings, the beginning of the piece, labels, a cache."""

import pytest
import torch
from conftest import CLS, EOP, EOS, GMASK, MASK, PAD, SOP
from drawn_rows import padded
from generation_rows import MODEL, PART_AS, cut, naive_search, prompts, with_sop
from naive_glm import naive_row
from short_runs import arguments
from transformers import DataCollatorForSeq2Seq, DynamicCache, Seq2SeqTrainer, Seq2SeqTrainingArguments


pytestmark = pytest.mark.core


def embedded(inputs):
    """Embeddings in the place of the tokens."""
    return {
        "inputs_embeds": MODEL.get_input_embeddings()(inputs["input_ids"]).detach(),
        "attention_mask": inputs["attention_mask"],
    }


# ------------------------------------------------------------------------------------------------------------- embeddings


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "how", [{}, {"num_beams": 3}, {"repetition_penalty": 3.0}, {"max_length": 4}, {"min_length": 4}], ids=str
)
def test_an_embedded_part_a_is_given_sop_and_its_piece_is_returned_from_sop_on(side, how):
    how = {"max_new_tokens": 5, **how} if "max_length" not in how else how
    expected = MODEL.generate(**prompts(PART_AS, side), **how)
    assert MODEL.generate(**embedded(prompts(PART_AS, side)), **how).tolist() == expected.tolist()
    both = {**prompts(PART_AS, side), **embedded(prompts(PART_AS, side))}
    assert MODEL.generate(**both, **how).tolist() == expected.tolist()


def test_virtual_tokens_before_an_embedded_part_a_are_part_of_it():
    virtual = torch.randn(1, 2, 32, generator=torch.Generator().manual_seed(0))
    part_a = torch.cat([virtual, embedded(prompts(PART_AS[:1]))["inputs_embeds"]], dim=1)
    output, row = MODEL.generate(inputs_embeds=part_a, max_new_tokens=3, suppress_tokens=[EOP, EOS]), part_a
    place = torch.arange(part_a.shape[1])
    for step, token in enumerate(output[0, 1:]):  # by hand, with positions by hand: the blank is the fifth of all
        row = torch.cat([row, MODEL.get_input_embeddings()(output[:, step : step + 1])], dim=1)
        logits = MODEL(
            inputs_embeds=row,
            position_ids=torch.cat([place, torch.full((step + 1,), 4)])[None],
            block_position_ids=torch.cat([torch.zeros_like(place), torch.arange(1, step + 2)])[None],
        ).logits[0, -1]
        logits[[MASK, 91, GMASK, SOP, EOP, EOS]] = -torch.inf
        assert int(logits.argmax()) == int(token)


def test_an_embedded_text_is_continued_beside_its_tokens_and_refused_alone():
    inputs = prompts([[CLS, 11, 12, EOS], [CLS, 21, 22, 23, 24]])
    expected = MODEL.generate(**inputs, max_new_tokens=4)
    assert MODEL.generate(**{**inputs, **embedded(inputs)}, max_new_tokens=4).tolist() == expected.tolist()
    with pytest.raises(ValueError, match="neither the embedding of sop nor that of a mask token"):
        MODEL.generate(**embedded(inputs), max_new_tokens=4)


def test_embeddings_that_show_nothing_are_placed_by_positions():
    row, positions, block_positions = naive_row(PART_AS[0], [(2, [])], SOP)
    expected = MODEL.generate(torch.tensor([row]), max_new_tokens=4)[:, len(row) :]
    embeddings = MODEL.get_input_embeddings()(torch.tensor([row])) + 1e-7
    output = MODEL.generate(
        inputs_embeds=embeddings,
        position_ids=torch.tensor([positions]),
        block_position_ids=torch.tensor([block_positions]),
        max_new_tokens=4,
    )
    assert output.tolist() == expected.tolist()


# ------------------------------------------------------------------------------------------- decoder_input_ids, as in T5


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("how", [{}, {"use_cache": False}], ids=str)
def test_decoder_input_ids_begin_the_piece_and_are_returned_with_it(side, how):
    begun = torch.tensor([[SOP, 41, 42]] * 3)
    expected = [naive_search(part_a, 4, begun=[41, 42]) for part_a in PART_AS]
    for decoder_input_ids in (begun, begun[:, 1:]):  # T5 puts its start token before them if it is not there
        output = MODEL.generate(
            **prompts(PART_AS, side, 1), decoder_input_ids=decoder_input_ids, max_new_tokens=4, **how
        )
        assert cut(output) == expected


@pytest.mark.parametrize(
    ("side", "left_out"),
    [("left", ()), ("left", ["decoder_attention_mask"]), ("left", ["decoder_attention_mask", "attention_mask"]), ("right", ())],
)  # fmt: skip
def test_pieces_begun_with_different_lengths_are_padded_on_either_side(side, left_out):
    begun = [[SOP, 41, 42], [SOP], [SOP, 43]]
    given = {
        **prompts(PART_AS),
        "decoder_input_ids": padded(begun, side, 1, PAD),
        "decoder_attention_mask": padded([[1] * len(row) for row in begun], side, 1),
    }
    given = {name: value for name, value in given.items() if name not in left_out}
    output = MODEL.generate(**given, max_new_tokens=4, repetition_penalty=2.0)
    for part_a, row, whole in zip(PART_AS, begun, output.tolist(), strict=True):
        alone = MODEL.generate(
            torch.tensor([part_a]), decoder_input_ids=torch.tensor([row]), max_new_tokens=4, repetition_penalty=2.0
        )
        assert cut(torch.tensor([whole[4 - len(row) :]])) == cut(alone)


def test_beams_continue_the_beginning_of_a_piece():
    begun = torch.tensor([[SOP, 41, 42]] * 3)
    together = MODEL.generate(**prompts(PART_AS), decoder_input_ids=begun, max_new_tokens=4, num_beams=3)
    rows = [torch.tensor([[*part_a, SOP, 41, 42]]) for part_a in PART_AS]
    alone = [MODEL.generate(row, max_new_tokens=4, num_beams=3)[:, row.shape[1] - 3 :] for row in rows]
    assert cut(together) == [row for output in alone for row in cut(output)]


def test_positions_given_for_part_a_hold_for_the_beginning_of_a_piece():
    moved = torch.tensor([[3, 4, 5, 6, 7]])
    output = MODEL.generate(
        torch.tensor(PART_AS[:1]),
        position_ids=moved,
        block_position_ids=torch.zeros_like(moved),
        decoder_input_ids=torch.tensor([[SOP, 41, 42]]),
        max_new_tokens=4,
    )
    expected = MODEL.generate(
        torch.tensor([[*PART_AS[0], SOP, 41, 42]]),
        position_ids=torch.tensor([[3, 4, 5, 6, 7, 5, 5, 5]]),
        block_position_ids=torch.tensor([[0, 0, 0, 0, 0, 1, 2, 3]]),
        max_new_tokens=4,
    )
    assert output.tolist() == expected[:, 5:].tolist()


def test_max_length_counts_the_beginning_of_the_piece():
    begun = torch.tensor([[SOP, 41, 42]])
    output = MODEL.generate(**prompts(PART_AS[:1]), decoder_input_ids=begun, max_length=5, suppress_tokens=[EOP, EOS])
    assert output.shape == (1, 5) and output[0, :3].tolist() == [SOP, 41, 42]


def test_the_beginning_of_a_piece_takes_block_positions():
    begun = torch.full((1, 60), 41)
    how = {"decoder_input_ids": begun, "suppress_tokens": [EOP, EOS]}
    assert MODEL.generate(**prompts(PART_AS[:1]), **how, max_new_tokens=4).shape == (1, 65)
    with pytest.raises(ValueError, match="5 new tokens were asked for, but a piece has 64 .* the prompt takes 61"):
        MODEL.generate(**prompts(PART_AS[:1]), **how, max_new_tokens=5)


@pytest.mark.parametrize(
    ("prompt", "begun", "message"),
    [
        ([CLS, 11, MASK, SOP], [[SOP, 41]], "decoder_input_ids begin the piece of a blank"),
        ([CLS, 11, 12], [[SOP, 41]], "decoder_input_ids begin the piece of a blank"),
        ([CLS, 11, MASK], [[SOP, 41]] * 2, r"decoder_input_ids have shape \(2, 2\)"),
        ([CLS, 11, MASK], [[SOP, 41, SOP]], "Row 0 of decoder_input_ids has 2 sop"),
    ],
)
def test_decoder_input_ids_without_their_one_blank_are_refused(prompt, begun, message):
    with pytest.raises(ValueError, match=message):
        MODEL.generate(torch.tensor([prompt]), decoder_input_ids=torch.tensor(begun))


# --------------------------------------------------------------------------------------- batches that carry their labels


def test_labels_beside_a_prompt_change_nothing():
    expected = MODEL.generate(**prompts(PART_AS), max_new_tokens=4)
    labels = torch.tensor([[41, 42, EOP]] * 3)
    assert MODEL.generate(**prompts(PART_AS), labels=labels, max_new_tokens=4).tolist() == expected.tolist()
    beams = MODEL.generate(**prompts(PART_AS), max_new_tokens=4, num_beams=2)
    given = MODEL.generate(**prompts(PART_AS), labels=labels, max_new_tokens=4, num_beams=2)
    assert given.tolist() == beams.tolist()


def test_what_the_seq2seq_trainer_predicts_is_what_generate_writes(text_model, tokenizer, tmp_path):
    sources = ["Ada wrote [MASK]", "Grace found a moth in the relay [MASK]"]
    rows = [
        {**tokenizer(source), "labels": tokenizer(" x", add_special_tokens=False)["input_ids"]} for source in sources
    ]
    trainer = Seq2SeqTrainer(
        text_model,
        arguments(tmp_path, Seq2SeqTrainingArguments, predict_with_generate=True, generation_max_length=9),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=text_model),
        processing_class=tokenizer,
    )
    predictions = trainer.predict(rows).predictions
    for row, predicted in zip(rows, predictions.tolist(), strict=True):
        alone = text_model.generate(torch.tensor([row["input_ids"]]), max_length=9)[0].tolist()
        assert predicted[: len(alone)] == alone and set(predicted[len(alone) :]) <= {tokenizer.pad_token_id, -100}


# ---------------------------------------------------------------------------------------------------------------- a cache


@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_a_cache_of_part_a_is_read_once_for_many_pieces(form):
    inputs = prompts(PART_AS)
    expected = MODEL.generate(**inputs, max_new_tokens=4)
    cache = MODEL(**inputs, use_cache=True).cache
    read = []
    handle = MODEL.glm.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    for _ in range(2):
        given = inputs if form == "part A" else with_sop(inputs)
        output = MODEL.generate(**given, cache=cache, max_new_tokens=4)
        assert output[:, -expected.shape[1] :].tolist() == expected.tolist()
        cache.crop(inputs["input_ids"].shape[1] - cache.get_seq_length())
    handle.remove()
    assert set(read) == {1}


@pytest.mark.parametrize("row", [[CLS, 11, MASK, 14], [CLS, 11, MASK, 14, SOP], [CLS, 11, 12, 13]])
def test_a_cache_of_less_than_part_a_is_refused(row):
    cache = MODEL(torch.tensor([row[:2]]), use_cache=True).cache
    with pytest.raises(ValueError, match="The cache holds 2 token.* and Part A has 4"):
        MODEL.generate(torch.tensor([row]), cache=cache)


@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_a_cache_that_was_generated_with_is_refused_for_the_same_prompt(form):
    inputs = prompts(PART_AS) if form == "part A" else with_sop(prompts(PART_AS))
    cache = DynamicCache(config=MODEL.config)
    MODEL.generate(**inputs, cache=cache, max_new_tokens=4, suppress_tokens=[EOP, EOS])
    seen, most = cache.get_seq_length(), inputs["input_ids"].shape[1] - (form == "with sop")
    with pytest.raises(ValueError, match=rf"holds {seen} token.* of this prompt it may hold {most}:"):
        MODEL.generate(**inputs, cache=cache, max_new_tokens=4)


def test_a_cache_of_part_a_and_of_a_piece_is_refused_beside_the_piece_and_beside_the_whole_row():
    part_a, row = torch.tensor(PART_AS[:1]), torch.tensor([[*PART_AS[0], SOP, 41]])
    cache = MODEL(row, use_cache=True).cache
    with pytest.raises(ValueError, match=r"holds 7 token.* of this prompt it may hold 5"):
        MODEL.generate(part_a, decoder_input_ids=torch.tensor([[SOP, 41, 42]]), cache=cache)
    with pytest.raises(ValueError, match=r"holds 7 token.* of this prompt it may hold 6"):
        MODEL.generate(row, cache=cache)


@pytest.mark.parametrize("how", [{"prompt_lookup_num_tokens": 3}, {"assistant_model": MODEL}], ids=list)
@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_assisted_decoding_takes_neither_a_cache_nor_embeddings(form, how):
    inputs = prompts(PART_AS[:1]) if form == "part A" else with_sop(prompts(PART_AS[:1]))
    cache = MODEL(**prompts(PART_AS[:1]), use_cache=True).cache
    with pytest.raises(ValueError, match=r"reads its whole prompt, and 5 token\(s\) are in the cache"):
        MODEL.generate(**inputs, cache=cache, **how)
    for given in (embedded(inputs), {**inputs, **embedded(inputs)}):
        with pytest.raises(ValueError, match="checks candidates by their tokens, and inputs_embeds have none"):
            MODEL.generate(**given, **how)


@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_a_cache_is_refused_where_none_is_used(form):
    inputs = prompts(PART_AS[:1]) if form == "part A" else with_sop(prompts(PART_AS[:1]))
    with pytest.raises(ValueError, match="use_cache=False reads the whole row in each step"):
        MODEL.generate(**inputs, cache=DynamicCache(config=MODEL.config), use_cache=False, max_new_tokens=4)


@pytest.mark.parametrize("name", ["position_ids", "block_position_ids"])
def test_one_of_two_positions_gives_the_other(name):
    part_a = torch.tensor(PART_AS[:1])
    rows = {"position_ids": torch.arange(5)[None], "block_position_ids": torch.zeros_like(part_a)}
    expected = MODEL.generate(part_a, max_new_tokens=4)
    assert MODEL.generate(part_a, **{name: rows[name]}, max_new_tokens=4).tolist() == expected.tolist()
    cache = MODEL(part_a, use_cache=True).cache
    with pytest.raises(ValueError, match=f"^{name} without the other one"):
        MODEL.generate(
            torch.tensor([[SOP]]), attention_mask=torch.ones(1, 6), cache=cache, **{name: torch.tensor([[1]])}
        )


@pytest.mark.parametrize("how", [{}, {"encoder_repetition_penalty": 9.0}, {"num_beams": 2}], ids=str)
def test_the_rest_of_a_row_follows_its_cache_by_positions_of_its_own(how):
    part_as = [PART_AS[0], [CLS, 11, 12, MASK, 14, EOS]]
    inputs = prompts(part_as)
    expected = MODEL.generate(
        **with_sop(inputs), max_new_tokens=4, **({} if "encoder_repetition_penalty" in how else how)
    )
    cache = MODEL(**inputs, use_cache=True).cache
    if "num_beams" in how:
        cache.batch_repeat_interleave(2)
    output = MODEL.generate(
        torch.tensor([[SOP]] * 2),
        attention_mask=with_sop(inputs)["attention_mask"],
        position_ids=torch.tensor([[2], [3]]),
        block_position_ids=torch.tensor([[1], [1]]),
        cache=cache,
        max_new_tokens=4,
        **how,
    )
    assert output[:, 1:].tolist() == expected[:, inputs["input_ids"].shape[1] + 1 :].tolist()
