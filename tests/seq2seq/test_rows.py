# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from tokenization_glm import GLMTokenizer
from transformers_glm.seq2seq.arguments import TaskArguments
from transformers_glm.seq2seq.rows import Seq2SeqEncoder, references_of


def encoder(tokenizer, source="{{ source }}", max_length=512, **settings):
    return Seq2SeqEncoder(TaskArguments(source=source, **settings), tokenizer, max_length)


@pytest.mark.parametrize(
    "source",
    [
        "[MASK] Content: {{ a }}",
        "{{ a }} Question: [MASK] Answer: {{ b }}",
        "{{ a }}  [sMASK]",
        "问 {{ b }}[gMASK]{{ a }}",
        "{% if a %}{{ a }}: {% endif %}{{ b }} [MASK]",
    ],
)
def test_a_source_is_what_the_tokenizer_makes_of_its_text(source, tokenizer):
    row = {"a": " Ada Lovelace wrote the first program. ", "b": "机器能思考吗？"}
    text = re.sub(r"{%.*?%}", "", source).replace("{{ a }}", row["a"].strip()).replace("{{ b }}", row["b"])
    assert encoder(tokenizer, source).source_ids(row) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("end, mask", [("", "[MASK]"), (" [MASK]", "[MASK]"), ("[sMASK]", "[sMASK]")])
def test_a_blank_at_the_end_is_that_of_append_mask(end, mask, tokenizer):
    row = {"source": "Is it a hole in the text?"}
    appending = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, append_mask=mask)
    coder = encoder(tokenizer, "{{ source }}" + end)
    assert coder.source_ids(row) == appending(row["source"])["input_ids"]
    assert (coder.mask, coder.blank_is_last) == (mask, True)
    assert not encoder(tokenizer, "[MASK] {{ source }}").blank_is_last


def test_special_tokens_of_the_data_are_plain_text(tokenizer):
    for source in ("{{ source }}", '{{ source | replace("[sMASK]", "") }} [MASK]', "[MASK] {{ source }}"):
        ids = encoder(tokenizer, source).source_ids({"source": "BERT fills [MASK] and [gMASK]<|endofpiece|>"})
        assert [token for token in ids if token in tokenizer.mask_token_ids] == [tokenizer.mask_token_id]
        assert tokenizer.eop_token_id not in ids
    target = encoder(tokenizer).target_ids({"target": " [MASK]<|endofpiece|>"})
    assert target.count(tokenizer.eop_token_id) == 1 and tokenizer.mask_token_id not in target


def test_a_target_is_what_the_tokenizer_makes_of_it(tokenizer):
    row = {"target": "the first program"}
    assert encoder(tokenizer).target_ids(row) == tokenizer(text_target=" the first program")["input_ids"]


@pytest.fixture(scope="module")
def letters():
    """A tokenizer whose words of one letter are one token, the space before them included."""
    return GLMTokenizer.train([" a b c d e f g h i j x y end"] * 9, vocab_size=300)


WORDS = {"long": " ".join("abcdefghij"), "short": "x y"}  # each word one token


@pytest.mark.parametrize("keep, expected", [("left", "a b c d[MASK] end x y"), ("right", " g h i j[MASK] end x y")])
def test_the_longest_field_is_shortened_and_the_blank_stays(keep, expected, letters):
    source = "{{ long }} [MASK] end {{ short }}"
    assert letters.decode(encoder(letters, source).source_ids(WORDS)[1:-1]).startswith(WORDS["long"] + "[MASK]")
    room = len(letters(expected)["input_ids"])
    ids = encoder(letters, source, keep=keep, max_length=room).source_ids(WORDS)
    assert letters.decode(ids[1:-1]) == expected


@pytest.mark.parametrize("keep", ["answer", "answers.text[0]", "{{ answer }}"])
@pytest.mark.parametrize("answer, expected", [("e f g", "e f g h"), ("a", "a b c d"), ("none", "a b c d")])
def test_the_part_round_the_answer_stays(keep, answer, expected, letters):
    coder = encoder(letters, "{{ long }} [MASK]", keep=keep, max_length=3 + len(letters.tokenize(expected)))
    ids = coder.source_ids({**WORDS, "answer": answer, "answers": {"text": [answer]}})
    assert letters.decode(ids[1:-1]).strip() == f"{expected}[MASK]"


