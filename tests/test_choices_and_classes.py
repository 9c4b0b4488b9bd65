# SPDX-License-Identifier: Apache-2.0
"""Stock scripts for multiple choice and classification: their collators, their Trainer, GLM behind the Auto classes."""

import random

import pytest
import torch
from conftest import CLS, EOP, EOS, GMASK, MASK, PAD, SOP, make_config, make_model
from short_runs import arguments, losses_of
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    DataCollatorForMultipleChoice,
    DataCollatorWithPadding,
    Trainer,
)

import transformers_glm  # noqa: F401
from modeling_glm import GLMForConditionalGeneration
from multiple_choice_glm import GLMForMultipleChoice, lay_out_choices
from tokenization_glm import GLMTokenizer


pytestmark = pytest.mark.core


WORDS = ["apple", "tree", "river", "stone", "cloud", "bread", "light", "music"]


def train(folder, model, collator, rows, max_steps):
    settings = {"learning_rate": 5e-3, "per_device_train_batch_size": 16, "logging_steps": 5, "max_steps": max_steps}
    trainer = Trainer(model, arguments(folder, **settings), collator, rows)
    trainer.train()
    return trainer, losses_of(trainer)


def config_for(tokenizer, **kwargs):
    return make_config(tokenizer=tokenizer, initializer_range=0.05, **kwargs)


# ------------------------------------------------------------------------------------------------------ multiple choice


def test_what_texts_share_is_part_a_and_what_follows_is_a_piece():
    row = lay_out_choices([[CLS, 11, 12, 21, 22, EOS], [CLS, 11, 12, 23, EOS]], mask_token_ids=[MASK, GMASK], sop=SOP)
    assert row == {
        "input_ids": [CLS, 11, 12, GMASK, SOP, 21, 22, SOP, 23],
        "position_ids": [0, 1, 2, 3, 3, 3, 3, 3, 3],
        "block_position_ids": [0, 0, 0, 0, 1, 2, 3, 1, 2],
        "choice_ids": [[21, 22, EOS], [23, EOS]],
        "choice_indices": [[4, 5, 6], [7, 8]],
    }


@pytest.mark.parametrize(
    ("case", "texts", "part_a", "choices"),
    [
        ("a blank in what is shared is filled", [[CLS, MASK, 12, 21], [CLS, MASK, 12, 22]], [CLS, MASK, 12], [[21], [22]]),
        ("an appended blank is none", [[CLS, 21, GMASK, EOS], [CLS, 22, GMASK, EOS]], [CLS, GMASK], [[21, EOS], [22, EOS]]),
        ("one is the beginning of another", [[CLS, 21, EOS], [CLS, 21, 22, EOS]], [CLS, 21, GMASK], [[EOS], [22, EOS]]),
        ("all are one", [[CLS, 21], [CLS, 21]], [CLS, GMASK], [[21], [21]]),
        ("nothing is shared", [[21], [22]], [GMASK], [[21], [22]]),
        ("a choice of padding", [[CLS, 21, EOS], []], [CLS, 21, GMASK], [[EOS], []]),
    ],
)  # fmt: skip
def test_choices_are_found_when(case, texts, part_a, choices):
    row = lay_out_choices(texts, mask_token_ids=[MASK, GMASK], sop=SOP)
    assert row["input_ids"][: len(part_a)] == part_a and row["choice_ids"] == choices
    assert row["block_position_ids"][: len(part_a)] == [0] * len(part_a)


def padded(examples, side):
    """Texts of examples as (B, C, T), padded on a side, and their mask."""
    length = max(len(text) for example in examples for text in example)
    pads = [[[PAD] * (length - len(text)) for text in example] for example in examples]
    rows = [
        [pad + text if side == "left" else text + pad for text, pad in zip(*pair, strict=True)]
        for pair in zip(examples, pads, strict=True)
    ]
    return torch.tensor(rows), (torch.tensor(rows) != PAD).long()


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_plain_text_scores_the_log_probability_of_what_it_has_alone(side):
    """Each choice on its own through the other class: the context with a blank, the choice as its target."""
    model = make_model()
    head = GLMForMultipleChoice(model.config).eval()
    head.glm.load_state_dict(model.glm.state_dict())
    examples = [
        [[CLS, 11, 12, 21, 22, EOS], [CLS, 11, 12, 23, EOS], [CLS, 11, 12, 24, 25, 26, EOS]],
        [[CLS, 13, 21, EOS], [CLS, 13, 24, EOS], [CLS, 13, 24, 25, EOS]],
    ]
    shared = [3, 2]
    ids, mask = padded(examples, side)
    labels = torch.tensor([2, 0])
    output = head(input_ids=ids, attention_mask=mask, labels=labels)
    expected = torch.zeros(2, 3)
    for row, (example, size) in enumerate(zip(examples, shared, strict=True)):
        for column, text in enumerate(example):
            source, target = torch.tensor([[*text[:size], GMASK]]), torch.tensor([text[size:]])
            logits = GLMForConditionalGeneration.forward(model, input_ids=source, labels=target).logits
            expected[row, column] = logits.log_softmax(-1)[0, torch.arange(target.shape[1]), target[0]].sum()
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(expected, labels))


def test_plain_texts_need_mask_tokens_and_no_positions():
    ids = torch.full((1, 2, 3), 5)
    with pytest.raises(ValueError, match="config.mask_token_ids"):
        GLMForMultipleChoice(make_config(mask_token_ids=None))(input_ids=ids)
    with pytest.raises(ValueError, match="leave out positions"):
        GLMForMultipleChoice(make_config())(input_ids=ids, position_ids=torch.zeros_like(ids))


