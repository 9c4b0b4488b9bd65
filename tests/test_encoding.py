# SPDX-License-Identifier: Apache-2.0
"""One tokenizer for all: calls leave no trace on it, and encode what the stock class encodes."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from datasets.fingerprint import Hasher
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import transformers_glm  # noqa: F401  (registers the tokenizer)
from configuration_glm import GLMConfig
from tokenization_glm import GLMTokenizer
from transformers_glm import ClozeTask
from transformers_glm.cloze.rows import ClozeEncoder
from transformers_glm.infilling import read_prompt


pytestmark = pytest.mark.core

TEXTS = st.lists(st.sampled_from(["a", "b", " ", "é", "日", "[MASK]", "[CLS]"]), max_size=12).map("".join)
SETTINGS = {
    "truncation": st.sampled_from([False, True]),
    "max_length": st.integers(5, 12),
    "stride": st.sampled_from([0, 0, 1]),
    "padding": st.sampled_from([False, True, "max_length"]),
    "padding_side": st.sampled_from([None, "left"]),
    "pad_to_multiple_of": st.sampled_from([None, 4]),
    "add_special_tokens": st.booleans(),
    "split_special_tokens": st.booleans(),
}


@pytest.fixture(scope="module")
def letters():
    return GLMTokenizer.train(["a b c"], vocab_size=266)


@pytest.fixture(scope="module")
def stock(letters):
    """The class of Transformers with the same backend, which it changes in each call."""
    backend = copy.deepcopy(letters.backend_tokenizer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=letters.pad_token, truncation_side="left")


def everything(encoded):
    names = ("ids", "offsets", "sequence_ids", "word_ids", "attention_mask", "special_tokens_mask", "tokens")
    return [[getattr(encoding, name) for name in names] for encoding in encoded.encodings]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3), st.booleans(), st.fixed_dictionaries(SETTINGS))
def test_it_encodes_as_the_stock_class_does(letters, stock, texts, as_pairs, kwargs):
    if kwargs["truncation"]:
        kwargs["pad_to_multiple_of"] = None  # Transformers wants max_length to be a multiple of it
    firsts, seconds = map(list, zip(*texts, strict=True))
    inputs = (firsts, seconds if as_pairs else None)
    expected = stock(*inputs, **kwargs, verbose=False)
    try:
        ours = letters(*inputs, **kwargs, verbose=False)
    except ValueError as error:
        assert "would cut off" in str(error)  # a blank
        ours = letters(*inputs, **kwargs, verbose=False, return_overflowing_tokens=True)
        expected = stock(*inputs, **kwargs, verbose=False, return_overflowing_tokens=True)
    assert everything(ours) == everything(expected) and dict(ours) == dict(expected)


def test_threads_share_a_tokenizer(letters):
    """Row 2: sources, targets, lengths, sides of padding and split special tokens at the same time."""
    appending = copy.deepcopy(letters)
    appending.append_mask = "[gMASK]"
    calls = [
        lambda: letters("ab [CLS] ba"),
        lambda: letters(text_target="ab"),
        lambda: letters("ab [CLS] ba", split_special_tokens=True),
        lambda: letters("abababab", truncation=True, max_length=5),
        lambda: letters(["a", "aba"], padding=True, padding_side="left"),
        lambda: letters("abababab", truncation=True, max_length=7, padding="max_length"),
        lambda: appending("ab"),
        lambda: appending("a[MASK]b"),
    ]
    right = [dict(call()) for call in calls]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: dict(calls[number % 8]()) == right[number % 8], range(4000)))
    assert all(found)


def test_calls_leave_the_fingerprint_as_it_is(letters, caplog):
    """Row 26: `datasets` finds its cache again, after every kind of call."""
    tokenizer = pickle.loads(pickle.dumps(letters))
    tokenizer.model_max_length = 6
    before = Hasher.hash(tokenizer)
    tokenizer("abababababab"), tokenizer(text_target="a"), tokenizer("a", truncation=True, padding="max_length")
    tokenizer("a", split_special_tokens=True)
    assert Hasher.hash(tokenizer) == before
    assert len([one for one in caplog.records if "longer than the specified maximum" in one.getMessage()]) == 1
    assert pickle.loads(pickle.dumps(tokenizer)).cache == {}


def test_a_role_takes_effect_at_once(letters, tmp_path):
    """Row 8: a new token for a role, a token that is there, an id."""
    tokenizer = copy.deepcopy(letters)
    assert tokenizer.add_special_tokens({"eos_token": "<END>"}) == 1
    assert tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<END>")
    tokenizer.cls_token = "[SEP]"
    assert tokenizer("a")["input_ids"][0] == tokenizer.sep_token_id
    tokenizer.eop_token_id = tokenizer.sop_token_id
    assert tokenizer(text_target="a")["input_ids"][-1] == tokenizer.sop_token_id
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("a")["input_ids"] == tokenizer("a")["input_ids"]
    tokenizer.add_special_tokens({"mask_token": "<blank>"})
    assert len(tokenizer("a <blank>")["input_ids"]) == 4  # it takes the space to its left
    with pytest.raises(ValueError, match="does not hold <never>"):
        tokenizer.cls_token = "<never>"


def test_tokens_that_are_added_count_in_targets_too(letters):
    tokenizer = copy.deepcopy(letters)
    tokenizer(text_target="ab"), tokenizer("ab", split_special_tokens=True)
    tokenizer.add_tokens(["ab"])
    assert tokenizer.convert_ids_to_tokens(tokenizer(text_target="ab")["input_ids"]) == ["ab", "<|endofpiece|>"]


def test_no_texts_give_no_rows(letters):
    """Row 18."""
    assert dict(letters([])) == {"input_ids": [], "attention_mask": []}


@pytest.mark.parametrize("texts, pairs", [([], ["a"]), (["a"], [])])
def test_pairs_of_another_number_are_refused(letters, texts, pairs):
    with pytest.raises(ValueError, match="does not match batch length"):
        letters(texts, pairs)


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_a_damaged_configuration_beside_a_tokenizer_is_named(letters, tmp_path, content):
    letters.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is not a JSON object"):
        GLMTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "texts, message",
    [
        ("a\ud800", "'a.ud800' has half of a surrogate pair at 1"),
        (["a", None], "None is NoneType, not a text"),
        ([b"a"], "must be of type `str`"),
    ],
)
def test_what_is_no_text_is_named(letters, texts, message):
    """Row 18."""
    with pytest.raises(ValueError, match=message):
        letters(texts)


def test_truncation_goes_by_the_model_in_the_folder(letters, tmp_path):
    """Row 26: `truncation=True` cuts to what the model can read."""
    letters.save_pretrained(tmp_path)
    config = GLMConfig.for_tokenizer(letters, max_sequence_length=12)
    config.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == config.max_sequence_length
    assert (
        len(loaded("ab" * 2 * config.max_sequence_length, truncation=True)["input_ids"]) == config.max_sequence_length
    )


@pytest.fixture
def appending(letters):
    tokenizer = copy.deepcopy(letters)
    tokenizer.append_mask = "[gMASK]"
    return tokenizer


def test_the_appended_blank_outside_of_transformers(appending, tmp_path):
    """Row 26: tokenizer.json alone puts the blank behind every text; that a text has one already is beyond it."""
    appending.save_pretrained(tmp_path)
    alone = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert alone.encode("ab").ids == appending("ab")["input_ids"]


def test_the_appended_blank_where_special_tokens_are_text(appending):
    """Row 26: a [MASK] that is read as text is no blank."""
    ids = appending("[MASK]", split_special_tokens=True)["input_ids"]
    assert ids[-2:] == [appending.gmask_token_id, appending.eos_token_id] and appending.mask_token_id not in ids


def test_the_appended_blank_in_a_chat(appending):
    """Row 26: a chat template writes its own special tokens, and the blank still stands at the end."""
    appending.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    chat = [{"role": "user", "content": "ab"}]
    assert appending.apply_chat_template(chat, return_dict=False) == [*appending("ab")["input_ids"][1:-1]]
    chat[0]["content"] = "a[MASK]"
    assert appending.apply_chat_template(chat, return_dict=False) == appending("a[MASK]")["input_ids"][1:-1]
    with pytest.raises(ValueError, match="would cut off 1 of the mask tokens"):
        chat[0]["content"] = "[MASK]" + "ab" * 9
        appending.apply_chat_template(chat, truncation=True, max_length=6)
    assert appending("ab", add_special_tokens=False)["input_ids"] == appending("ab")["input_ids"][1:-2]


def test_a_length_without_room_is_refused(letters):
    with pytest.raises(ValueError, match="max_length=1 has room for 0"):
        letters("ab", truncation=True, max_length=1)
    with pytest.raises(ValueError, match="stride=3"):
        letters("abcdef", truncation=True, max_length=5, stride=3)
    with pytest.raises(ValueError, match="truncation='only_second' may cut 1"):
        letters("abcdef", "a", truncation="only_second", max_length=5)


def test_code_that_checks_lengths_itself_is_not_warned_of_them(letters, caplog):
    """`tokenizer(text)` warns of what the model cannot read; filling refuses it by name, and tasks shorten it."""
    tokenizer = copy.deepcopy(letters)
    tokenizer.model_max_length = 8
    with pytest.raises(ValueError, match="position table"):
        read_prompt("[MASK]" + "ab" * 9, tokenizer, 9)
    task = ClozeTask("{{ text }} [MASK]", {"a": "a", "b": "b"})
    assert len(ClozeEncoder(task, tokenizer, 8)({"text": "ab" * 9})["input_ids"]) < 9
    assert "longer than the specified maximum" not in caplog.text
    tokenizer("ab" * 9)
    assert "longer than the specified maximum" in caplog.text