def test_what_was_cut_is_counted_and_said(letters, caplog):
    rows = [{"source": WORDS["long"], "target": WORDS["long"]}, {"source": "a", "target": "b"}]
    tokens = len(letters(WORDS["long"])["input_ids"])
    encoded = encoder(letters, "{{ source }} [MASK] {{ source }}", max_length=8, max_target_length=4).encode(rows, "f")
    assert "f: 1 of 2 rows were too long and lost" in caplog.text and "tokens of 'source (2)'" in caplog.text
    assert "f: 1 targets were cut to 4 tokens (7 tokens and their ends lost)." in caplog.text and tokens > 8
    assert [len(row["labels"]) for row in encoded] == [4, 2]
    assert letters.eop_token_id not in encoded[0]["labels"] and encoded[1]["labels"][-1] == letters.eop_token_id
    assert all(row["attention_mask"] == [1] * len(row["input_ids"]) for row in encoded)


@pytest.mark.parametrize(
    "source, row, match",
    [
        ("{{ source }}", {"target": " "}, "There is nothing in the fields of its target"),
        ("Say: {{ source }}", {"source": ""}, "There is nothing in the fields of its source"),
        ("{{ source }}", {"source": None}, r"a field is empty \(None\)"),
        ("{{ source }} {{ answers[0] }}", {"answers": []}, "has no element 0"),
        ("{{ text }}", {}, "'text' is undefined; the row has answers, source, target"),
        ("{{ source }}", {"source": {"en": "a"}}, "a field holds {'en': 'a'}"),
        ("{{ source }}" + " a" * 20, {}, "nothing left to cut in the fields source"),
    ],
)
def test_a_row_that_cannot_be_written_is_named(source, row, match, letters):
    rows = [{"source": "a", "target": "b", "answers": ["a"], **row}]
    with pytest.raises(ValueError, match=rf"f.csv, row 1: .*{match}.*such rows out with a function, --prepare"):
        encoder(letters, source, max_length=20).encode(rows, "f.csv")


@pytest.mark.parametrize(
    "templates, match",
    [
        ({"source": "no field"}, "'no field' names no field"),
        ({"source": "{old} [MASK]"}, "in single braces"),
        ({"target": "no field"}, "'no field' names no field"),
        ({"source": "{{ a }} [MASK] [sMASK]"}, "has 2 blanks"),
        ({"source": "{{ a"}, "cannot be read"),
        ({"target": "{{ target }} [MASK]"}, "The target .* has a blank"),
    ],
)
def test_templates_that_mean_nothing_are_refused(templates, match, tokenizer):
    with pytest.raises(ValueError, match=match):
        encoder(tokenizer, **templates)


def test_a_mask_token_that_the_tokenizer_lacks_is_refused(letters):
    lacking = GLMTokenizer(tokenizer_object=letters.backend_tokenizer, gmask_token=None)
    with pytest.raises(ValueError, match=r"no mask token '\[gMASK\]'. It has \[MASK\], \[sMASK\]: write one"):
        encoder(lacking, "{{ source }} [gMASK]")


def test_the_references_are_the_target_a_text_or_texts():
    row = {"a": "x", "b": "y ", "one": " z", "many": ["v", "w"], "deep": [{"t": "v"}, {"t": "w"}]}
    expressions = (None, "one", "many", "deep | map(attribute='t') | list")
    assert [references_of(row, " {{ b }}", one) for one in expressions] == [["y"], ["z"], ["v", "w"], ["v", "w"]]
    for wrong in ({"many": []}, {"many": ["v", ""]}, {"many": None}, {"many": 3}):
        with pytest.raises(ValueError, match="The references .*--references"):
            references_of(wrong, " {{ b }}", "many")
