# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tokenization_glm import GLMTokenizer
from transformers_glm.data.sentences import sentence_ends


CHECKPOINTS = Path(__file__).parents[3] / "shared" / "golden" / "open"

ENGLISH = [
    ("It cost 3.5 dollars. Wow! And", ["It cost 3.5 dollars.", " Wow!", " And"]),
    ("Wait... what?! Yes", ["Wait...", " what?!", " Yes"]),
    (
        "At 10:30, e.g. here: see http://a.b/c?de. Mr. Smith",
        ["At 10:30, e.g. here:", " see http://a.b/c?de.", " Mr. Smith"],
    ),
    ('He said "no." (Really!) Then', ['He said "no."', " (Really!)", " Then"]),
    ("J. Smith of the U.S. army; gone", ["J. Smith of the U.S. army;", " gone"]),
    ("A line\nand a stop.\n\nNew", ["A line\n", "and a stop.\n\n", "New"]),
    ("no mark at all", ["no mark at all"]),
    ("end.", ["end."]),
]
CHINESE = [
    ("你好。你是谁？“我很好！”他说……然后；走了", ["你好。", "你是谁？", "“我很好！”", "他说……", "然后；", "走了"]),
    ("你好.我3.5岁", ["你好.", "我3.5岁"]),
    ("他说：「走吧。」😀。好", ["他说：", "「走吧。」", "😀。", "好"]),
]


def sentences_of(text, tokenizer):
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    cuts = [0, *sentence_ends(tokens, tokenizer), len(tokens)]
    return [tokenizer.decode(tokens[a:b]) for a, b in zip(cuts, cuts[1:], strict=False) if a < b]


@pytest.mark.parametrize(("text", "sentences"), ENGLISH + CHINESE)
def test_sentences_of_a_byte_level_vocabulary(tokenizer, text, sentences):
    assert sentences_of(text, tokenizer) == sentences


def test_a_mark_of_several_tokens_ends_the_sentence_after_its_last(tokenizer):
    fresh = GLMTokenizer.train(["abc"], vocab_size=270)
    tokens = fresh("好。好", add_special_tokens=False).input_ids
    assert len(tokens) == 9
    assert sentence_ends(tokens, fresh) == [6]


def test_special_tokens_end_a_text_and_are_no_sentences(tokenizer):
    tokens = [*tokenizer("Yes.").input_ids, *tokenizer("No").input_ids]  # [CLS] Yes . <eos> [CLS] No <eos>
    [end] = sentence_ends(tokens, tokenizer)
    assert tokens[end] == tokenizer.eos_token_id


def test_each_end_comes_once_and_in_order(tokenizer):
    tokens = tokenizer("One. Two? Three!\n\nFour; five.\nSix: seven", add_special_tokens=False).input_ids * 3
    ends = sentence_ends(tokens, tokenizer)
    assert ends == sorted(set(ends))
    assert all(1 <= end <= len(tokens) for end in ends)


@pytest.mark.skipif(not CHECKPOINTS.exists(), reason="the released vocabularies are not beside the repository")
@pytest.mark.parametrize(
    ("family", "text", "sentences"),
    [
        ("bert", "It cost 3.5 dollars. Wow! And", ["it cost 3 . 5 dollars .", "wow !", "and"]),
        ("bert", "At 10:30 (really.) Then e.g. this", ["at 10 : 30 ( really . )", "then e . g . this"]),
        ("gpt2", "It cost 3.5 dollars. Wow!\nAnd", ["It cost 3.5 dollars.", " Wow!\n", "And"]),
        ("gpt2", "你好。你是谁？我", ["你好。", "你是谁？", "我"]),
        ("chinese", "你好。你是谁？我 3.5 岁", ["你好。", "你是谁?", "我 3.5 岁"]),
    ],
)
def test_sentences_of_the_released_vocabularies(family, text, sentences):
    tokenizer = GLMTokenizer.from_pretrained(CHECKPOINTS / family / "ckpt")
    assert sentences_of(text, tokenizer) == sentences
