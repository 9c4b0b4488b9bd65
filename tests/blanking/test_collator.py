# SPDX-License-Identifier: Apache-2.0
import pickle
import random
from collections import Counter
from doctest import DocTestParser
from importlib.util import find_spec

import datasets
import numpy as np
import pytest
import torch
from datasets.fingerprint import Hasher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from blank_infilling_glm import IGNORE
from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling


pytestmark = pytest.mark.core


KEYS = {"input_ids", "attention_mask", "position_ids", "block_position_ids", "labels"}
WORDS = ["[PAD]", "[CLS]", "[MASK]", "<|startofpiece|>", "<|endofpiece|>"]
WORDS += ["[gMASK]", "[sMASK]", "<|endoftext|>", ".", "[UNK]"]
PAD, CLS, MASK, SOP, EOP, GMASK, SMASK, EOS, DOT = range(9)
FIGURE = {"input_ids": [1, 11, 12, 13, 14, 15, 16, 7]}  # the paper's x1 ... x6
SHORT = {"input_ids": [1, 17, 18, 19, 7]}
LEVELS = [{"token": 1.0}, {"sentence": 1.0}, {"document": 1.0}, {"token": 0.4, "sentence": 0.3, "document": 0.3}]


def make_words_tokenizer(leave_out=()):
    words = [word for word in WORDS if word not in leave_out] + [f"x{i}" for i in range(90)]
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = WhitespaceSplit()
    return GLMTokenizer(tokenizer_object=backend)


@pytest.fixture(scope="module")
def words():
    return make_words_tokenizer()


def lists(batch):
    return {key: tensor.tolist() for key, tensor in batch.items()}


def documents(number=40, length=60, seed=0):
    rng = random.Random(seed)
    return [
        {"input_ids": [CLS, *(rng.randrange(8, 100) for _ in range(rng.randrange(5, length))), EOS]}
        for _ in range(number)
    ]


def reassemble(example):
    """The document that an example was made of: each piece put back in the place of its mask."""
    rows = list(
        zip(*(example[key] for key in ("input_ids", "labels", "position_ids", "block_position_ids")), strict=True)
    )
    pieces = {}
    for token, label, position, block_position in rows:
        if block_position == 1:
            pieces[position] = []
        elif block_position > 1:
            pieces[position].append(token)
        last_label = label
        if block_position > 0 and last_label != EOP:
            ends = [row for row in rows if row[2] == position and row[3] > 0]
            if ends[-1][3] == block_position:
                pieces[position].append(last_label)  # to be continued: the last token is only predicted
    tokens = []
    for token, _, position, block_position in rows:
        if block_position == 0:
            tokens += pieces.get(position, [token])
    return tokens


def unpack(batch):
    """The examples of a batch, padding and packing undone."""
    batch = lists(batch)
    for row in range(len(batch["input_ids"])):
        numbers = batch.get("document_ids", batch["attention_mask"])[row]
        for document in range(1, max(numbers) + 1):
            yield {
                key: [value for value, number in zip(batch[key][row], numbers, strict=True) if number == document]
                for key in KEYS - {"attention_mask"}
            }


EXAMPLES = DocTestParser().get_examples(DataCollatorForBlankInfilling.__doc__)


def test_the_examples_of_the_docstring_are_what_comes_out(words):
    names = {"tokenizer": words, "DataCollatorForBlankInfilling": DataCollatorForBlankInfilling}
    assert len([example for example in EXAMPLES if example.want]) == 5
    for example in EXAMPLES:
        if not example.want:
            exec(example.source, names)
        elif "packing" not in example.source or find_spec("binpacking") is not None:
            batch = eval(example.source, names)
            assert lists(batch) == eval(example.want.replace("```", ""))
            assert all(tensor.dtype == torch.int64 for tensor in batch.values())


# batch


def test_padding_is_on_the_side_of_the_tokenizer(words):
    rows = [FIGURE, SHORT]
    right = DataCollatorForBlankInfilling(words, seed=3)(rows)
    left_tokenizer = make_words_tokenizer()
    left_tokenizer.padding_side = "left"
    left = DataCollatorForBlankInfilling(left_tokenizer, seed=3)(rows)
    assert left["attention_mask"][1].tolist() == right["attention_mask"][1].tolist()[::-1]
    assert list(unpack(left)) == list(unpack(right))
    padding = left["attention_mask"] == 0
    assert padding.any()
    assert (left["input_ids"][padding] == PAD).all()
    assert (left["labels"][padding] == IGNORE).all()
    assert (left["position_ids"][padding] == 0).all()
    assert (left["block_position_ids"][padding] == 0).all()


