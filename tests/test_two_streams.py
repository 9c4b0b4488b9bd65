# SPDX-License-Identifier: Apache-2.0
"""Part A by input_ids, Part B by decoder_input_ids or labels, as models of two streams are called."""

import copy

import pytest
import torch
from conftest import CLS, EOP, EOS, GMASK, MASK, PAD, SMASK, SOP
from drawn_rows import padded
from naive_glm import naive_logits, naive_row
from tiny_models import HEADS, MODELS, WEIGHTS, same


pytestmark = pytest.mark.core


PART_A = [[CLS, 11, MASK, 14, EOS], [CLS, 21, 22, SMASK, 24, 25, EOS]]
TARGETS = [[15, 16, EOP], [26, EOP]]


@pytest.mark.parametrize("source_side", ["left", "right"])
@pytest.mark.parametrize("label_side", ["left", "right"])
def test_two_streams_equal_one_row(source_side, label_side):
    model = MODELS["sdpa"]
    labels = padded(TARGETS, label_side, 1, value=-100)
    inputs = {
        "input_ids": padded(PART_A, source_side, 1, PAD),
        "attention_mask": padded([[1] * len(row) for row in PART_A], source_side, 1),
    }
    with torch.no_grad():
        output = model(**inputs, labels=labels)
    assert output.logits.shape == (*labels.shape, 99)
    losses = []
    for row, (part_a, target) in enumerate(zip(PART_A, TARGETS, strict=True)):
        blank = next(index for index, token in enumerate(part_a) if token in (MASK, SMASK))
        one_row = naive_row(part_a, [(blank, target[:-1])], SOP)
        expected = naive_logits(WEIGHTS, HEADS, *one_row)[len(part_a) :]
        same(output.logits[row][labels[row] != -100], expected)
        losses.append(torch.nn.functional.cross_entropy(expected, torch.tensor(target), reduction="none"))
    same(output.loss, torch.cat(losses).mean())


def test_two_streams_by_decoder_input_ids_by_labels_and_by_both_are_one():
    model, labels = MODELS["sdpa"], padded(TARGETS, value=-100)
    source = {"input_ids": padded(PART_A, value=PAD), "attention_mask": padded([[1] * len(row) for row in PART_A])}
    decoder_input_ids = model.prepare_decoder_input_ids_from_labels(labels)
    with torch.no_grad():
        by_labels = model(**source, labels=labels)
        by_both = model(**source, labels=labels, decoder_input_ids=decoder_input_ids)
        by_decoder = model(**source, decoder_input_ids=decoder_input_ids)
    same(by_labels.logits, by_both.logits, 0)
    same(by_labels.logits, by_decoder.logits, 0)
    same(by_labels.loss, by_both.loss, 0)
    assert by_decoder.loss is None


def test_two_streams_take_embeddings_for_part_a():
    model, labels = MODELS["sdpa"], padded(TARGETS, value=-100)
    inputs = {"attention_mask": padded([[1] * len(row) for row in PART_A]), "labels": labels}
    input_ids = padded(PART_A, value=PAD)
    with torch.no_grad():
        by_ids = model(input_ids=input_ids, **inputs)
        by_embeddings = model(inputs_embeds=model.glm.word_embeddings(input_ids), **inputs)
    same(by_embeddings.logits, by_ids.logits)
    same(by_embeddings.loss, by_ids.loss)


def test_positions_count_on_from_a_cache():
    model, row = MODELS["sdpa"], torch.tensor([[PAD, CLS, 11, 12, MASK, 14]])
    mask = (row != PAD).long()
    with torch.no_grad():
        cache = model(row[:, :3], attention_mask=mask[:, :3], use_cache=True).cache
        derived = model(row[:, 3:], attention_mask=mask, cache=copy.deepcopy(cache)).logits
        given = model(
            row[:, 3:],
            attention_mask=mask,
            cache=cache,
            position_ids=torch.tensor([[2, 3, 4]]),
            block_position_ids=torch.zeros(1, 3, dtype=torch.long),
        ).logits
    assert torch.equal(derived, given)


def test_decoder_input_ids_begin_with_sop_under_the_first_label():
    labels = torch.tensor([[15, 16, EOP, -100], [-100, -100, 26, EOP]])
    assert MODELS["sdpa"].prepare_decoder_input_ids_from_labels(labels).tolist() == [
        [SOP, 15, 16, EOP],
        [PAD, PAD, SOP, 26],
    ]


@pytest.mark.parametrize(
    ("part_a", "target", "blank"), [([CLS, MASK, 12, GMASK], [15, EOP], 1), ([CLS, 11, MASK], [15, 16, EOP], 2)]
)
def test_two_streams_write_into_the_first_blank_and_may_be_of_equal_lengths(part_a, target, blank):
    with torch.no_grad():
        logits = MODELS["sdpa"](input_ids=torch.tensor([part_a]), labels=torch.tensor([target])).logits[0]
    same(logits, naive_logits(WEIGHTS, HEADS, *naive_row(part_a, [(blank, target[:-1])], SOP))[len(part_a) :])


def test_decoder_attention_mask_hides_part_b():
    model, source = MODELS["sdpa"], torch.tensor([PART_A[0]])
    with torch.no_grad():
        long = model(
            input_ids=source,
            decoder_input_ids=torch.tensor([[SOP, 15, 77, 78]]),
            decoder_attention_mask=torch.tensor([[1, 1, 0, 0]]),
        ).logits
        short = model(input_ids=source, decoder_input_ids=torch.tensor([[SOP, 15]])).logits
    assert long.shape[1] == 4
    same(long[:, :2], short)
