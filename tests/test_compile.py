# SPDX-License-Identifier: Apache-2.0
"""`torch.compile` of the training step: no graph break on padded batches, the same loss and gradients, few graphs."""

import shutil

import pytest
import torch
from conftest import TEXTS, make_config
from torch._dynamo.utils import counters
from transformers import DataCollatorForSeq2Seq

from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm import DataCollatorForBlankInfilling


SOURCES = ["Ada [MASK] it.", "Grace found [MASK] in the relay, and smiled.", "Is a [MASK] ?", "1 2 3 [MASK] 5 6 7 8 9"]
TARGETS = ["wrote", "a moth", "blank a hole in the text", "4"]
# rows of each batch; no two batches have the same shape
SELECTIONS = ((0, 1), (1, 2, 3), (3, 0, 2, 1), (3, 2))


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()
    counters.clear()


@pytest.fixture
def settings(tokenizer):
    return {"tokenizer": tokenizer, "max_sequence_length": 128, "num_labels": 3, "num_layers": 1}


def one_row(tokenizer, model, rows):
    """Blanked and padded by the collator, as in pretraining."""
    collator = DataCollatorForBlankInfilling(tokenizer, mixture={"token": 0.6, "document": 0.4})
    return collator([{"input_ids": tokenizer(TEXTS[row] * (1 + row % 2))["input_ids"]} for row in rows])


def two_streams(tokenizer, model, rows):
    """As T5 takes them."""
    examples = [
        {
            "input_ids": tokenizer(SOURCES[row])["input_ids"],
            "labels": tokenizer(text_target=TARGETS[row])["input_ids"],
        }
        for row in rows
    ]
    return DataCollatorForSeq2Seq(tokenizer, model=model)(examples)


def classification(tokenizer, model, rows):
    inputs = tokenizer([SOURCES[row] for row in rows], padding=True, return_tensors="pt")
    return {**inputs, "labels": torch.tensor([row % 3 for row in rows])}


def choices(tokenizer, model, rows):
    inputs = tokenizer([SOURCES[row] for row in rows], padding=True, return_tensors="pt")
    answers = [[TARGETS[row], "another", "no way"][: 2 + row % 2] for row in rows]
    return {
        **tokenizer.build_inputs_for_multiple_choice(inputs, answers),
        "labels": torch.zeros(len(rows), dtype=torch.long),
    }


CASES = {
    "one row": (GLMForConditionalGeneration, one_row),
    "two streams": (GLMForConditionalGeneration, two_streams),
    "classification": (GLMForSequenceClassification, classification),
    "multiple choice": (GLMForMultipleChoice, choices),
}


def make(case, settings):
    torch.manual_seed(0)
    model_class, make_batch = CASES[case]
    return model_class(make_config(**settings)).train(), make_batch


def step(call, model, batch):
    """Loss and gradients of a training step."""
    model.zero_grad()
    loss = call(**batch).loss
    loss.backward()
    return loss.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def check_training(case, settings, tokenizer, tolerance, **how):
    model, make_batch = make(case, settings)
    compiled = torch.compile(model, fullgraph=True, **how)  # fullgraph: a graph break is an error
    batches = [make_batch(tokenizer, model, rows) for rows in SELECTIONS]
    assert len({batch["input_ids"].shape for batch in batches}) == len(batches)
    for batch in batches:
        assert not batch["attention_mask"].all()
        loss, gradients = step(model, model, batch)
        again, compiled_gradients = step(compiled, model, batch)
        torch.testing.assert_close(again, loss, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(compiled_gradients, gradients, rtol=tolerance, atol=tolerance)
    # one for the first shape, one for all others: an axis that moves is dynamic from then on
    assert counters["stats"]["unique_graphs"] <= 2


@pytest.mark.parametrize(
    "case",
    ["one row", "two streams", *(pytest.param(case, marks=pytest.mark.slow) for case in list(CASES)[2:])],
)
def test_training_compiles_to_two_graphs_without_a_break(case, settings, tokenizer):
    check_training(case, settings, tokenizer, 1e-5, backend="aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("case", ["one row", "two streams"])
def test_training_compiles_with_inductor(case, settings, tokenizer):
    check_training(case, settings, tokenizer, 1e-4)


@pytest.mark.slow
def test_dynamic_shapes_from_the_start_make_one_graph(settings, tokenizer):
    model, make_batch = make("one row", settings)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    for rows in SELECTIONS:
        compiled(**make_batch(tokenizer, model, rows)).loss.backward()
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("longer", [0, 3])
def test_targets_without_decoder_input_ids_mean_the_same_compiled(settings, tokenizer, longer):
    """Row 3: labels beside a Part A, as long as it or not."""
    model, _ = make("two streams", settings)
    batch = dict(tokenizer([SOURCES[0]], return_tensors="pt"))
    length = batch["input_ids"].shape[1] + longer
    target = (tokenizer(text_target=TARGETS[0])["input_ids"] * 9)[: length - 1]
    batch["labels"] = torch.tensor([[*target, tokenizer.eop_token_id]])
    loss = torch.compile(model, backend="aot_eager")(**batch).loss
    torch.testing.assert_close(loss, model(**batch).loss, rtol=1e-5, atol=1e-5)
