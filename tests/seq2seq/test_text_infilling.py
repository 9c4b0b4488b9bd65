# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformers_glm.infilling import splice
from transformers_glm.seq2seq.arguments import TaskArguments
from transformers_glm.seq2seq.tasks import InfillingTask
from transformers_glm.seq2seq.text_infilling import Blanked, blank_words, lay_out_blanked


class Drawing:
    """Draws what it is told to."""

    def __init__(self, *drawn):
        self.drawn = list(drawn)

    def sample(self, population, number):
        assert number == len(self.drawn)
        return self.drawn


def test_neighbouring_words_share_a_blank():
    assert blank_words("a b c d e", 0.6, Drawing(4, 1, 2)) == Blanked("a [MASK] d [MASK]", [" b c", " e"])


def test_the_first_word_has_no_space_before_it_and_marks_stay_with_their_word():
    assert blank_words("Ada  wrote it.", 0.7, Drawing(0, 2)) == Blanked("[MASK]  wrote [MASK]", ["Ada", " it."])


def test_chinese_is_blanked_by_character_but_latin_words_are_whole():
    assert blank_words("用GLM填空。", 0.5, Drawing(1, 2), units="characters") == Blanked("用[MASK]空。", ["GLM填"])


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
