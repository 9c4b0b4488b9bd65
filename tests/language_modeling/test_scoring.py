# SPDX-License-Identifier: Apache-2.0
import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_glm import naive_logits, naive_row

from transformers_glm.language_modeling.rows import last_word, lay_out_scored, windows
from transformers_glm.language_modeling.scoring import generate_texts, perplexities, score_last_words, score_texts
from transformers_glm.language_modeling.wikitext import detokenize
from transformers_glm.metrics.base import Scored


TEXT = "Grace Hopper found a moth in the relay; she taped it into the log book, and smiled. Is a blank a hole?"
CONTEXTS = ("bidirectional", "unidirectional")


@given(st.integers(0, 300), st.integers(2, 40), st.data())
def test_every_token_except_the_first_is_scored_exactly_once(length, width, data):
    stride = data.draw(st.integers(1, width - 1))
    scored = Counter()
    for before, of_window in windows(range(length), width, stride):
        assert before and of_window and len(before) + len(of_window) <= width
        assert before[-1] + 1 == of_window[0]
        scored.update(of_window)
    assert scored == Counter(range(1, length))


def test_the_windows_overlap_as_in_the_picture():
    assert list(windows([*range(10)], 6, 2)) == [
        ([0], [1, 2, 3, 4, 5]),
        ([2, 3, 4, 5], [6, 7]),
        ([4, 5, 6, 7], [8, 9]),
    ]
    assert list(windows([*range(9)], 6, 2))[-1] == ([4, 5, 6, 7], [8])
    assert list(windows([*range(9)], math.inf, 1)) == [([0], [*range(1, 9)])]


def test_a_stride_that_leaves_no_context_is_refused():
    with pytest.raises(ValueError, match="stride 6 is not between 0 and the window's width 6"):
        list(windows(range(10), 6, 6))


def test_the_layout_of_a_window_is_that_of_the_paper(tokenizer):
    cls, sop, mask = tokenizer.cls_token_id, tokenizer.sop_token_id, tokenizer.gmask_token_id
    before, scored = [22, 23, 24], [25, 26]
    assert lay_out_scored(before, scored, "bidirectional", tokenizer, mask) == {
        "input_ids": [cls, 22, 23, 24, mask, sop, 25],
        "labels": [-100] * 5 + [25, 26],
        "position_ids": [0, 1, 2, 3, 4, 4, 4],
        "block_position_ids": [0, 0, 0, 0, 0, 1, 2],
    }
    assert lay_out_scored(before, scored, "unidirectional", tokenizer, mask) == {
        "input_ids": [cls, 22, mask, sop, 23, 24, 25],
        "labels": [-100] * 5 + [25, 26],
        "position_ids": [0, 1, 2, 2, 2, 2, 2],
        "block_position_ids": [0, 0, 0, 1, 2, 3, 4],
    }
    first = lay_out_scored([21], [22, 23], "bidirectional", tokenizer, mask)
    assert first["input_ids"] == [cls, 21, mask, sop, 22] and first["labels"] == [-100] * 3 + [22, 23]
    assert first == lay_out_scored([21], [22, 23], "unidirectional", tokenizer, mask)


