# SPDX-License-Identifier: Apache-2.0
"""Virtual tokens of PEFT: the first tokens of Part A, on positions 0, ..., n - 1, in the row or in the cache."""

import pytest
import torch
from conftest import CLS, EOP, EOS, GMASK, MASK, PAD, SMASK, SOP, make_config, make_model
from naive_glm import naive_logits, naive_row
from peft import MultitaskPromptTuningConfig, PeftModel, get_peft_model
from peft_cases import EVERY, HEADS, IN_THE_ROW, SENTENCES, VIRTUAL, VOCABULARY, arguments, losses_of
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

import transformers_glm  # noqa: F401 (tells PEFT of GLM)
from modeling_glm import GLMForSequenceClassification, GLMModel
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm import DataCollatorForBlankInfilling, fill_blanks


pytestmark = pytest.mark.core
TASKS = ("CAUSAL_LM", "SEQ_2_SEQ_LM")
# Part A, the index of each piece's blank with its span: the second row's pieces are shuffled
EXAMPLES = [
    ([CLS, 11, MASK, 14, EOS], [(2, [15, 16])]),
    ([CLS, 21, MASK, 24, 25, SMASK, EOS], [(5, [28]), (2, [26, 27])]),
]


def adapted(method, task="CAUSAL_LM", **kwargs):
    torch.manual_seed(1)
    model = get_peft_model(make_model(**kwargs), EVERY[method](task)).eval()
    with torch.no_grad():
        for parameter in model.prompt_encoder.parameters():
            parameter.normal_(std=0.5)
    return model


def prompt_of(model):
    """What stands before the row: embeddings (n, hidden_size), or a pair of keys and values (n, hidden_size) a layer."""
    with torch.no_grad():
        prompt = model.get_prompt(1)
    if isinstance(prompt, torch.Tensor):
        return prompt[0]
    return [
        tuple(part[0].transpose(0, 1).reshape(VIRTUAL, -1) for part in (layer.keys, layer.values))
        for layer in prompt.layers
    ]


def twin(model, part_a, pieces):
    """
    The naive twin's logits of the tokens of a row.

    Virtual tokens are tokens whose embeddings the prompt encoder wrote, or, in the cache, keys and values beside all others.
    """
    weights, prompt = dict(model.get_base_model().state_dict()), prompt_of(model)
    shifted = [(blank + VIRTUAL, span) for blank, span in pieces]
    virtual = list(range(VOCABULARY, VOCABULARY + VIRTUAL))
    tokens, position_1, position_2 = naive_row([*virtual, *part_a], shifted, SOP)
    if isinstance(prompt, list):
        tokens, position_1, position_2 = (part[VIRTUAL:] for part in (tokens, position_1, position_2))
        return naive_logits(weights, HEADS, tokens, position_1, position_2, prefix=prompt)
    table = "glm.word_embeddings.weight"
    weights[table] = torch.cat([weights[table], prompt])
    return naive_logits(weights, HEADS, tokens, position_1, position_2)[VIRTUAL:, :VOCABULARY]


def padded(rows, side, value=0):
    width = max(map(len, rows)) + 1
    fill = [[value] * (width - len(row)) for row in rows]
    joined = [space + row if side == "left" else row + space for space, row in zip(fill, rows, strict=True)]
    return torch.tensor(joined)


def batch_of(examples, side):
    """A batch as the collator makes it: both positions are given."""
    rows = [naive_row(part_a, pieces, SOP) for part_a, pieces in examples]
    labels = [
        [-100] * len(part_a) + [label for _, span in pieces for label in [*span, EOP]] for part_a, pieces in examples
    ]
    return {
        "input_ids": padded([row[0] for row in rows], side, PAD),
        "attention_mask": padded([[1] * len(row[0]) for row in rows], side),
        "position_ids": padded([row[1] for row in rows], side),
        "block_position_ids": padded([row[2] for row in rows], side),
        "labels": padded(labels, side, -100),
    }


