# SPDX-License-Identifier: Apache-2.0
"""GLM under the stock Trainer and Seq2SeqTrainer."""

import pydoc_data.topics
from functools import partial

import numpy as np
import pytest
import torch
from conftest import make_model
from short_runs import arguments as any_arguments
from short_runs import losses_of
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer

import modeling_glm
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling


pytestmark = pytest.mark.core
arguments = partial(any_arguments, seed=1)


@pytest.fixture(scope="module")
def rows(tokenizer):
    """Real text, that of Python's language reference, in 64 rows of 48 tokens."""
    text = " ".join(" ".join(topic.split()) for topic in list(pydoc_data.topics.topics.values())[:20])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    cls, eos = tokenizer.cls_token_id, tokenizer.eos_token_id
    return [{"input_ids": [cls, *ids[start : start + 46], eos]} for start in range(0, 64 * 46, 46)]


def model_for(tokenizer, **kwargs):
    return make_model(tokenizer=tokenizer, max_sequence_length=128, **{"initializer_range": 0.02, **kwargs})


@pytest.mark.parametrize("how", [{}, {"bf16": True}, {"label_smoothing_factor": 0.1}], ids=str)
def test_the_loss_falls_on_real_text(how, tmp_path, tokenizer, rows):
    collator = DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "sentence": 0.25, "document": 0.25})
    settings = arguments(
        tmp_path, max_steps=40, per_device_train_batch_size=16, learning_rate=5e-3, logging_steps=10, **how
    )
    trainer = Trainer(model_for(tokenizer), settings, collator, rows)
    trainer.train()
    losses = losses_of(trainer)
    assert losses[-1] < 0.8 * losses[0], losses
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


@pytest.mark.parametrize("how", [{}, {"packing": True, "max_length": 128}], ids=str)
def test_accumulation_of_4_times_8_equals_1_times_32(how, tmp_path, tokenizer, rows):
    parameters = []
    for batch, steps in [(32, 1), (8, 4)]:
        settings = arguments(
            tmp_path,
            max_steps=2,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=steps,
            optim="sgd",
            learning_rate=0.5,
            max_grad_norm=0.0,
        )
        collator = DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "document": 0.5}, **how)
        trainer = Trainer(model_for(tokenizer), settings, collator, rows)
        before = [parameter.clone() for parameter in trainer.model.parameters()]
        trainer.train()
        parameters.append(list(trainer.model.parameters()))
    assert max((one - other).abs().max() for one, other in zip(parameters[0], before, strict=True)) > 1e-2
    for one, other in zip(*parameters, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("packing", [False, True])
def test_checkpointing_changes_no_gradient_and_keeps_fewer_bytes(packing, tokenizer, rows):
    collator = DataCollatorForBlankInfilling(tokenizer, packing=packing, max_length=128)
    batch = collator(rows[:8])
    gradients, kept = [], []
    for checkpointing in (False, True):
        model = model_for(tokenizer, output_dropout_prob=0.1, embedding_dropout_prob=0.1, num_layers=4).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        count = [0]

        def pack(tensor, count=count):
            count[0] += tensor.numel() * tensor.element_size()
            return tensor

        torch.manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(**batch).loss
        loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        kept.append(count[0])
    assert kept[1] < 0.5 * kept[0]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_packed_and_padded_batches_have_the_same_loss(tokenizer, rows):
    lengths = [5, 17, 30, 11, 24, 48, 9, 13]
    documents = [
        {"input_ids": row["input_ids"][: length - 1] + [2]} for row, length in zip(rows, lengths, strict=False)
    ]
    padded = DataCollatorForBlankInfilling(tokenizer)(documents)
    packed = DataCollatorForBlankInfilling(tokenizer, packing=True, max_length=128)(documents)
    assert packed["input_ids"].shape[0] < padded["input_ids"].shape[0]
    model = model_for(tokenizer, initializer_range=0.25).train()
    torch.testing.assert_close(model(**packed).loss, model(**padded).loss)


def test_predict_returns_logits_and_no_cache(tmp_path, tokenizer, rows):
    collator = DataCollatorForBlankInfilling(tokenizer)
    evaluation = [collator.blank(row) for row in rows[:6]]
    trainer = Trainer(model_for(tokenizer), arguments(tmp_path, per_device_eval_batch_size=4), collator)
    prediction = trainer.predict(evaluation)
    assert isinstance(prediction.predictions, np.ndarray)
    assert prediction.predictions.shape == (*prediction.label_ids.shape, len(tokenizer))
    # and the rows are where the labels are
    labelled = prediction.label_ids != -100
    logits = torch.tensor(prediction.predictions[labelled]).double()
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(prediction.label_ids[labelled]))
    batch_losses = [trainer.model(**collator(evaluation[start : start + 4])) for start in (0, 4)]
    assert len(batch_losses) == 2 and float(loss) == pytest.approx(prediction.metrics["test_loss"], rel=0.05)


# -------------------------------------------------------------------------------------------------------- Seq2SeqTrainer


PAIRS = [
    ("Ada Lovelace [MASK] program.", " wrote the first"),
    ("It was for a [MASK] that was never built!", " machine"),
    ("Grace Hopper found a moth in the relay; she taped it into the [MASK]", " log book"),
    ("[gMASK]", "Is a blank a hole in the text?"),
]