def test_rows_are_padded_to_a_multiple(words):
    batch = DataCollatorForBlankInfilling(words, pad_to_multiple_of=16)([FIGURE, SHORT])
    assert {tuple(tensor.shape) for tensor in batch.values()} == {(2, 16)}


@pytest.mark.parametrize("mixture", LEVELS)
def test_packing_keeps_every_document_and_the_length(words, mixture):
    pytest.importorskip("binpacking", reason="packing is an extra")
    rows = documents()
    padded = DataCollatorForBlankInfilling(words, mixture, seed=5)(rows)
    packed = DataCollatorForBlankInfilling(words, mixture, seed=5, packing=True, max_length=128)(rows)
    assert set(padded) == KEYS
    assert set(packed) == KEYS | {"document_ids"}
    assert packed["input_ids"].shape[1] <= 128
    assert packed["input_ids"].shape[0] < 0.7 * len(rows)
    assert (packed["document_ids"][packed["attention_mask"] == 0] == 0).all()
    key = str
    assert sorted(unpack(packed), key=key) == sorted(unpack(padded), key=key)


# what is blanked


@pytest.mark.parametrize("original_placement", [False, True])
@pytest.mark.parametrize("mixture", LEVELS)
def test_thousands_of_examples_reassemble_to_their_documents(words, mixture, original_placement):
    collator = DataCollatorForBlankInfilling(words, mixture, original_placement=original_placement)
    rows = documents(1500)
    for row, example in zip(rows, unpack(collator(rows)), strict=True):
        assert reassemble(example) == row["input_ids"]


TEXT = st.lists(
    st.sampled_from(
        [
            "The cat sat.",
            " Why?",
            " 3.5",
            "\n",
            "她说：",
            "“好。”",
            "机器能思考吗？",
            "😀",
            "👩‍👩‍👧",
            "é",
            " ",
            "word",
            "…",
        ]
    )
    | st.text(max_size=8),
    min_size=1,
    max_size=30,
).map("".join)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    texts=st.lists(TEXT, min_size=1, max_size=4),
    level=st.sampled_from(["token", "sentence", "document"]),
    seed=st.integers(0, 9),
)
def test_any_text_comes_back_from_its_blanks(tokenizer, texts, level, seed):
    tokens = [token for text in texts for token in tokenizer(text, split_special_tokens=True).input_ids]
    separators = (tokenizer.cls_token_id, tokenizer.eos_token_id)
    if all(token in separators for token in tokens):
        return
    collator = DataCollatorForBlankInfilling(tokenizer, {level: 1.0}, seed=seed)
    example = collator.blank({"input_ids": tokens})
    blanks = Counter(token for token in example["input_ids"] if token in tokenizer.mask_token_ids)
    assert set(blanks) == {
        {"token": tokenizer.mask_token_id, "sentence": tokenizer.smask_token_id}.get(level, tokenizer.gmask_token_id)
    }
    marks = {tokenizer.eop_token_id: EOP}
    example["labels"] = [marks.get(label, label) for label in example["labels"]]
    if level == "document" and len(texts) > 1:  # [CLS] of a later document carries no label
        for i, label in enumerate(example["labels"][:-1]):
            if example["block_position_ids"][i] and label == IGNORE:
                assert example["input_ids"][i + 1] == tokenizer.cls_token_id
    assert reassemble(example) == tokens


@pytest.mark.parametrize("level", ["token", "sentence"])
def test_cls_and_eos_are_never_blanked(words, level):
    collator = DataCollatorForBlankInfilling(words, {level: 1.0}, mask_ratio=0.6)
    rows = [
        {"input_ids": a["input_ids"] + b["input_ids"]}
        for a, b in zip(documents(200), documents(200, seed=1), strict=True)
    ]
    for row, example in zip(rows, unpack(collator(rows)), strict=True):
        part_b = [
            token for token, block in zip(example["input_ids"], example["block_position_ids"], strict=True) if block
        ]
        assert CLS not in part_b
        assert EOS not in part_b
        assert reassemble(example) == row["input_ids"]


def test_the_last_token_of_a_sample_without_eos_is_never_blanked_at_token_level(words):
    collator = DataCollatorForBlankInfilling(words, mask_ratio=0.5)
    for example in unpack(collator([{"input_ids": [CLS, 20, 21, 22, 23, 24]}] * 100)):
        assert example["input_ids"][example["block_position_ids"].index(1) - 1] == 24