def same(actual, expected):
    torch.testing.assert_close(actual.detach().double(), expected.detach().double(), atol=5e-5, rtol=0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_and_loss_of_the_collator_s_batch_are_the_twin_s(method, task, side):
    model, batch = adapted(method, task), batch_of(EXAMPLES, side)
    with torch.no_grad():
        output = model(**batch)
    width, losses = batch["input_ids"].shape[1], []
    for row, example in enumerate(EXAMPLES):
        expected = twin(model, *example)
        is_token = batch["attention_mask"][row].bool()
        same(output.logits[row, -width:][is_token], expected)
        labels = batch["labels"][row][is_token]
        losses.append(torch.nn.functional.cross_entropy(expected, labels, reduction="none")[labels != -100])
    same(output.loss, torch.cat(losses).mean())


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("side", ["left", "right", None])
def test_derived_positions_are_the_same_as_given_ones(method, side):
    in_order = [(part_a, sorted(pieces)) for part_a, pieces in EXAMPLES]
    if side is None:  # no padding and no mask
        in_order, side = in_order[:1], "left"
        batch = {name: tensor[:, 1:] for name, tensor in batch_of(in_order, side).items() if name != "attention_mask"}
    else:
        batch = batch_of(in_order, side)
    model = adapted(method)
    bare = {name: tensor for name, tensor in batch.items() if "position" not in name}
    with torch.no_grad():
        given, derived = model(**batch), model(**bare)
    is_token = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    width = is_token.shape[1]
    same(derived.logits[:, -width:][is_token], given.logits[:, -width:][is_token])
    same(derived.loss, given.loss)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("decoder_input_ids", [False, True])
def test_two_streams_are_one_row(method, task, decoder_input_ids):
    model = adapted(method, task)
    targets = [[15, 16, EOP], [26, EOP]]
    labels, parts_a = padded(targets, "right", -100), [part_a for part_a, _ in EXAMPLES]
    batch = {
        "input_ids": padded(parts_a, "left", PAD),
        "attention_mask": padded([[1] * len(part_a) for part_a in parts_a], "left"),
        "labels": labels,
    }
    if decoder_input_ids:
        batch["decoder_input_ids"] = model.get_base_model().prepare_decoder_input_ids_from_labels(labels)
    with torch.no_grad():
        output = model(**batch)
    width = labels.shape[1]
    for row, (part_a, target) in enumerate(zip(parts_a, targets, strict=True)):
        expected = twin(model, part_a, [(2, target[:-1])])[len(part_a) :]
        same(output.logits[row, -width:][labels[row] != -100], expected)


@pytest.mark.parametrize("method", EVERY)
def test_gradients_reach_the_prompt_alone_and_training_mode_has_the_same_loss(method):
    model, batch = adapted(method, output_dropout_prob=0.0), batch_of(EXAMPLES, "left")
    expected = model(**batch).loss
    loss = model.train()(**batch).loss
    same(loss, expected)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.any())) == ("prompt_encoder" in name), name


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_gives_the_prompt_the_same_gradients(use_reentrant):
    gradients = []
    for checkpointing in (False, True):
        model = adapted("P-tuning").train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
        model(**batch_of(EXAMPLES, "left")).loss.backward()
        gradients.append([parameter.grad for parameter in model.prompt_encoder.parameters()])
    for gradient, expected in zip(*gradients, strict=True):
        same(gradient, expected)


@pytest.mark.parametrize("method", EVERY)
def test_labels_do_not_leak(method):
    model, batch = adapted(method), batch_of(EXAMPLES, "left")
    part_b = batch["block_position_ids"] > 1
    with torch.no_grad():
        before = model(**batch).logits
    width = part_b.shape[1]
    for row, column in part_b.nonzero().tolist():
        changed = batch["input_ids"].clone()
        changed[row, column] += 1
        with torch.no_grad():
            difference = (model(**{**batch, "input_ids": changed}).logits - before)[row, -width:].abs().amax(-1)
        assert difference[:column].max() == 0
        assert difference[column] > 1e-4


@pytest.mark.parametrize("method", EVERY)
def test_the_prompt_changes_every_logit_and_part_a_sees_all_of_itself(method):
    model, batch = adapted(method), batch_of(EXAMPLES[:1], "left")
    with torch.no_grad():
        before = model(**batch).logits
        with model.disable_adapter():
            without = model(**batch).logits
        changed = batch["input_ids"].clone()
        changed[0, 5] = 12  # the last token of Part A
        after = model(**{**batch, "input_ids": changed}).logits
    is_token = batch["attention_mask"][0].bool()
    for other, least in ((without, 1e-3), (after, 1e-4)):
        width = is_token.shape[0]
        assert (before[0, -width:] - other[0, -width:])[is_token].abs().amax(-1).min() > least