def test_the_layout_of_a_last_word_is_that_of_the_paper(tokenizer):
    cls, eos = tokenizer.cls_token_id, tokenizer.eos_token_id
    sop, mask = tokenizer.sop_token_id, tokenizer.gmask_token_id
    row = lay_out_scored([21, 22, 23], [31, 32], "bidirectional", tokenizer, mask, ends=True, longest=64)
    assert row["input_ids"] == [cls, 21, 22, 23, mask, eos, sop, 31]
    assert row["labels"] == [-100] * 6 + [31, 32]
    assert row["position_ids"] == [0, 1, 2, 3, 4, 5, 4, 4]
    row = lay_out_scored([21, 22, 23], [31, 32], "unidirectional", tokenizer, mask, ends=True, longest=8)
    assert row["input_ids"] == [cls, 21, mask, eos, sop, 22, 23, 31]
    assert row["labels"] == [-100] * 6 + [31, 32]
    assert row["position_ids"] == [0, 1, 2, 3, 2, 2, 2, 2]
    assert row["block_position_ids"] == [0, 0, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_long_text_loses_its_left_end_and_keeps_its_blank(context, tokenizer):
    mask = tokenizer.gmask_token_id
    row = lay_out_scored([*range(21, 61)], [31, 32], context, tokenizer, mask, ends=True, longest=12)
    assert len(row["input_ids"]) == 12 and row["input_ids"].count(mask) == 1
    kept = [token for token in row["input_ids"] if token > 32]
    assert kept == [*range(54, 61)]


def test_the_last_word_is_split_off_where_it_stands_last(tokenizer):
    before, word = last_word("the end is the  end\n", tokenizer)
    assert tokenizer.decode(before) == "the end is the" and tokenizer.decode(word) == " end"


def naive_score(model, tokenizer, part_a, blank, text, scored):
    """The log-probabilities of the last `scored` tokens, and whether each is the likeliest, by one full forward for each."""
    found = []
    for place in range(len(text) - scored, len(text)):
        row = naive_row(part_a, [(blank, text[:place])], tokenizer.sop_token_id)
        chances = naive_logits(model.state_dict(), 4, *row)[-1].log_softmax(-1)
        found.append((chances[text[place]].item(), int(chances.argmax()) == text[place]))
    log_probabilities, hits = zip(*found, strict=True)
    return log_probabilities, hits


@pytest.mark.parametrize("context", CONTEXTS)
def test_perplexity_is_that_of_the_naive_twin(context, tokenizer, text_model):
    cls, mask = tokenizer.cls_token_id, tokenizer.gmask_token_id
    tokens = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    expected = []
    for before, scored in windows(tokens, 24, 8):
        shown = len(before) if context == "bidirectional" else 1
        part_a = [cls, *before[:shown], mask]
        text = [*before[shown:], *scored]
        expected += naive_score(text_model, tokenizer, part_a, len(part_a) - 1, text, len(scored))[0]
    assert len(expected) == len(tokens) - 1
    settings = {"context": context, "width": 24, "stride": 8, "mask": mask}
    for batch_size in (1, 3):
        [score] = score_texts(text_model, tokenizer, [TEXT], batch_size=batch_size, **settings)
        assert score.log_probability == pytest.approx(sum(expected), rel=1e-5)
    measured = perplexities([score])
    assert measured["perplexity"] == pytest.approx(math.exp(-sum(expected) / (len(tokens) - 1)), rel=1e-5)
    assert measured["word_perplexity"] == pytest.approx(math.exp(-sum(expected) / (len(TEXT.split()) - 1)), rel=1e-5)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(context, tokenizer, text_model):
    torch.nn.init.zeros_(text_model.glm.word_embeddings.weight)
    texts = [TEXT, "Ada wrote it.", "word"]  # the last one may be a single token
    settings = {"context": context, "width": 20, "stride": 5, "mask": tokenizer.gmask_token_id}
    scores = score_texts(text_model, tokenizer, texts, **settings)
    assert perplexities(scores)["perplexity"] == pytest.approx(len(tokenizer), rel=1e-6)
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert [score.tokens for score in scores] == [length - 1 for length in lengths]


@pytest.mark.parametrize("context", CONTEXTS)
def test_last_words_are_guessed_as_the_naive_twin_guesses_them(context, tokenizer, text_model):
    texts = [TEXT, "Ada Lovelace wrote the first program."]
    mask = tokenizer.gmask_token_id
    guesses = score_last_words(text_model, tokenizer, texts, context=context, mask=mask)
    for text, guess in zip(texts, guesses, strict=True):
        before, word = last_word(text, tokenizer)
        shown = before if context == "bidirectional" else before[:1]
        part_a = [tokenizer.cls_token_id, *shown, mask, tokenizer.eos_token_id]
        written = [*before[len(shown) :], *word]
        expected, hits = naive_score(text_model, tokenizer, part_a, len(part_a) - 2, written, len(word))
        log_probability = pytest.approx(sum(expected), rel=1e-4)
        assert guess == {"answer": text.split()[-1], "correct": all(hits), "log_probability": log_probability}


def test_a_word_is_right_only_if_all_its_tokens_are(tokenizer, text_model, monkeypatch):
    scored = [Scored([0.0, 0.0], hits) for hits in ([True, True], [True, False])]
    monkeypatch.setattr("transformers_glm.language_modeling.scoring.score_rows", lambda *args: iter(scored))
    guesses = score_last_words(text_model, tokenizer, ["a b", "a b"], context="bidirectional", mask=5)
    assert [guess["correct"] for guess in guesses] == [True, False]


def test_what_cannot_be_measured_is_refused(tokenizer, text_model):
    settings = {"context": "bidirectional", "mask": tokenizer.gmask_token_id}
    with pytest.raises(ValueError, match="Text 2 has no word before its last one: 'alone'"):
        score_last_words(text_model, tokenizer, ["two words", "alone"], **settings)
    with pytest.raises(ValueError, match="window of 129 tokens .* max_sequence_length 128"):
        score_texts(text_model, tokenizer, [TEXT], width=129, stride=8, **settings)
    with pytest.raises(ValueError, match="0 tokens, 0 characters: .* Give longer texts"):
        perplexities(score_texts(text_model, tokenizer, ["w"], width=16, stride=8, **settings))
    with pytest.raises(ValueError, match="The last word of text 1 has 60 characters.*spaces between their words"):
        score_last_words(text_model, tokenizer, [f"空 {'填空' * 30}"], **settings)


@pytest.fixture
def settings(tokenizer):
    return {"context": "bidirectional", "mask": tokenizer.gmask_token_id, "width": 64, "stride": 8}


@pytest.mark.parametrize(
    "text, words",
    [
        ("A line\nand  a line\tof words\n", 7),
        # PTB: the line break between spaces is a word, that at the end is stripped
        (" no it was n't \n but <unk> \n", 7),
        (" = Kings = \n \n The reign . \n", 8),
    ],
)
def test_words_are_apart_by_white_space_and_line_breaks_of_token_files_are_words(
    text, words, tokenizer, text_model, settings
):
    [score] = score_texts(text_model, tokenizer, [text], **settings)
    assert score.words == words


def test_the_cost_is_shared_out_among_the_characters_except_those_of_the_first_token(tokenizer, text_model, settings):
    scores = score_texts(text_model, tokenizer, [TEXT], **settings)
    first = tokenizer.decode(tokenizer(TEXT, add_special_tokens=False)["input_ids"][:1])
    assert TEXT.startswith(first) and scores[0].characters == len(TEXT) - len(first)
    bits = -scores[0].log_probability / math.log(2) / scores[0].characters
    assert perplexities(scores)["bits_per_character"] == pytest.approx(bits)


def test_texts_without_spaces_have_no_perplexity_per_word(tokenizer, text_model, settings):
    for texts in (["填空填空"], [f"{'填空' * 60} {'填空' * 60}"]):  # none, and one of 120 characters
        values = perplexities(score_texts(text_model, tokenizer, texts, **settings))
        assert set(values) == {"perplexity", "bits_per_character", "tokens", "characters"}


def test_the_widest_window_fits_the_position_tables(tokenizer, text_model):
    settings = {"width": 128, "stride": 1, "mask": tokenizer.gmask_token_id}
    for context in CONTEXTS:
        [score] = score_texts(text_model, tokenizer, [f"{TEXT} {TEXT} {TEXT}"], context=context, **settings)
        assert math.isfinite(score.log_probability)


def test_texts_are_written_from_nothing_greedily_as_generate_writes_them(tokenizer, text_model):
    part_a = torch.tensor([[tokenizer.cls_token_id, tokenizer.gmask_token_id]])
    piece = text_model.generate(part_a, max_new_tokens=6, do_sample=False)
    expected = tokenizer.decode(piece[0], skip_special_tokens=True)
    texts = generate_texts(text_model, tokenizer, 2, tokenizer.gmask_token_id, max_new_tokens=6, do_sample=False)
    assert texts == [expected, expected]


def test_wikitext_is_joined_as_people_write():
    tokens = ' = = Kings = = \n The 1 @,@ 000 @-@ year reign ( of " old kings " ) , it \'s said , ended at 2 @.@ 5 % .'
    assert detokenize(tokens) == ' == Kings ==\nThe 1,000-year reign (of "old kings"), it\'s said, ended at 2.5%.'