def test_text_after_the_last_mark_is_blanked_at_sentence_level(words):
    collator = DataCollatorForBlankInfilling(words, {"sentence": 1.0})
    row = {"input_ids": [CLS, 20, 21, DOT, 22, 23, EOS]}
    pieces = {tuple(example["labels"][-4:]) for example in unpack(collator([row] * 50))}
    assert (IGNORE, 22, 23, EOP) in pieces


def test_several_documents_are_continued_and_their_cls_is_not_predicted(words):
    collator = DataCollatorForBlankInfilling(words, {"document": 1.0}, document_span=(0.9, 1.0))
    tokens = [CLS, 20, 21, EOS, CLS, 22, 23, 24, EOS]
    [example] = unpack(collator([{"input_ids": tokens}]))
    assert example["input_ids"] == [CLS, 20, GMASK, SOP, 21, EOS, CLS, 22, 23, 24]
    assert example["labels"] == [-100, -100, -100, 21, EOS, -100, 22, 23, 24, EOS]


@pytest.mark.parametrize("mixture", LEVELS)
def test_prompts_are_blanked_but_never_predicted(words, mixture):
    collator = DataCollatorForBlankInfilling(words, mixture, mask_ratio=0.6)
    tokens = [CLS, *range(20, 30), DOT, *range(30, 40), DOT, EOS]
    labels = [-100] * 12 + tokens[12:]
    predicted, part_b = Counter(), Counter()
    for example in unpack(collator([{"input_ids": tokens, "labels": labels}] * 100)):
        predicted.update(example["labels"])
        part_b.update(
            t for t, block in zip(example["input_ids"], example["block_position_ids"], strict=True) if block > 1
        )
        ends = [i for i, label in enumerate(example["labels"]) if label == EOP]
        assert all(example["input_ids"][i] not in range(20, 30) for i in ends)
    assert not set(predicted) & set(range(20, 30))
    assert set(part_b) >= set(range(20, 40))
    assert set(predicted) >= set(range(31, 40))


@pytest.mark.parametrize("mixture", LEVELS)
def test_a_row_with_a_short_answer_always_has_a_label(words, mixture):
    """Row 24: of 31 prompt tokens and an answer of two, 175 of 200 batches had no label."""
    tokens = [CLS, *range(20, 50), DOT, 60, 61, EOS]
    labels = [-100] * 32 + tokens[32:]
    for seed in range(200):
        collator = DataCollatorForBlankInfilling(words, mixture, seed=seed)
        row = {"input_ids": tokens, "labels": labels}
        [example] = unpack(collator([row]))
        assert {60, 61, EOP, EOS} >= set(example["labels"]) - {IGNORE} != set()
        assert collator.blank(row)["labels"] == example["labels"]


def test_labels_that_a_blank_holds_move_no_draw(words):
    """Row 24: only a row without any label is drawn again, and no row beside it."""
    tokens = [CLS, *range(20, 50), DOT, 60, 61, EOS]
    others = documents(3)
    for seed in range(30):
        collator = DataCollatorForBlankInfilling(words, seed=seed)
        plain, *beside = unpack(collator([{"input_ids": tokens}, *others]))
        masked, *beside_masked = unpack(
            collator([{"input_ids": tokens, "labels": [-100] * 32 + tokens[32:]}, *others])
        )
        assert beside == beside_masked
        if {60, 61} & set(plain["labels"]):
            assert masked["input_ids"] == plain["input_ids"]


@pytest.mark.parametrize("labelled", [[], [EOS]])
def test_a_row_in_which_nothing_can_be_predicted_is_refused(words, labelled):
    """Row 24: labels of -100 alone, or on tokens that are never blanked."""
    tokens = [CLS, *range(20, 50), DOT, 60, 61, EOS]
    labels = [token if token in labelled else -100 for token in tokens]
    with pytest.raises(ValueError, match="Row 0 of the batch .* nothing of it would be learnt. Leave such rows out"):
        DataCollatorForBlankInfilling(words)([{"input_ids": tokens, "labels": labels}])


def test_the_mixture_is_drawn_for_each_sample(words):
    collator = DataCollatorForBlankInfilling(words, {"token": 0.5, "sentence": 0.2, "document": 0.3})
    kinds = Counter()
    for example in unpack(collator(documents(3000))):
        kinds[next(token for token in example["input_ids"] if token in (MASK, SMASK, GMASK))] += 1
    assert [round(kinds[mask] / 3000, 1) for mask in (MASK, SMASK, GMASK)] == [0.5, 0.2, 0.3]


