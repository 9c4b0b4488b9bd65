# SPDX-License-Identifier: Apache-2.0
import copy
import functools
import json
import logging

import pytest
from families import CLASSES, CORPUS, FAMILIES, truncating
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import AutoTokenizer

import transformers_glm  # noqa: F401  (registers the tokenizers)
from tokenization_glm import GLMTokenizer


pytestmark = pytest.mark.core


def words(tokenizer, encoded):
    """Tokens of each row, as text."""
    rows = encoded["input_ids"]
    rows = rows if isinstance(rows[0], list) else [rows]
    return [" ".join(tokenizer.convert_ids_to_tokens(row)) for row in rows]


@pytest.fixture
def fresh(tokenizer):
    """A tokenizer of its own for a test that changes it."""
    return copy.deepcopy(tokenizer)


@pytest.fixture(scope="module")
def letters():
    """Letters are tokens, so that rows can be read: no merge ever happens often enough."""
    return GLMTokenizer.train(["a b c"], vocab_size=266)


# a SentencePiece model file, written by hand: field number and wire type, then the value


def varint(value):
    out = []
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def sentencepiece_model(pieces, model_type=2):
    """`pieces` as pairs of text and kind: 1 normal, 2 unknown, 3 control, 4 defined by the user."""
    rows = [field(1, field(1, piece.encode()) + b"\x15\x00\x00\x80\x3f" + field(3, kind)) for piece, kind in pieces]
    return b"".join([*rows, field(2, field(3, model_type)), field(3, field(1, b"identity"))])


CHINESE_PIECES = [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<n>", 4), ("ab", 1), ("▁ab", 1), ("机器", 1)] + [
    (letter, 1) for letter in "▁abc机器思考[]MASK"
]


@functools.cache
def old_files(family):
    """Vocabulary files in their old form, by name, and the number of their ids."""
    if family == "chinese":
        return {"cog-pretrain.model": sentencepiece_model(CHINESE_PIECES)}, len(CHINESE_PIECES)
    if family == "bert":
        trained = BertWordPieceTokenizer()
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trained.train_from_iterator(CORPUS * 20, vocab_size=300, special_tokens=specials, show_progress=False)
        vocab = trained.get_vocab()
        return {"vocab.txt": "".join(f"{word}\n" for word in sorted(vocab, key=vocab.get)).encode()}, len(vocab)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(CORPUS * 20, vocab_size=400, show_progress=False)
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    first = ["<s>", "<pad>", "</s>", "<unk>"] if family == "roberta" else []
    last = ["<|endoftext|>", "<mask>"] if family == "roberta" else ["<|endoftext|>"]
    vocab = {piece: index for index, piece in enumerate([*first, *pieces, *last])}
    merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
    return {"vocab.json": json.dumps(vocab).encode(), "merges.txt": f"#version: 0.2\n{merges}".encode()}, len(vocab)


def write_old_files(folder, family):
    files, size = old_files(family)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return size


def size_of(family):
    return old_files(family)[1]


