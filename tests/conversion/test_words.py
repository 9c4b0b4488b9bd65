# SPDX-License-Identifier: Apache-2.0
"""Vocabularies in their old files: what is cut, doubled or of another model is refused by name."""

import json

import old_checkpoints as old
import pytest
from old_checkpoints import change, refuses

import transformers_glm  # noqa: F401  registers GLM
from transformers_glm.conversion.run import convert
from transformers_glm.conversion.sentencepiece import read_sentencepiece


LETTERS = [*"abcd", "ab", "cd", "abcd", "<|endoftext|>"]
MERGES = "#version: 0.2\na b\nc d\nab cd\n"


def write_bpe(folder, vocab=None, merges=MERGES, added=None):
    """A snapshot whose vocabulary has GPT-2's form."""
    old.write_hub(folder, old.old_state())
    for name in ("vocab.txt", "added_tokens.json", "tokenizer_config.json"):
        (folder / name).unlink()
    text = json.dumps({word: index for index, word in enumerate(LETTERS)}) if vocab is None else vocab
    (folder / "vocab.json").write_text(text)
    (folder / "merges.txt").write_text(merges)
    if added is not None:
        (folder / "added_tokens.json").write_text(json.dumps(added))
    return folder


def test_the_vocabulary_that_the_damaged_ones_come_from_is_converted(tmp_path):
    """Row 11: what is refused below is refused for its damage."""
    convert(write_bpe(tmp_path / "hub"), tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"merges": ""}, r"merges\.txt is empty"),
        ({"merges": "#version: 0.2\n"}, r"merges\.txt has 0 merges.* makes 'ab' and 2 more words"),
        ({"merges": "#version: 0.2\na b\nc d\n"}, r"merges\.txt has 2 merges.* makes 'abcd'"),
        ({"merges": "#version: 0.2\na b\nc d\nab c"}, r"merges\.txt: line 4 needs 'abc'"),
        ({"merges": "#version: 0.2\na b\nc d\nab"}, r"merges\.txt: line 4 is 'ab', and a merge is two words"),
        ({"merges": MERGES + "a b\n"}, r"merges\.txt: lines 2 and 5 are both 'a b'"),
        ({"vocab": '{"a": 0, "b": 1, "c": 1}'}, r"vocab\.json: 'b' and 'c' both have the id 1"),
        ({"vocab": '{"a": 0, "b": 1, "a": 2}'}, r"vocab\.json is not JSON \(it holds 'a' twice"),
        ({"vocab": '{"a": 0, "b": 2}'}, r"vocab\.json: 'b' has the id 2, and the ids of 2 words"),
        ({"vocab": '{"a": 0, "b": "1"}'}, r"vocab\.json: 'b' has the id '1'"),
        ({"vocab": '{"a": 0, "b": true}'}, r"vocab\.json: 'b' has the id True"),
        ({"vocab": '["a", "b"]'}, r"vocab\.json holds list"),
        ({"vocab": '{"a": 0'}, r"vocab\.json is not JSON"),
    ],
)
def test_a_damaged_byte_level_vocabulary_is_refused(files, message, tmp_path):
    """Row 11: an empty or cut merges.txt, a doubled id or word in vocab.json."""
    refuses(write_bpe(tmp_path / "hub", **files), message)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a", *old.WORDS], r"vocab\.txt: lines 1 and 7 are both 'a'"),
        (["x", "", *old.WORDS], r"vocab\.txt: line 2 is empty"),
        ([word for word in old.WORDS if word != "[UNK]"], r"vocab\.txt holds no \[UNK\]"),
        ([word for word in old.WORDS if word != "[CLS]"], "has no cls_token"),
        (old.WORDS[:-1], r"added_tokens\.json: '<\|startofpiece\|>' has the id 13, and the one before it .* is 11"),
        ([*old.WORDS, "x"], r"added_tokens\.json: '<\|startofpiece\|>' has the id 13, and so has one of the 14 words"),
        ([], r"vocab\.txt is empty"),
    ],
)
def test_a_damaged_word_list_is_refused(lines, message, tmp_path):
    """Row 11: a doubled word in vocab.txt, and a list that is cut or longer than its added tokens say."""
    folder = old.write_hub(tmp_path / "hub", old.old_state())
    (folder / "vocab.txt").write_text("\n".join(lines))
    if message == "has no cls_token":
        (folder / "added_tokens.json").unlink()
        change(folder / "tokenizer_config.json", cls_token=None)
    refuses(folder, message)