def test_without_its_own_masks_a_vocabulary_uses_mask_for_all_levels():
    tokenizer = make_words_tokenizer(leave_out=("[gMASK]", "[sMASK]"))
    for mixture in LEVELS:
        batch = DataCollatorForBlankInfilling(tokenizer, mixture)(
            [{"input_ids": [1, 11, 12, 13, tokenizer.eos_token_id]}]
        )
        assert tokenizer.mask_token_id in batch["input_ids"]


def test_pieces_come_in_the_order_of_the_text_without_shuffling(words):
    collator = DataCollatorForBlankInfilling(words, shuffle_blanks=False)
    for example in unpack(collator(documents(100))):
        starts = [
            p for p, block in zip(example["position_ids"], example["block_position_ids"], strict=True) if block == 1
        ]
        assert starts == sorted(starts)


# rows


@pytest.mark.parametrize(
    "as_type",
    [
        list,
        np.array,
        torch.tensor,
        lambda tokens: np.array(tokens, dtype=np.int32),
        lambda tokens: list(np.array(tokens)),
    ],
    ids=["list", "array", "tensor", "int32", "list of NumPy integers"],
)
@pytest.mark.parametrize("mixture", LEVELS)
def test_rows_of_any_type_make_the_same_batch(words, mixture, as_type):
    expected = lists(DataCollatorForBlankInfilling(words, mixture)(documents(8)))
    rows = [
        {"input_ids": as_type(row["input_ids"]), "attention_mask": [1] * len(row["input_ids"])} for row in documents(8)
    ]
    assert lists(DataCollatorForBlankInfilling(words, mixture)(rows)) == expected


@pytest.mark.parametrize("format", [None, "numpy", "torch"])
def test_rows_of_datasets_make_the_same_batch(words, format):
    expected = lists(DataCollatorForBlankInfilling(words)(documents(8)))
    rows = datasets.Dataset.from_list(documents(8)).with_format(format)
    assert lists(DataCollatorForBlankInfilling(words)([rows[i] for i in range(8)])) == expected


def test_padding_of_the_tokenizer_is_no_text(words):
    rows = documents(4)
    padded = [
        {"input_ids": [0, *row["input_ids"], 0, 0], "attention_mask": [0, *[1] * len(row["input_ids"]), 0, 0]}
        for row in rows
    ]
    assert lists(DataCollatorForBlankInfilling(words)(padded)) == lists(DataCollatorForBlankInfilling(words)(rows))


def test_rows_blanked_once_are_only_padded(words):
    collator = DataCollatorForBlankInfilling(words, {"token": 0.5, "document": 0.5}, seed=1)
    rows = datasets.Dataset.from_list(documents(8))
    blanked = rows.map(collator.blank, load_from_cache_file=False)
    assert set(blanked.column_names) == KEYS - {"attention_mask"}
    assert [collator.blank(row) for row in rows] == list(blanked)
    assert list(unpack(collator(list(blanked)))) == list(blanked)
    assert collator.blank(blanked[0]) == blanked[0]


def test_blanking_once_is_cached_by_datasets(words):
    collator = DataCollatorForBlankInfilling(words, seed=1)
    before = Hasher.hash(collator.blank)
    collator(documents(8))
    assert Hasher.hash(collator.blank) == before
    assert Hasher.hash(DataCollatorForBlankInfilling(words, seed=2).blank) != before