def twin_fill(model, part_a, pieces, blank, steps):
    span = []
    for _ in range(steps):
        logits = twin(model, part_a, [*pieces, (blank, span)])[-1]
        logits[[MASK, SMASK, GMASK, SOP]] = -torch.inf
        span.append(int(logits.argmax()))
        if span[-1] in (EOP, EOS):
            break
    return span


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("side", ["left", "right"])
def test_generate_is_the_twin_s(method, task, side):
    model = adapted(method, task)
    parts_a = [part_a for part_a, _ in EXAMPLES]
    prompt = {
        "input_ids": padded(parts_a, side, PAD),
        "attention_mask": padded([[1] * len(part_a) for part_a in parts_a], side),
    }
    expected = [[SOP, *twin_fill(model, part_a, [], 2, 6)] for part_a in parts_a]
    for use_cache in (True, False) if method in IN_THE_ROW else (True,):
        pieces = model.generate(**prompt, max_new_tokens=6, do_sample=False, use_cache=use_cache).tolist()
        assert [piece[: len(wanted)] for piece, wanted in zip(pieces, expected, strict=True)] == expected


@pytest.mark.parametrize("method", ["P-tuning", "prefix tuning"])
def test_beams_with_padding_equal_beams_alone(method):
    model = adapted(method)
    parts_a = [part_a for part_a, _ in EXAMPLES]
    settings = {"max_new_tokens": 5, "num_beams": 3, "num_return_sequences": 2}
    batch = model.generate(
        input_ids=padded(parts_a, "left", PAD),
        attention_mask=padded([[1] * len(part_a) for part_a in parts_a], "left"),
        **settings,
    )
    for row, part_a in enumerate(parts_a):
        alone = model.generate(input_ids=torch.tensor([part_a]), **settings)
        together = batch[2 * row : 2 * row + 2]
        width = min(alone.shape[1], together.shape[1])
        assert alone[:, :width].tolist() == together[:, :width].tolist()


@pytest.mark.parametrize("task", TASKS)
def test_generate_takes_positions_that_are_given(task):
    model = adapted("P-tuning", task)
    batch = batch_of([(EXAMPLES[1][0], [(5, [])])], "left")
    batch.pop("labels")
    row = model.generate(**batch, max_new_tokens=5, do_sample=False)[0, batch["input_ids"].shape[1] :].tolist()
    expected = twin_fill(model, EXAMPLES[1][0], [], 5, 5)
    assert row[: len(expected)] == expected


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", ["P-tuning", "prefix tuning"])
def test_fill_blanks_fills_several(method, task, tokenizer, text_model):
    torch.manual_seed(3)
    model = get_peft_model(text_model, EVERY[method](task)).eval()
    text = "Ada [MASK] the first [MASK]."
    part_a = tokenizer(text)["input_ids"]
    blanks = [index for index, token in enumerate(part_a) if token == tokenizer.mask_token_id]
    filled = fill_blanks(model, tokenizer, [text, "It is [MASK]"], max_new_tokens=3)[0]
    settings = {"max_new_tokens": 3, "do_sample": False}
    pieces = []
    for number, blank in enumerate(blanks):
        tokens, position_1, position_2 = naive_row(part_a, [*pieces, (blank, [])], tokenizer.sop_token_id)
        row = {
            "input_ids": torch.tensor([tokens]),
            "position_ids": torch.tensor([position_1]),
            "block_position_ids": torch.tensor([position_2]),
        }
        span = model.generate(**row, **settings)[0, len(tokens) :].tolist()
        span = span[: next((at for at, token in enumerate(span) if token == tokenizer.eop_token_id), len(span))]
        assert filled.pieces[number] == tokenizer.decode(span, skip_special_tokens=True)
        pieces.append((blank, span))