ADDED = {  # places behind the vocabulary, as the Hub's folders have them
    "gpt2": ["<|startofpiece|>", "<|endofpiece|>", "[CLS]", "[MASK]", "[SEP]", "[UNUSED]", "[gMASK]", "[sMASK]"],
    "roberta": ["<|startofpiece|>", "<|endofpiece|>", "[MASK]"],
    "bert": ["<|startofpiece|>", "<|endofpiece|>"],
    "chinese": ["<|endoftext|>", "[SEP]", "[CLS]", "[MASK]", "[UNUSED1]", None, "<|startofpiece|>", "<|endofpiece|>"]
    + ["[sMASK]", "[gMASK]"],
}
NAMES = {
    "gpt2": {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "cls_token": "[CLS]", "unk_token": "[UNK]"},
    "roberta": {"eos_token": "</s>", "pad_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>"},
    "bert": {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"},
    "chinese": {
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "cls_token": "[CLS]",
        "unk_token": "[UNK]",
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each family as the Hub has it: old files, remote code, a config.json of the native model type."""
    folders = {}
    for family in FAMILIES:
        folder = folders[family] = tmp_path_factory.mktemp(family)
        size = write_old_files(folder, family)
        added = {token: size + place for place, token in enumerate(ADDED[family]) if token is not None}
        (folder / "added_tokens.json").write_text(json.dumps(added))
        name = CLASSES[family].__name__
        config = {**NAMES[family], "mask_token": "[MASK]", "tokenizer_class": name, "use_fast": False}
        config["additional_special_tokens"] = [token for token in added if token not in config.values()]
        config["auto_map"] = {"AutoTokenizer": [f"tokenization_glm.{name}", None]}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "config.json").write_text(
            json.dumps({"model_type": "glm", "num_layers": 2, "max_sequence_length": 64})
        )
        (folder / "tokenization_glm.py").write_text("raise RuntimeError('remote code was executed')\n")
    return folders


@pytest.fixture(scope="module")
def appending():
    return GLMTokenizer.train(["a b c"], vocab_size=266, append_mask="[gMASK]")


BARE = {"add_special_tokens": False}
WORDS = {"is_split_into_words": True}
ROWS = {  # the call, and the tokens of its rows
    "a text stands between cls and eos": (["ab"], {}, ["[CLS] a b <|endoftext|>"]),
    "a pair has a separator between": (["a", "b"], {}, ["[CLS] a [SEP] b <|endoftext|>"]),
    "special tokens can be left out": (["ab"], BARE, ["a b"]),
    "a target ends with eop and has no cls": ([], {"text_target": "ab"}, ["a b <|endofpiece|>"]),
    "so does each of two": ([], {"text_target": ["a", "b"]}, ["a <|endofpiece|>", "b <|endofpiece|>"]),
    "a mask token takes the space to its left": (["a [MASK] b"], BARE, ["a [MASK] Ġ b"]),
    "any white space, and none to its right": (["a \n [gMASK]\nb"], BARE, ["a [gMASK] Ċ b"]),
    "two mask tokens": (["a [sMASK][MASK]"], BARE, ["a [sMASK] [MASK]"]),
    "other special tokens take none": (["a <|endofpiece|> b"], BARE, ["a Ġ <|endofpiece|> Ġ b"]),
}
APPENDED = {  # the same with append_mask
    "a plain text gets a blank at its end": (["ab"], {}, ["[CLS] a b [gMASK] <|endoftext|>"]),
    "a text with a blank stays as it is": (["a[sMASK]"], {}, ["[CLS] a [sMASK] <|endoftext|>"]),
    "words": ([[["a", "b"], ["[MASK]"]]], WORDS, ["[CLS] a b [gMASK] <|endoftext|>", "[CLS] [MASK] <|endoftext|>"]),
    "a pair": ([["a"], ["b"]], {}, ["[CLS] a [SEP] b [gMASK] <|endoftext|>"]),
    "a target gets none": ([], {"text_target": "a"}, ["a <|endofpiece|>"]),
    "a bare text gets none": (["a"], BARE, ["a"]),
}


@pytest.mark.parametrize("case", ROWS)
def test_tokens_of_a_row(case, letters):
    texts, how, rows = ROWS[case]
    assert words(letters, letters(*texts, **how)) == rows


@pytest.mark.parametrize("case", APPENDED)
def test_tokens_of_a_row_with_an_appended_blank(case, appending):
    texts, how, rows = APPENDED[case]
    assert words(appending, appending(*texts, **how)) == rows


class TestTemplates:
    def test_the_second_of_a_pair_has_its_token_type(self, letters):
        assert letters("a", "b", return_token_type_ids=True)["token_type_ids"] == [0, 0, 0, 1, 1]

    def test_text_and_target_go_in_one_call(self, letters):
        encoded = letters("a [MASK]", text_target="b")
        assert words(letters, encoded) == ["[CLS] a [MASK] <|endoftext|>"]
        assert letters.convert_ids_to_tokens(encoded["labels"]) == ["b", "<|endofpiece|>"]

    def test_after_a_target_texts_are_sources_again(self, fresh):
        fresh(text_target="a")
        assert fresh.encode("a")[0] == fresh.cls_token_id
        with pytest.raises(ValueError, match="text input must be"):
            fresh(text_target=3)
        assert fresh.encode("a")[0] == fresh.cls_token_id

    def test_no_other_beginning_or_end_can_be_switched_on(self, fresh):
        before = fresh("a")["input_ids"]
        fresh.add_bos_token = fresh.add_eos_token = True
        assert fresh("a")["input_ids"] == before

    def test_only_ids_and_attention_mask_are_returned(self, letters):
        encoded = letters(["a", "ab"], padding=True)
        assert set(encoded) == {"input_ids", "attention_mask"}
        assert encoded["attention_mask"] == [[1, 1, 1, 0], [1, 1, 1, 1]]


class TestSpecialTokens:
    def test_each_role_has_a_token_and_an_id(self, letters):
        roles = ("pad", "eos", "cls", "sep", "unk", "mask", "smask", "gmask", "sop", "eop")
        assert [getattr(letters, f"{role}_token") for role in roles] == [
            "[PAD]", "<|endoftext|>", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "[sMASK]", "[gMASK]", "<|startofpiece|>",
            "<|endofpiece|>",
        ]  # fmt: skip
        assert [getattr(letters, f"{role}_token_id") for role in roles] == list(range(10))
        assert letters.mask_token_ids == [5, 6, 7]

    def test_decoding_leaves_special_tokens_out_on_demand_and_spaces_alone(self, tokenizer):
        ids = tokenizer("Ada [MASK] wrote , it n't .")["input_ids"]
        assert tokenizer.decode(ids) == "[CLS]Ada[MASK] wrote , it n't .<|endoftext|>"
        assert tokenizer.decode(ids, skip_special_tokens=True) == "Ada wrote , it n't ."

    def test_a_token_of_ones_own_becomes_a_blank(self):
        tokenizer = GLMTokenizer.train(["a b"], vocab_size=266, mask_token="<blank>")
        assert words(tokenizer, tokenizer("a <blank> b", add_special_tokens=False)) == ["a <blank> Ġ b"]
        assert tokenizer.mask_token_ids == [266, 6, 7]

    def test_a_named_token_keeps_its_properties(self):
        eos = AddedToken("<end>", rstrip=True, special=True, normalized=False)
        tokenizer = GLMTokenizer.train(["a b"], vocab_size=266, eos_token=eos)
        assert words(tokenizer, tokenizer("a<end>  b")) == ["[CLS] a <end> b <end>"]


@given(text=st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_unicode_text_comes_back(tokenizer, text):
    assume(not any(token in text for token in tokenizer.all_special_tokens))
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


class TestTruncation:
    # rows are `[CLS] ... <eos>` of at most 5 tokens: three letters stay
    @pytest.mark.parametrize(
        "side, text, kept",
        [
            ("left", "abcde", "[CLS] c d e <|endoftext|>"),
            ("right", "abcde", "[CLS] a b c <|endoftext|>"),
            ("left", "abcd[MASK]", "[CLS] c d [MASK] <|endoftext|>"),
            ("right", "[sMASK]bcde", "[CLS] [sMASK] b c <|endoftext|>"),
            ("left", "ab[gMASK]de", "[CLS] [gMASK] d e <|endoftext|>"),
        ],
    )
    def test_what_fits_is_kept(self, letters, side, text, kept):
        with truncating(letters, side):
            assert words(letters, letters(text, truncation=True, max_length=5)) == [kept]

    @pytest.mark.parametrize("length", [2, 3, 5])
    @pytest.mark.parametrize("blank", ["[MASK]", "[sMASK]", "[gMASK]"])
    @pytest.mark.parametrize("side, text", [("left", "{}bcde"), ("right", "abcd{}"), ("left", "{}bcd{}")])
    def test_a_blank_that_would_be_cut_off_is_an_error(self, letters, side, text, blank, length):
        message = rf"max_length={length} would cut off .* of text 0"
        with truncating(letters, side), pytest.raises(ValueError, match=message):
            letters(text.replace("{}", blank), truncation=True, max_length=length)

    def test_the_error_names_the_row_and_the_ways_out(self, letters):
        with pytest.raises(ValueError, match="of text 2.*raise max_length.*return_overflowing_tokens=True"):
            letters(["a", "b[MASK]", "[MASK]bcdef"], truncation=True, max_length=5, padding=True)

    def test_pairs_keep_the_rule(self, letters):
        with pytest.raises(ValueError, match="of text 0"):
            letters("[MASK]abc", "d", truncation=True, max_length=5)
        encoded = letters("abc", "[MASK]", truncation="only_first", max_length=5)
        assert words(letters, encoded) == ["[CLS] c [SEP] [MASK] <|endoftext|>"]

    def test_overflowing_parts_lose_nothing(self, letters):
        encoded = letters("[MASK]bcd", truncation=True, max_length=4, return_overflowing_tokens=True, stride=1)
        assert words(letters, encoded) == [
            "[CLS] c d <|endoftext|>",
            "[CLS] b c <|endoftext|>",
            "[CLS] [MASK] b <|endoftext|>",
        ]

    def test_a_blank_in_the_overlap_is_not_lost(self, letters):
        with truncating(letters, "right"):
            encoded = letters("a[MASK]cd", truncation=True, max_length=4, stride=1)
        assert words(letters, encoded) == ["[CLS] a [MASK] <|endoftext|>"]

    def test_targets_have_no_blanks_to_lose(self, letters):
        encoded = letters(text_target="[MASK]bcd", truncation=True, max_length=3)
        assert words(letters, encoded) == ["c d <|endofpiece|>"]


class TestAppendMask:
    def test_it_counts_among_the_tokens_that_are_added(self, appending):
        assert appending.num_special_tokens_to_add() == len(appending("ab")["input_ids"]) - 2 == 3
        assert appending.num_special_tokens_to_add(pair=True) == len(appending("a", "b")["input_ids"]) - 2

    @pytest.mark.parametrize("side, letters", [("left", "e f"), ("right", "a b")])
    def test_truncation_keeps_it_in_batches_of_both_kinds(self, appending, side, letters):
        with truncating(appending, side):
            encoded = appending(["abcdef", "a[MASK]", "b"], truncation=True, max_length=5, padding=True)
        assert words(appending, encoded) == [
            f"[CLS] {letters} [gMASK] <|endoftext|>",
            "[CLS] a [MASK] <|endoftext|> [PAD]",
            "[CLS] b [gMASK] <|endoftext|> [PAD]",
        ]

    def test_a_blank_of_the_text_itself_is_still_not_cut_off(self, appending):
        with pytest.raises(ValueError, match="of text 1"):
            appending(["abcdef", "[MASK]bcdef"], truncation=True, max_length=5)

    def test_pairs_of_both_kinds_in_one_batch_get_theirs(self, appending):
        of_both_kinds = ["[CLS] [MASK] [SEP] b <|endoftext|>", "[CLS] a [SEP] b [gMASK] <|endoftext|>"]
        assert words(appending, appending(["[MASK]", "a"], ["b", "b"])) == of_both_kinds

    def test_it_is_saved_with_the_tokenizer(self, appending, tmp_path):
        appending.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert (loaded.append_mask, words(loaded, loaded("a"))) == ("[gMASK]", ["[CLS] a [gMASK] <|endoftext|>"])


class TestTrainingAndSaving:
    def test_a_saved_tokenizer_is_loaded_through_auto_tokenizer(self, tokenizer, tmp_path):
        tokenizer.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert type(loaded) is GLMTokenizer
        assert loaded.get_vocab() == tokenizer.get_vocab()
        assert loaded.special_tokens_map == tokenizer.special_tokens_map
        assert loaded("Ada [MASK] it", text_target="x") == tokenizer("Ada [MASK] it", text_target="x")

    def test_training_anew_keeps_class_and_special_tokens(self, tokenizer):
        trained = tokenizer.train_new_from_iterator([["other texts, other pieces"] * 20], vocab_size=300)
        assert type(trained) is GLMTokenizer
        assert trained.special_tokens_map == tokenizer.special_tokens_map
        assert words(trained, trained("other [MASK] other")) == ["[CLS] other [MASK] Ġother <|endoftext|>"]

    def test_training_anew_renames_all_roles(self, tokenizer):
        names = {"[MASK]": "<blank>", "<|startofpiece|>": "<sop>"}
        trained = tokenizer.train_new_from_iterator([["a"]], vocab_size=266, special_tokens_map=names)
        assert (trained.mask_token, trained.sop_token) == ("<blank>", "<sop>")
        assert "<|startofpiece|>" not in trained.get_vocab()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_old_vocabularies_can_be_trained_anew(self, folders, family):
        old = GLMTokenizer.from_pretrained(folders[family])
        trained = old.train_new_from_iterator([CORPUS * 5], vocab_size=300)
        assert trained.all_special_tokens == old.all_special_tokens
        row = words(trained, trained("Ada [MASK]"))[0].split()
        assert (row[0], row[-2], row[-1]) == (old.cls_token, "[MASK]", old.eos_token)

    @pytest.mark.parametrize(
        "texts, size, message",
        [
            (["a"], 265, "vocab_size=265 has no room.*Choose 266"),
            ([], 8192, "There is no text to train a tokenizer on"),
        ],
    )
    def test_a_vocabulary_without_room_or_without_texts_is_refused(self, texts, size, message):
        with pytest.raises(ValueError, match=message):
            GLMTokenizer.train(iter(texts), vocab_size=size)


class TestOldFolders:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_auto_tokenizer_reads_them_and_runs_no_remote_code(self, folders, family):
        tokenizer = AutoTokenizer.from_pretrained(folders[family])
        assert type(tokenizer) is CLASSES[family]
        general = GLMTokenizer.from_pretrained(folders[family])
        assert general("ab [MASK] Ada")["input_ids"] == tokenizer("ab [MASK] Ada")["input_ids"]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_ids_are_those_of_the_folder(self, folders, family):
        tokenizer = GLMTokenizer.from_pretrained(folders[family])
        expected = {token: size_of(family) + place for place, token in enumerate(ADDED[family]) if token is not None}
        assert {token: tokenizer.convert_tokens_to_ids(token) for token in expected} == expected
        assert len(tokenizer) == size_of(family) + len(ADDED[family])

    @pytest.mark.parametrize("family", FAMILIES)
    def test_without_added_tokens_json_the_ids_are_the_originals(self, family, tmp_path):
        size = write_old_files(tmp_path, family)
        tokenizer = CLASSES[family].from_pretrained(tmp_path)
        roles = ("sop", "eop", "gmask", "smask", "mask", "cls", "eos", "pad", "unk")
        behind = [getattr(tokenizer, f"{role}_token_id") for role in roles]
        assert (
            behind
            == {
                "gpt2": [size, size + 1, size + 6, size + 7, size + 3, size + 2, size - 1, size - 1, size + 5],
                "roberta": [size, size + 1, None, None, size - 1, 0, 2, 2, 3],
                "bert": [size, size + 1, None, None, 4, 2, 3, 0, 1],
                "chinese": [size + 6, size + 7, size + 9, size + 8, size + 3, size + 2, size, size, size + 4],
            }[family]
        )

    @pytest.mark.parametrize("family", FAMILIES)
    def test_saved_they_are_read_from_tokenizer_json(self, folders, family, tmp_path):
        tokenizer = AutoTokenizer.from_pretrained(folders[family])
        tokenizer.save_pretrained(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
        assert "auto_map" not in json.loads((tmp_path / "tokenizer_config.json").read_text())
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert loaded.get_vocab() == tokenizer.get_vocab()
        assert loaded.special_tokens_map == tokenizer.special_tokens_map
        text = "Ada [MASK] wrote <unk> it, 机器? [UNUSED]"
        assert loaded(text, text_target=text) == tokenizer(text, text_target=text)

    @pytest.mark.parametrize(
        "family, pair, masks",
        [
            ("gpt2", "[CLS] [MASK] [SEP] [MASK] <|endoftext|>", 3),
            ("roberta", "<s> [MASK] </s> </s> [MASK] </s>", 1),
            ("bert", "[CLS] [MASK] [SEP] [MASK] [SEP]", 1),
            ("chinese", "[CLS] [MASK] [SEP] [MASK] <|endoftext|>", 3),
        ],
    )
    def test_pairs_and_mask_tokens_are_those_of_the_vocabulary(self, folders, family, pair, masks):
        tokenizer = GLMTokenizer.from_pretrained(folders[family])
        assert words(tokenizer, tokenizer("[MASK]", "[MASK]")) == [pair]
        ids = [tokenizer.mask_token_id, tokenizer.smask_token_id, tokenizer.gmask_token_id]
        assert ids[masks:] == [None] * (3 - masks) and tokenizer.mask_token_ids == ids[:masks]

    def test_a_gap_is_filled_with_a_token_that_no_text_makes(self, folders):
        tokenizer = GLMTokenizer.from_pretrained(folders["chinese"])
        gap = size_of("chinese") + 5
        assert tokenizer.convert_ids_to_tokens(gap) == f"<|unused_{gap}|>"
        assert gap not in tokenizer(f"<|unused_{gap}|>")["input_ids"]
        assert tokenizer.add_tokens(["new"]) == 1
        assert tokenizer.convert_tokens_to_ids("new") == size_of("chinese") + 10

    def test_roberta_warns_of_the_untrained_mask_and_takes_the_trained_one(self, folders, caplog, tmp_path):
        logger = logging.getLogger("transformers_glm.conversion.vocabularies")
        logger.addHandler(caplog.handler)
        size = size_of("roberta")
        assert GLMTokenizer.from_pretrained(folders["roberta"]).mask_token_id == size + 2
        assert f"gives [MASK] the id {size + 2}" in caplog.text and "trained_mask=True" in caplog.text
        caplog.clear()
        trained = GLMTokenizer.from_pretrained(folders["roberta"], trained_mask=True)
        logger.removeHandler(caplog.handler)
        assert caplog.text == "" and trained.mask_token_id == size - 1
        trained.save_pretrained(tmp_path)
        assert AutoTokenizer.from_pretrained(tmp_path)("a [MASK]")["input_ids"][-2] == size - 1

    def test_sentencepiece_reads_each_stretch_of_text_anew(self, folders):
        tokenizer = GLMTokenizer.from_pretrained(folders["chinese"])
        assert words(tokenizer, tokenizer("ab  ab [MASK] abab机器z", add_special_tokens=False)) == [
            "▁ab ▁ab [MASK] ▁ab ab 机器 <unk>"
        ]
        ids = tokenizer("ab  ab [MASK] ab机器z", add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == "ab ab[MASK]ab机器 ⁇ "
        assert tokenizer.decode(ids, skip_special_tokens=True) == "ab ab ab机器"

    def test_a_byte_level_vocabulary_gives_any_text_back(self, folders):
        tokenizer = GLMTokenizer.from_pretrained(folders["gpt2"])
        text = " \n\tнаїве  👩‍👧 \x00\u2028[UNUSED]"
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text

    @pytest.mark.parametrize(
        "files, message",
        [
            ({}, "No vocabulary for GLMTokenizer in .*GLMTokenizer.train"),
            ({"vocab.json": b"{}"}, "vocab.json and merges.txt belong together"),
            ({"cog-pretrain.model": sentencepiece_model(CHINESE_PIECES, model_type=1)}, "not a SentencePiece model of type"),
            ({"cog-pretrain.model": sentencepiece_model(CHINESE_PIECES)[:-3]}, "is cut off or not a SentencePiece model"),
            ({"cog-pretrain.model": b"version https://git-lfs.github.com/spec/v1"}, "not a SentencePiece model"),
        ],
    )  # fmt: skip
    def test_bad_folders_are_refused(self, tmp_path, files, message):
        (tmp_path / "tokenizer_config.json").write_text("{}")
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            GLMTokenizer.from_pretrained(tmp_path)


class TestInputsForGeneration:
    # ids: [PAD] 0, <eos> 1, [CLS] 2, [MASK] 5, [gMASK] 7, sop 8, eop 9, a..e 74..78
    def test_without_targets_sop_stands_on_the_first_blank(self, letters):
        inputs = letters(["a[MASK]b[MASK]", "[gMASK]"], padding=True, return_tensors="pt")
        built = letters.build_inputs_for_generation(inputs, max_gen_length=512)
        assert {name: value.tolist() for name, value in built.items()} == {
            "input_ids": [[2, 74, 5, 75, 5, 1, 8], [2, 7, 1, 0, 0, 0, 8]],
            "attention_mask": [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 1]],
            "position_ids": [[0, 1, 2, 3, 4, 5, 2], [0, 1, 2, 0, 0, 0, 1]],
            "block_position_ids": [[0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1]],
        }

    def test_targets_are_laid_out_with_aligned_labels(self, letters):
        inputs = letters(["a[MASK]", "[MASK]"], padding=True, return_tensors="pt")
        built = letters.build_inputs_for_generation(inputs, targets=["bc", "d"], padding=False)
        assert {name: value.tolist() for name, value in built.items()} == {
            "input_ids": [[2, 74, 5, 1, 8, 75, 76], [2, 5, 1, 0, 8, 77, 0]],
            "attention_mask": [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1, 0]],
            "position_ids": [[0, 1, 2, 3, 2, 2, 2], [0, 1, 2, 0, 1, 1, 0]],
            "block_position_ids": [[0, 0, 0, 0, 1, 2, 3], [0, 0, 0, 0, 1, 2, 0]],
            "labels": [[-100, -100, -100, -100, 75, 76, 9], [-100, -100, -100, -100, 77, 9, -100]],
        }

    def test_each_blank_can_have_its_target(self, letters):
        inputs = letters("[MASK]a[MASK]", return_tensors="pt")
        built = letters.build_inputs_for_generation(inputs, targets=[["b", "c"]])
        assert built["input_ids"].tolist() == [[2, 5, 74, 5, 1, 8, 75, 8, 76]]
        assert built["labels"].tolist() == [[-100] * 5 + [75, 9, 76, 9]]
        assert built["position_ids"].tolist() == [[0, 1, 2, 3, 4, 1, 1, 3, 3]]
        assert built["block_position_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 2, 1, 2]]

    def test_left_padding_gives_the_same_positions(self, letters):
        inputs = letters(["ab[MASK]", "[MASK]"], padding=True, padding_side="left", return_tensors="pt")
        built = letters.build_inputs_for_generation(inputs, targets=["c", "c"])
        assert built["input_ids"].tolist()[1] == [0, 0, 2, 5, 1, 8, 76]
        assert built["position_ids"].tolist()[1] == [0, 0, 0, 1, 2, 1, 1]
        assert built["attention_mask"].tolist()[1] == [0, 0, 1, 1, 1, 1, 1]

    def test_pieces_are_cut_and_padded_to_max_gen_length(self, letters):
        inputs = letters(["[MASK]"], return_tensors="pt")
        cut = letters.build_inputs_for_generation(inputs, targets="abcd", max_gen_length=2)
        assert cut["labels"].tolist() == [[-100, -100, -100, 74, 75]]
        padded = letters.build_inputs_for_generation(inputs, targets="a", max_gen_length=4, padding=True)
        assert padded["labels"].tolist() == [[-100, -100, -100, 74, 9, -100, -100]]

    @pytest.mark.parametrize(
        "texts, kwargs, message",
        [
            (["[MASK]", "ab"], {}, "Text 1 has no blank to fill. Put .MASK. or .sMASK. or .gMASK."),
            (["[MASK]"], {"targets": ["a", "b"]}, "for each of the 1 rows"),
            (["[MASK]"], {"targets": [["a", "b"]]}, "Text 0 has 1 blanks but 2 targets"),
            (["[MASK]"], {"targets": 512}, "targets must hold one text.*got 512"),
            (["[MASK]"], {"targets": [[3]]}, "Expected a text, got 3"),
            (["[MASK]"], {"max_gen_length": 0}, "max_gen_length=0"),
        ],
    )
    def test_what_cannot_be_laid_out_is_refused(self, letters, texts, kwargs, message):
        with pytest.raises(ValueError, match=message):
            letters.build_inputs_for_generation(letters(texts, padding=True, return_tensors="pt"), **kwargs)

    def test_unpadded_rows_are_refused(self, letters):
        with pytest.raises(ValueError, match="padding=True"):
            letters.build_inputs_for_generation(letters(["[MASK]", "a[MASK]"]))

    def test_a_vocabulary_without_pieces_is_refused(self, fresh):
        inputs = fresh(["[MASK]"], return_tensors="pt")
        fresh.sop_token = None
        with pytest.raises(ValueError, match="sop_token=None"):
            fresh.build_inputs_for_generation(inputs)
        fresh.eop_token = None
        with pytest.raises(ValueError, match="eop_token=None"):
            fresh(text_target="a")


class TestInputsForMultipleChoice:
    def test_choices_are_pieces_on_the_first_mask(self, letters):
        inputs = letters(["a[MASK]b", "[sMASK][MASK]"], padding=True, return_tensors="pt")
        built = letters.build_inputs_for_multiple_choice(inputs, [["abc", "d"], ["de"]])
        assert {name: value.tolist() for name, value in built.items()} == {
            "input_ids": [[2, 74, 5, 75, 1, 8, 74, 75, 8], [2, 6, 5, 1, 0, 8, 77, 0, 0]],
            "attention_mask": [[1] * 9, [1, 1, 1, 1, 0, 1, 1, 0, 0]],
            "position_ids": [[0, 1, 2, 3, 4, 2, 2, 2, 2], [0, 1, 2, 3, 0, 2, 2, 0, 0]],
            "block_position_ids": [[0, 0, 0, 0, 0, 1, 2, 3, 1], [0, 0, 0, 0, 0, 1, 2, 0, 0]],
            "choice_ids": [[[74, 75, 76], [77, -100, -100]], [[77, 78, -100], [-100, -100, -100]]],
            "choice_indices": [[[5, 6, 7], [8, -100, -100]], [[5, 6, -100], [-100, -100, -100]]],
        }

    def test_an_empty_choice_is_a_lone_sop(self, letters):
        built = letters.build_inputs_for_multiple_choice(letters("[MASK]", return_tensors="pt"), [["", "a"]])
        assert built["input_ids"].tolist() == [[2, 5, 1, 8, 8]]
        assert built["choice_ids"].tolist() == [[[-100], [74]]]
        assert built["choice_indices"].tolist() == [[[-100], [4]]]

    @pytest.mark.parametrize(
        "texts, choices, kwargs, message",
        [
            (["a [gMASK]"], [["a"]], {}, "Text 0 has no blank to fill. Put .MASK. where"),
            (["[MASK]"], [["a"], ["b"]], {}, "for each of the 1 rows"),
            (["[MASK]"], ["ab"], {}, "a list of texts"),
            (["[MASK]"], [["abc", "de"]], {"max_length": 7}, "Text 0 has 8 tokens with its choices"),
        ],
    )
    def test_what_cannot_be_laid_out_is_refused(self, letters, texts, choices, kwargs, message):
        inputs = letters(texts, return_tensors="pt")
        with pytest.raises(ValueError, match=message):
            letters.build_inputs_for_multiple_choice(inputs, choices, **kwargs)