def test_blanked_and_other_rows_may_share_a_batch(words):
    collator = DataCollatorForBlankInfilling(words)
    assert collator([collator.blank(FIGURE), SHORT])["input_ids"].shape[0] == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "Ada"}, r"Row 0 of the batch has no input_ids, only \['text'\]. Tokenize the text first"),
        ({}, "no column at all.*remove_unused_columns"),
        ("Ada", "is a str"),
        ({"input_ids": "Ada"}, "'Ada', not a list of integers"),
        ({"input_ids": ["Ada"]}, r"\['Ada'\], not a list of integers"),
        ({"input_ids": [1, 2.5]}, "not a list of integers"),
        ({"input_ids": np.array([1.0, np.nan])}, "not a list of integers"),
        ({"input_ids": [1, None]}, "not a list of integers"),
        ({"input_ids": [[1, 11, 7]]}, "not a list of integers"),
        ({"input_ids": np.array([[1, 11, 7]])}, "not a list of integers"),
        ({"input_ids": [1, 100, 7]}, "ids from 1 to 100, but the vocabulary of the tokenizer ends at 99"),
        ({"input_ids": [1, -1, 7]}, "ids from -1 to 7"),
        ({"input_ids": []}, "no token that may be blanked"),
        ({"input_ids": [1, 7]}, "no token that may be blanked"),
        ({"input_ids": [1, 11]}, r"\(.*x1.*\) has no token that may be blanked"),
        ({"input_ids": [1, 11, 12, 7], "labels": 1}, "labels of Row 0 of the batch is 1, not a list"),
        ({"input_ids": [1, 11, 12, 7], "labels": [1, 11]}, "has 2 numbers and input_ids 4"),
        ({"input_ids": [1, 11, 12, 7], "labels": [11, 12, 7, -100]}, "are not its input_ids"),
        ({"input_ids": [1, 2, 3], "block_position_ids": [0, 0, 1]}, "no labels, no position_ids"),
        (
            {"input_ids": [1, 2, 3], "block_position_ids": [0, 0, 1], "labels": [-100], "position_ids": [0, 1, 1]},
            "labels of Row 0 of the batch has 1 numbers and input_ids 3",
        ),
    ],
)
def test_bad_rows_are_refused_by_name(words, row, message):
    with pytest.raises(ValueError, match=message):
        DataCollatorForBlankInfilling(words)([row])


def test_a_refused_row_is_named_by_its_number_and_text(words):
    with pytest.raises(ValueError, match=r"Row 1 of the batch \('\[CLS\].*"):
        DataCollatorForBlankInfilling(words)([FIGURE, {"input_ids": [1, 7]}])


def test_a_document_longer_than_the_rows_is_refused(words):
    pytest.importorskip("binpacking", reason="packing is an extra")
    collator = DataCollatorForBlankInfilling(words, packing=True, max_length=8)
    with pytest.raises(
        ValueError, match="Row 1 of the batch .*x3.* has 1[01] tokens when blanked, more than max_length=8"
    ):
        collator([SHORT, FIGURE])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixture": {"token": 0.5}}, "add up to 0.5"),
        ({"mask_ratio": 1.0}, "mask_ratio is 1.0"),
        ({"packing": True}, "packing=True needs max_length"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(words, arguments, message):
    with pytest.raises(ValueError, match=message):
        DataCollatorForBlankInfilling(words, **arguments)


def test_a_tokenizer_without_the_tokens_of_glm_is_refused():
    backend = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    with pytest.raises(ValueError, match="has no pad_token, no cls_token.*Use a GLMTokenizer"):
        DataCollatorForBlankInfilling(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]"))


# randomness


def test_the_same_seed_gives_the_same_batches_and_another_does_not(words):
    first, second, other = (DataCollatorForBlankInfilling(words, seed=seed) for seed in (0, 0, 1))
    rows = documents(8)
    batches = [lists(first(rows)) for _ in range(2)]
    assert batches == [lists(second(rows))] * 2
    assert batches[0] != lists(other(rows))


def test_equal_rows_of_a_batch_get_different_blanks(words):
    row = documents(1, length=50, seed=3)[0]
    examples = list(unpack(DataCollatorForBlankInfilling(words)([row] * 8)))
    assert len({str(example) for example in examples}) > 4


def test_the_blanks_of_a_row_do_not_depend_on_its_batch(words):
    rows = documents(12)
    together = list(unpack(DataCollatorForBlankInfilling(words)(rows)))
    collator = DataCollatorForBlankInfilling(words)
    assert [example for row in rows[::-1] for example in unpack(collator([row]))] == together[::-1]


def test_global_generators_are_left_alone(words):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    DataCollatorForBlankInfilling(words)(documents(8))
    assert states() == before


def test_an_epoch_can_be_set(words):
    collator = DataCollatorForBlankInfilling(words)
    rows, epochs = documents(8), []
    for epoch in (0, 1, 0):
        collator.set_epoch(epoch)
        epochs.append(lists(collator(rows)))
        assert lists(collator(rows)) == epochs[-1]
    assert epochs[0] == epochs[2] != epochs[1]


def test_a_collator_can_be_pickled(words):
    collator = DataCollatorForBlankInfilling(words, seed=4)
    copy = pickle.loads(pickle.dumps(collator))
    assert lists(copy(documents(4))) == lists(collator(documents(4)))