def test_multiple_choice_is_learned_with_the_stock_collator(tmp_path):
    draw = random.Random(0)
    tokenizer = GLMTokenizer.train(
        WORDS * 5 + ["She saw it. Again"], vocab_size=320, padding_side="left", append_mask="[MASK]"
    )
    rows = []
    for _ in range(160):
        words = draw.sample(WORDS, 4)
        label = draw.randrange(4)
        encoded = tokenizer([f"She saw {words[label]}."] * 4, [f"Again {word}" for word in words])
        rows.append({**encoded, "label": label})
    model = AutoModelForMultipleChoice.from_config(config_for(tokenizer))
    trainer, losses = train(tmp_path, model, DataCollatorForMultipleChoice(tokenizer), rows[:128], max_steps=140)
    assert losses[0] > 1.2 and losses[-1] < 0.3, losses
    prediction = trainer.predict(rows[128:])
    assert (prediction.predictions.argmax(-1) == prediction.label_ids).mean() > 0.9


# ------------------------------------------------------------------------------------------------------- classification


def labelled(tokenizer, kind):
    """Texts of which one word decides: by class, by number, by several classes at once, alone or in the second text."""
    draw = random.Random(1)
    rows = []
    for _ in range(128):
        words = draw.sample(WORDS, 4)
        first, second = "apple" in words, "river" in words
        if kind == "pairs":
            rows.append({**tokenizer("Is it here?", " ".join(words)), "label": int(first)})
        else:
            label = {"classes": int(first), "numbers": float(first), "labels": [float(first), float(second)]}[kind]
            rows.append({**tokenizer(" ".join(words)), "label": label})
    return rows


KINDS = {
    "classes": {"num_labels": 2},
    "pairs": {"num_labels": 2},
    "numbers": {"num_labels": 1},
    "labels": {"num_labels": 2, "problem_type": "multi_label_classification"},
}


@pytest.mark.parametrize(
    ("kind", "side"), [("classes", "left"), ("classes", "right"), ("pairs", "left"), ("numbers", "right"), ("labels", "left")]
)  # fmt: skip
def test_classification_is_learned_with_the_stock_collator(kind, side, tmp_path):
    tokenizer = GLMTokenizer.train(WORDS * 5 + ["Is it here?"], vocab_size=320, padding_side=side)
    model = AutoModelForSequenceClassification.from_config(config_for(tokenizer, **KINDS[kind]))
    rows = labelled(tokenizer, kind)
    _, losses = train(tmp_path, model, DataCollatorWithPadding(tokenizer), rows, max_steps=100)
    assert losses[-1] < 0.25 * losses[0], losses


def test_a_head_of_another_size_is_replaced_when_asked(tmp_path):
    tokenizer = GLMTokenizer.train(WORDS, vocab_size=320)
    AutoModelForSequenceClassification.from_config(config_for(tokenizer, num_labels=4)).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, num_labels=3, finetuning_task="sst2")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, config=config, ignore_mismatched_sizes=True)
    assert model.classifier.out_proj.weight.shape[0] == 3


# ------------------------------------------------------------------------------------------- what seq2seq scripts call


@torch.no_grad()
@pytest.mark.parametrize("encoding", [True, False])
def test_a_longer_position_table_keeps_the_known_positions(encoding, tmp_path):
    model = make_model(max_sequence_length=8, block_position_encoding=encoding)
    row = torch.tensor([[CLS, 11, MASK, EOS, SOP, 12, EOP]])
    before = model(row).logits
    model.resize_position_embeddings(20)
    torch.testing.assert_close(model(row).logits, before, rtol=0, atol=0)
    assert {len(table.weight) for table in model.get_position_embeddings()} == {20 + encoding}
    long = torch.tensor([[CLS, *range(10, 26), MASK, EOS]])
    model.save_pretrained(tmp_path)
    again = GLMForConditionalGeneration.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(long).logits, model(long).logits)
    model.resize_position_embeddings(6)
    assert model(row[:, :6]).logits.isfinite().all()
    with pytest.raises(ValueError, match="at least 1"):
        model.resize_position_embeddings(0)


def test_a_source_without_its_target_is_warned_of_in_training(monkeypatch):
    messages = []
    monkeypatch.setattr("modeling_glm.logger.warning_once", messages.append)
    model, source = make_model(), torch.tensor([[CLS, 11, MASK, EOS]])
    model(source)
    model.train()
    model(source, labels=torch.tensor([[12, EOP]]))
    model(torch.tensor([[CLS, 11, 12, EOS]]))
    assert not messages
    model(source)
    assert len(messages) == 1 and "DataCollatorForSeq2Seq(tokenizer, model=model)" in messages[0]


def test_labels_of_a_causal_model_are_warned_of(monkeypatch):
    messages = []
    monkeypatch.setattr("modeling_glm.logger.warning_once", messages.append)
    model, row = make_model(), torch.tensor([[CLS, 11, MASK, EOS, SOP, 12]])
    model(row, labels=torch.tensor([[-100] * 4 + [12, EOP]]))
    model(row[:, :4], labels=torch.tensor([[12, EOP]]))
    assert not messages
    model(torch.tensor([[CLS, 11, 12, EOS]]), labels=torch.tensor([[11, 12, EOS, -100]]))
    assert len(messages) == 1 and "DataCollatorForBlankInfilling" in messages[0]


def test_every_part_of_a_long_source_has_its_blank():
    tokenizer = GLMTokenizer.train(WORDS, vocab_size=320, append_mask="[MASK]")
    text = " ".join(WORDS * 4)
    parts = tokenizer([text], max_length=12, truncation=True, return_overflowing_tokens=True)
    assert len(parts["input_ids"]) > 2
    assert {(ids[0], *ids[-2:]) for ids in parts["input_ids"]} == {
        (tokenizer.cls_token_id, tokenizer.mask_token_id, tokenizer.eos_token_id)
    }