def pairs(tokenizer, targets=None):
    targets = targets or [target for _, target in PAIRS]
    return [
        {**tokenizer(source), "labels": tokenizer(text_target=target)["input_ids"]}
        for (source, _), target in zip(PAIRS, targets, strict=True)
    ]


def seq2seq_trainer(folder, model, tokenizer, **kwargs):
    settings = arguments(
        folder,
        kind=Seq2SeqTrainingArguments,
        predict_with_generate=True,
        generation_max_length=6,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        max_steps=2,
        **kwargs,
    )
    collator = DataCollatorForSeq2Seq(tokenizer, model=model)
    return Seq2SeqTrainer(model, settings, collator, train_dataset=pairs(tokenizer), processing_class=tokenizer)


@pytest.fixture(params=["left", "right"])
def sided_tokenizer(request, tokenizer):
    before, tokenizer.padding_side = tokenizer.padding_side, request.param
    yield tokenizer
    tokenizer.padding_side = before


def test_the_seq2seq_collator_pads_both_streams(sided_tokenizer):
    tokenizer = sided_tokenizer
    model = model_for(tokenizer, initializer_range=0.25)
    together = DataCollatorForSeq2Seq(tokenizer, model=model)(pairs(tokenizer))
    assert set(together) == {"input_ids", "attention_mask", "labels", "decoder_input_ids"}
    with torch.no_grad():
        logits = model(**together).logits
        assert logits.shape[:2] == together["labels"].shape
        for row, pair in enumerate(pairs(tokenizer)):
            alone = model(**{name: torch.tensor([value]) for name, value in pair.items()}).logits[0]
            torch.testing.assert_close(logits[row][together["labels"][row] != -100], alone, rtol=1e-4, atol=1e-4)


def test_seq2seq_training_generates_from_the_source_alone(sided_tokenizer, tmp_path):
    tokenizer = sided_tokenizer
    trainer = seq2seq_trainer(tmp_path, model_for(tokenizer, initializer_range=0.25), tokenizer, logging_steps=1)
    trainer.train()
    assert len(losses_of(trainer)) == 2
    prediction = trainer.predict(pairs(tokenizer))
    other_targets = trainer.predict(pairs(tokenizer, targets=[" quite", " another", " target", " text"]))
    assert prediction.metrics["test_loss"] != other_targets.metrics["test_loss"]
    # the target is not in the prompt: with other targets the same is generated
    assert (prediction.predictions == other_targets.predictions).all()
    for row, pair in zip(prediction.predictions.tolist(), pairs(tokenizer), strict=True):
        alone = trainer.model.generate(torch.tensor([pair["input_ids"]]), max_length=6)[0].tolist()
        assert row[: len(alone)] == alone
        assert set(row[len(alone) :]) <= {tokenizer.pad_token_id}
        assert row[0] == tokenizer.sop_token_id


@pytest.mark.parametrize("form", ["one row", "two streams"])
def test_label_smoothing_is_aligned(form, tmp_path, tokenizer, rows):
    model = model_for(tokenizer, initializer_range=0.25)
    trainer = seq2seq_trainer(tmp_path, model, tokenizer, label_smoothing_factor=0.2)
    batch = trainer.data_collator(pairs(tokenizer))
    if form == "one row":
        trainer = Trainer(model, arguments(tmp_path, label_smoothing_factor=0.2))
        batch = DataCollatorForBlankInfilling(tokenizer)(rows[:4])
    with torch.no_grad():
        log_probabilities = model(**batch).logits.log_softmax(-1)
        loss = trainer.compute_loss(model, dict(batch))
    labelled = batch["labels"] != -100
    right = -log_probabilities[labelled, batch["labels"][labelled]].mean()
    torch.testing.assert_close(loss, 0.8 * right - 0.2 * log_probabilities[labelled].mean())
    if form == "two streams":
        trainer.train()


@pytest.mark.slow
def test_a_pretrained_model_learns_a_target_by_heart(tmp_path, tokenizer):
    trainer = seq2seq_trainer(tmp_path, model_for(tokenizer), tokenizer, learning_rate=1e-2)
    trainer.args.max_steps, trainer.args.generation_max_length = 150, 20
    trainer.train()
    texts = tokenizer.batch_decode(trainer.predict(pairs(tokenizer)).predictions, skip_special_tokens=True)
    assert texts == [target for _, target in PAIRS]


def test_a_frozen_encoder_is_named_where_its_loss_has_no_gradient(tokenizer, caplog):
    """Row 26: scripts for T5 freeze get_encoder(), which is all of a GLM."""
    model = make_model(tokenizer=tokenizer).train()
    batch = DataCollatorForBlankInfilling(tokenizer)([{"input_ids": tokenizer("Ada wrote it")["input_ids"]}])
    modeling_glm.logger.addHandler(caplog.handler)
    try:
        modeling_glm.logger.warning_once.cache_clear()
        assert model(**batch).loss.requires_grad
        model.get_encoder().requires_grad_(False)
        model.eval()(**batch)
        assert not caplog.messages
        model.train()(**batch)
        assert "Freeze some of model.glm.transformer.layers instead" in caplog.text
    finally:
        modeling_glm.logger.removeHandler(caplog.handler)
