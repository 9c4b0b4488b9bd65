# SPDX-License-Identifier: Apache-2.0
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformers_glm.infilling import splice
from transformers_glm.seq2seq.arguments import TaskArguments
from transformers_glm.seq2seq.tasks import InfillingTask
from transformers_glm.seq2seq.text_infilling import Blanked, blank_words, lay_out_blanked


@pytest.mark.parametrize(
    "text, ratio, drawn, blanked",
    [
        ("a b c d e", 0.6, [4, 1, 2], Blanked("a [MASK] d [MASK]", [" b c", " e"])),  # neighbours share a blank
        ("Ada  wrote it.", 0.7, [0, 2], Blanked("[MASK]  wrote [MASK]", ["Ada", " it."])),  # marks stay with words
        ("用GLM填空。", 0.5, [1, 2], Blanked("用[MASK]空。", ["GLM填"])),  # a Latin word is one of the units
    ],
)
def test_what_is_drawn_is_blanked(text, ratio, drawn, blanked):
    rng = SimpleNamespace(sample=lambda words, number: drawn[:number])
    assert blank_words(text, ratio, rng, "english" if text.isascii() else "characters") == blanked


def test_the_share_of_words_is_rounded_down_but_one_is_blanked():
    text = " ".join("abcdefghij")
    for ratio, words in ((0.1, 1), (0.19, 1), (0.2, 2), (0.5, 5), (0.01, 1), (1.0, 10)):
        blanked = blank_words(text, ratio, random.Random(0))
        assert sum(len(answer.split()) for answer in blanked.answers) == words


@given(st.lists(st.text("ab机.", min_size=1), min_size=1, max_size=12), st.floats(0.01, 1), st.randoms())
def test_the_answers_in_their_blanks_give_the_text(tokenizer, words, ratio, rng):
    text = " ".join(words)
    blanked = blank_words(text, ratio, rng)
    assert splice(blanked.text, blanked.answers, tokenizer) == text


def test_pieces_stand_in_the_order_of_the_text_on_their_blanks(tokenizer):
    a, d, bc, e = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", " d", " b c", " e"))
    cls, eos, mask = tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id
    sop, eop = tokenizer.sop_token_id, tokenizer.eop_token_id
    part_a = [cls, *a, mask, *d, mask, eos]
    row = lay_out_blanked(Blanked("a [MASK] d [MASK]", [" b c", " e"]), tokenizer)
    assert row["input_ids"] == [*part_a, sop, *bc, sop, *e]
    assert row["labels"] == [-100] * len(part_a) + [*bc, eop, *e, eop]
    first, second = len(bc) + 1, len(e) + 1
    places = [place for place, token in enumerate(part_a) if token == mask]
    assert row["position_ids"] == [*range(len(part_a)), *[places[0]] * first, *[places[1]] * second]
    assert row["block_position_ids"] == [0] * len(part_a) + [*range(1, first + 1), *range(1, second + 1)]


def test_long_texts_are_cut_before_they_are_blanked_and_it_is_said(tokenizer, caplog):
    text = "Ada Lovelace wrote the first program."
    task = InfillingTask(TaskArguments(source="{{ text }}", blank_ratios=[0.5]), tokenizer, max_length=6)
    task.evaluation_set([{"text": text, "idx": 3}], "file")
    [short] = task.texts
    assert text.startswith(short) and len(tokenizer(short)["input_ids"]) <= 6
    lost = len(tokenizer(text)["input_ids"]) - 6
    assert f"file: 1 of 1 rows were too long and lost {lost} tokens of 'text'." in caplog.text


def test_texts_that_cannot_be_blanked_are_named(tokenizer):
    task = InfillingTask(TaskArguments(source="{{ text }}"), tokenizer, max_length=40)
    for text, match in (
        (" ", "There is nothing in the fields"),
        ("a [MASK]", r"has \[MASK\] in it, .* token of the model"),
    ):
        with pytest.raises(ValueError, match=f"file, row 2: .*{match}"):
            task.training_set([{"text": "a"}, {"text": text}], "file")