@pytest.mark.parametrize(
    "values", [{"padding_side": "up"}, {"cls_token": ""}, {"chat_template": {"a": 1}}, {"model_max_length": "x"}]
)
def test_settings_of_a_tokenizer_that_cannot_be_are_refused(values, tmp_path):
    """Row 20: a tokenizer_config.json whose values are of another form."""
    folder = old.write_hub(tmp_path / "hub", old.old_state())
    change(folder / "tokenizer_config.json", **values)
    refuses(folder, str(folder))


def test_a_vocabulary_that_does_not_fit_the_weights_of_a_snapshot_is_refused(tmp_path):
    """Row 11: a vocabulary whose size does not fit the weights."""
    folder = old.write_hub(tmp_path / "hub", old.old_state(vocabulary=256), vocab_size=256)
    old.write_vocabulary(folder)
    refuses(folder, "15 tokens, the model 256 embeddings.*Give the vocabulary")


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            {"<|startofpiece|>": 8, "<|endofpiece|>": 10**8},
            "'<|endofpiece|>' has the id 100000000, .* at most 127 ids",
        ),
        ({"<|startofpiece|>": 10**8}, "has the id 100000000, and the one before it .* is 7: at most 0 ids"),
        ({"<|startofpiece|>": 8, "<|endofpiece|>": 8}, "'<|startofpiece|>' and '<|endofpiece|>' both have the id 8"),
        ({"<|startofpiece|>": 8, "ab": 9}, "'ab' has the id 9, and in vocab.json the id 4"),
        ({"<|startofpiece|>": "8"}, "has the id '8', and ids are whole numbers"),
        ({"<|startofpiece|>": -1}, "has the id -1, and ids are whole numbers"),
        ({"<|startofpiece|>": None}, "has the id None, and ids are whole numbers"),
        ([1], "holds list"),
    ],
)
def test_an_added_token_far_behind_the_vocabulary_is_refused_at_once(added, message, tmp_path):
    """Row 19: added_tokens.json with an id of 10**8, and with ids that are none."""
    refuses(write_bpe(tmp_path / "hub", added=added), rf"added_tokens\.json.*{message}".replace("|", r"\|"))


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (b"\xff" * 10**6, "is cut off or not a SentencePiece model"),
        (b"\x0b\x01", "is cut off or not a SentencePiece model"),
        (b"\x0a\x02\x08\x01", "is cut off or not a SentencePiece model"),
        (b"\x0a\x03\x0a\x01a" * 2, "pieces 0 and 1 are both 'a'"),
        (b"\x0a\x02\x0a\x00", "piece 0 has 0 characters"),
        (b"\x0a\x83\x02\x0a\x80\x02" + b"a" * 256, "piece 0 has 256 characters"),
        (b"\x0a\x03\x0a\x01a", "has no piece for unknown text"),
        (b"\x0a\x05\x0a\x01a\x18\x02\x1a\x04\x12\x02xy", "the table of its normalizer cannot be read"),
    ],
)
def test_a_damaged_sentencepiece_model_is_refused(rest, message, tmp_path):
    """Row 11: a doubled piece in cog-pretrain.model, numbers without end, a table that is none."""
    (tmp_path / "cog-pretrain.model").write_bytes(rest + b"\x12\x02\x18\x02")
    with pytest.raises(ValueError, match=rf"cog-pretrain\.model:? .*{message}|cog-pretrain\.model {message}"):
        read_sentencepiece(str(tmp_path / "cog-pretrain.model"))