@pytest.mark.parametrize("method", ["P-tuning", "prefix tuning"])
def test_a_classifier_learns_and_is_saved(method, tmp_path):
    torch.manual_seed(0)
    base = GLMForSequenceClassification(make_config(num_labels=3)).eval()
    model = get_peft_model(base, EVERY[method]("SEQ_CLS"))
    batch = {
        "input_ids": torch.tensor([[PAD, CLS, 5, 6], [CLS, 7, 8, 9]]),
        "attention_mask": torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]),
    }
    loss = model(**batch, labels=torch.tensor([0, 2])).loss
    loss.backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert any("prompt_encoder" in name for name in trained) and any("classifier" in name for name in trained)
    alone = {name: tensor[:1, 1:] for name, tensor in batch.items()}
    with torch.no_grad():
        same(model.eval()(**batch).logits[:1], model(**alone).logits)
    expected = model(**batch).logits
    model.save_pretrained(tmp_path)
    torch.manual_seed(0)
    fresh = GLMForSequenceClassification(make_config(num_labels=3)).eval()
    torch.nn.init.normal_(fresh.classifier.out_proj.weight)
    same(PeftModel.from_pretrained(fresh, tmp_path).eval()(**batch).logits, expected)


@pytest.mark.parametrize("method", ["P-tuning", "prefix tuning"])
def test_choices_are_scored_beside_virtual_tokens(method, tokenizer):
    torch.manual_seed(0)
    base = GLMForMultipleChoice(make_config(tokenizer=tokenizer, max_sequence_length=128)).eval()
    model = get_peft_model(base, EVERY[method]("FEATURE_EXTRACTION")).eval()
    inputs = tokenizer(["Ada wrote [MASK]", "A moth in [MASK] was found"], return_tensors="pt", padding=True)
    choices = [["the first program", "a"], ["the relay", "text", "log book"]]
    batch = tokenizer.build_inputs_for_multiple_choice(inputs, choices)
    with torch.no_grad():
        together = model(**batch, labels=torch.tensor([0, 1]))
    assert together.loss.isfinite()
    for row, of_row in enumerate(choices):
        for number, choice in enumerate(of_row):
            text = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
            with torch.no_grad():
                alone = model(**tokenizer.build_inputs_for_multiple_choice(text, [[choice]])).logits
            same(together.logits[row, number], alone[0, 0])


@pytest.mark.parametrize("method", EVERY)
def test_hidden_states_of_part_a_do_not_change_with_part_b(method):
    torch.manual_seed(0)
    model = get_peft_model(GLMModel(make_config()).eval(), EVERY[method]("FEATURE_EXTRACTION")).eval()
    batch = batch_of(EXAMPLES[:1], "right")
    batch.pop("labels")
    changed = torch.where(batch["block_position_ids"] > 0, 40, batch["input_ids"])
    with torch.no_grad():
        before, after = (
            model(**{**batch, "input_ids": ids}).last_hidden_state for ids in (batch["input_ids"], changed)
        )
    difference = (before - after)[0].abs().amax(-1)[-batch["input_ids"].shape[1] :]
    assert difference[:5].max() == 0 and difference[5:8].max() > 0


@pytest.mark.parametrize("task", TASKS)
def test_multitask_prompt_tuning_learns_a_prompt_a_task(task):
    config = MultitaskPromptTuningConfig(task_type=task, num_virtual_tokens=VIRTUAL, num_tasks=2)
    model, batch = get_peft_model(make_model(), config).eval(), batch_of(EXAMPLES, "left")
    with torch.no_grad():
        model.prompt_encoder["default"].prefix_task_rows.normal_()
        model.prompt_encoder["default"].prefix_task_cols.normal_()
    first, second = (model(**batch, task_ids=torch.tensor([number, number])).loss for number in (0, 1))
    assert (first - second).abs() > 1e-3
    del batch["labels"]
    assert len(model.generate(**batch, task_ids=torch.tensor([0, 1]), max_new_tokens=2)) == 2


@pytest.mark.parametrize("method", EVERY)
def test_more_virtual_tokens_than_positions_are_refused(method):
    model = adapted(method, max_sequence_length=VIRTUAL - 1)
    with pytest.raises(ValueError, match="num_virtual_tokens=3, but the model's positions end at 2"):
        model(input_ids=torch.tensor([[CLS, MASK]]))


def test_virtual_tokens_and_a_text_that_need_more_positions_are_refused():
    model = adapted("P-tuning", max_sequence_length=9)
    with pytest.raises(ValueError, match="position_ids holds 11, outside the position table"):
        model(input_ids=torch.tensor([[CLS, *range(10, 17), MASK]]))


def test_packed_rows_are_refused():
    batch = batch_of(EXAMPLES[:1], "right")
    with pytest.raises(ValueError, match="Packed rows .* have no place for virtual tokens"):
        adapted("P-tuning")(**batch, document_ids=torch.ones_like(batch["input_ids"]))


def test_without_the_package_rows_that_lost_a_position_are_refused(tiny_model):
    embeddings = tiny_model.glm.word_embeddings(torch.tensor([[5, 6, CLS, MASK, SOP, 7]]))
    with pytest.raises(
        ValueError, match=r"block_position_ids have shape \(1, 4\), the row has \(1, 6\).*import transformers_glm"
    ):
        tiny_model(inputs_embeds=embeddings, block_position_ids=torch.tensor([[0, 0, 1, 2]]))


def test_an_encoder_s_virtual_tokens_are_refused(tiny_model):
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache

    with pytest.raises(ValueError, match='task_type="CAUSAL_LM"'):
        tiny_model(torch.tensor([[CLS, MASK]]), cache=EncoderDecoderCache(DynamicCache(), DynamicCache()))
    with pytest.raises(ValueError, match="GLM is one Transformer"):
        tiny_model(torch.tensor([[CLS, MASK]]), decoder_inputs_embeds=torch.zeros(1, 2, 32))


def test_a_mask_that_forgets_the_cache_is_refused(tiny_model):
    cache = tiny_model(torch.tensor([[CLS, 5]]), use_cache=True).cache
    with pytest.raises(ValueError, match="attention_mask has 2 columns, the cache 2 and the row 2"):
        tiny_model(torch.tensor([[6, 7]]), attention_mask=torch.ones(1, 2), cache=cache)


@pytest.mark.parametrize("method", ["P-tuning", "prefix tuning"])
def test_the_trainer_lowers_the_loss_on_the_collator_s_batches(method, tmp_path, tokenizer, text_model):
    model = get_peft_model(text_model, EVERY[method]("CAUSAL_LM"))
    settings = arguments(tmp_path, TrainingArguments, max_steps=60, learning_rate=0.03)
    rows = [{"input_ids": tokenizer(sentence)["input_ids"]} for sentence in SENTENCES]
    trainer = Trainer(model, settings, DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "document": 0.5}), rows)
    trainer.train()
    losses = losses_of(trainer)
    # what a prompt can do for a frozen model that knows nothing, on blanks that are drawn anew in every step
    assert losses[-1] < 0.96 * losses[0], losses


@pytest.mark.parametrize("method", ["P-tuning", "prefix tuning"])
def test_the_seq2seq_trainer_trains_and_predicts(method, tmp_path, tokenizer, text_model):
    model = get_peft_model(text_model, EVERY[method]("SEQ_2_SEQ_LM"))
    rows = [
        {
            **tokenizer(f"{text} [MASK]"),
            "labels": [*tokenizer(" end.", add_special_tokens=False)["input_ids"], tokenizer.eop_token_id],
        }
        for text in SENTENCES
    ]
    steps = {"max_steps": 20, "logging_steps": 5, "learning_rate": 0.1, "lr_scheduler_type": "linear"}
    settings = arguments(
        tmp_path, Seq2SeqTrainingArguments, predict_with_generate=True, generation_max_length=5, **steps
    )
    collator = DataCollatorForSeq2Seq(tokenizer, model=model)
    trainer = Seq2SeqTrainer(model, settings, collator, rows, processing_class=tokenizer)
    trainer.train()
    losses = losses_of(trainer)
    assert losses[-1] < 0.9 * losses[0], losses
    predictions = trainer.predict(rows[:5]).predictions
    assert predictions.shape[0] == 5 and set(predictions[:, 0]) == {tokenizer.sop_token_id}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", EVERY)
def test_a_saved_prompt_gives_the_same(method, task, tmp_path):
    model, batch = adapted(method, task), batch_of(EXAMPLES, "left")
    with torch.no_grad():
        expected = model(**batch).logits
        model.save_pretrained(tmp_path)
        same(PeftModel.from_pretrained(make_model(), tmp_path).eval()(**batch).logits, expected)
