# SPDX-License-Identifier: Apache-2.0

import pytest
import torch
from conftest import CLS, EOP, EOS, MASK, SMASK, SOP, make_config, make_model
from drawn_rows import batches, packed_batch, packed_row, padded, padded_batch, picture, rows, sides
from flex_kernel import error_of_compiled_flex_attention
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_glm import naive_logits, naive_mask, naive_row
from tiny_models import FIGURE_2, HEADS, LABELS, MODELS, WEIGHTS, each_implementation, same
from transformers import StaticCache

from multiple_choice_glm import GLMForMultipleChoice


pytestmark = pytest.mark.core


def assert_logits_are_the_papers(model, examples, inputs):
    """Each row of a batch against the naive twin, which reads it alone."""
    with torch.no_grad():
        logits = model(**inputs).logits
    for row, example in enumerate(examples):
        expected = naive_logits(WEIGHTS, HEADS, *example)
        if "document_ids" in inputs:
            same(logits[row][inputs["document_ids"][row] > 0], expected)
        else:
            same(logits[row][inputs["attention_mask"][row] == 1], expected)


# ------------------------------------------------------------------------------------------------- the naive twin


@each_implementation
@pytest.mark.parametrize("derives_positions", [False, True])
@settings(max_examples=150, deadline=None)
@given(data=st.data(), side=sides, extra=st.integers(0, 2))
def test_logits_are_the_papers(implementation, derives_positions, data, side, extra):
    examples = data.draw(st.lists(rows(shuffled=not derives_positions), min_size=1, max_size=3))
    inputs = padded_batch(examples, side, extra)
    if derives_positions:
        del inputs["position_ids"], inputs["block_position_ids"]
    assert_logits_are_the_papers(MODELS[implementation], examples, inputs)


@each_implementation
@settings(max_examples=100, deadline=None)
@given(
    documents=st.lists(st.lists(rows(), min_size=1, max_size=4), min_size=1, max_size=2),
    side=sides,
    extra=st.integers(0, 2),
)
def test_logits_of_packed_rows_are_the_papers(implementation, documents, side, extra):
    packed = [packed_row(row) for row in documents]
    inputs = packed_batch(packed, side, extra)
    assert_logits_are_the_papers(MODELS[implementation], packed, inputs)
    for row, examples in enumerate(documents):  # and each document is as if it were alone
        with torch.no_grad():
            logits = MODELS[implementation](**inputs).logits[row][inputs["document_ids"][row] > 0]
        alone = torch.cat([naive_logits(WEIGHTS, HEADS, *example) for example in examples])
        same(logits, alone)


@each_implementation
def test_sequences_without_padding_are_told_apart_by_their_positions(implementation):
    # Transformers' way of packing: position_ids alone, each sequence from 0; here a piece stands on position 0 too
    examples = [FIGURE_2, naive_row([CLS, 31, EOS], [], SOP), naive_row([MASK, 21], [(0, [22, 23])], SOP)]
    tokens, position_1, *_ = packed_row(examples)
    with torch.no_grad():
        logits = MODELS[implementation](torch.tensor([tokens]), position_ids=torch.tensor([position_1])).logits[0]
    same(logits, torch.cat([naive_logits(WEIGHTS, HEADS, *example) for example in examples]))


@each_implementation
@pytest.mark.parametrize("known", ["position_ids", "block_position_ids"])
def test_either_position_is_derived_beside_the_other(implementation, known):
    examples = [naive_row([CLS, 11, MASK, 14, EOS], [(2, [15, 16])], SOP), naive_row([CLS, SMASK], [(1, [7])], SOP)]
    inputs = padded_batch(examples, "left", extra=1)
    del inputs[{"position_ids": "block_position_ids", "block_position_ids": "position_ids"}[known]]
    assert_logits_are_the_papers(MODELS[implementation], examples, inputs)


def read_mask(implementation, inputs):
    """The model's own mask as booleans (B, T, T)."""
    glm = MODELS[implementation].glm
    mask = glm._mask(
        glm.word_embeddings(inputs["input_ids"]),
        inputs.get("attention_mask"),
        inputs["block_position_ids"],
        inputs.get("document_ids"),
        None,
    )
    if mask is None:
        raise ValueError("no mask: the attention would be causal")
    return mask[:, 0] if mask.dtype == torch.bool else mask[:, 0] == 0


@each_implementation
@settings(max_examples=100, deadline=None)
@given(examples=batches, side=sides, packs=st.booleans())
def test_the_mask_is_the_papers(implementation, examples, side, packs):
    if packs:
        packed = [packed_row(examples)]
        mask = read_mask(implementation, packed_batch(packed, side, extra=1))
        expected = [naive_mask(packed[0][2], packed[0][3])]
    else:
        mask = read_mask(implementation, padded_batch(examples, side, extra=1))
        expected = [naive_mask(example[2]) for example in examples]
    for row, seen in zip(mask, expected, strict=True):
        width = len(seen)
        tokens = slice(-width, None) if side == "left" else slice(width)
        assert picture(row[tokens, tokens]) == picture(seen)
        assert not row[tokens].sum(-1).gt(torch.tensor(seen).sum(-1)).any()  # and no token sees padding


@each_implementation
def test_part_b_sees_part_a_and_its_own_past(implementation):
    assert picture(read_mask(implementation, padded_batch([FIGURE_2]))[0]) == [
        "111111.....",
        "111111.....",
        "111111.....",
        "111111.....",
        "111111.....",
        "111111.....",
        "1111111....",
        "11111111...",
        "111111111..",
        "1111111111.",
        "11111111111",
    ]


@each_implementation
def test_full_batches_need_no_attention_mask(implementation):
    # positions that step by anything except one must not be taken for the beginnings of packed sequences
    inputs = padded_batch([FIGURE_2, FIGURE_2])
    del inputs["attention_mask"]
    with torch.no_grad():
        logits = MODELS[implementation](**inputs).logits
    same(logits[1], naive_logits(WEIGHTS, HEADS, *FIGURE_2))


FLEX_EXAMPLES = [FIGURE_2, naive_row([CLS, 21, SMASK, EOS], [(2, [22])], SOP)]


@pytest.fixture
def flex_written_out():
    """Flex attention as PyTorch writes it out: no compiled kernel, and right on every processor."""
    with torch.compiler.set_stance("force_eager"):
        yield


@torch.no_grad()  # on CPUs flex attention has no backward pass
def check_flex_attention():
    for side in ("left", "right"):
        assert_logits_are_the_papers(MODELS["flex_attention"], FLEX_EXAMPLES, padded_batch(FLEX_EXAMPLES, side, 5))
    packed = [packed_row(FLEX_EXAMPLES), FIGURE_2 + ([1] * 11,)]
    assert_logits_are_the_papers(MODELS["flex_attention"], packed, packed_batch(packed))


def test_flex_attention_is_the_papers(flex_written_out):
    check_flex_attention()


@pytest.mark.slow
def test_compiled_flex_attention_is_the_papers():
    error = error_of_compiled_flex_attention()
    if error > 1e-3:
        pytest.skip(f"PyTorch's compiled flex attention and its sdpa differ by {error} on this processor")
    check_flex_attention()


# ------------------------------------------------------------------------------------------- who sees what, by change


@each_implementation
@settings(max_examples=50, deadline=None)
@given(example=rows(min_blanks=1), data=st.data())
def test_a_later_token_of_part_b_changes_no_earlier_logit(implementation, example, data):
    tokens, position_1, position_2 = example
    place = data.draw(st.integers(position_2.index(1), len(tokens) - 1))
    changed = [*tokens[:place], data.draw(st.integers(3, 89)), *tokens[place + 1 :]]
    with torch.no_grad():  # rows apart: a product may round the rows of one matrix in different ways
        before, after = (
            MODELS[implementation](**padded_batch([row])).logits[0]
            for row in (example, (changed, position_1, position_2))
        )
    same(before[:place], after[:place], 1e-6)


@each_implementation
@settings(max_examples=50, deadline=None)
@given(example=rows(min_blanks=1), data=st.data())
def test_part_b_changes_no_hidden_state_of_part_a(implementation, example, data):
    tokens, position_1, position_2 = example
    part_a = position_2.index(1)
    other = data.draw(st.lists(st.integers(3, 99 - 1), min_size=len(tokens) - part_a, max_size=len(tokens) - part_a))
    with torch.no_grad():
        before, after = (
            MODELS[implementation].glm(**padded_batch([row]), output_hidden_states=True).hidden_states
            for row in (example, ([*tokens[:part_a], *other], position_1, position_2))
        )
    for layer, other_layer in zip(before, after, strict=True):
        same(layer[0, :part_a], other_layer[0, :part_a], 1e-6)


@each_implementation
def test_every_token_of_part_a_changes_every_logit(implementation):
    tokens, position_1, position_2 = FIGURE_2
    for place in range(6):
        changed = [*tokens[:place], 33, *tokens[place + 1 :]]
        inputs = padded_batch([FIGURE_2, (changed, position_1, position_2)])
        with torch.no_grad():
            before, after = MODELS[implementation](**inputs).logits
        assert (before - after).abs().amax(-1).min() > 1e-3


@each_implementation
def test_a_change_in_one_packed_document_stays_in_it(implementation):
    packed = packed_row([FIGURE_2, FIGURE_2, FIGURE_2])
    inputs = packed_batch([packed, packed])
    inputs["input_ids"][1, 11:22] = torch.arange(40, 51)
    with torch.no_grad():
        before, after = MODELS[implementation](**inputs).logits
    same(before[:11], after[:11], 1e-6)
    same(before[22:], after[22:], 1e-6)
    assert (before[11:22] - after[11:22]).abs().amax(-1).min() > 1e-3


@each_implementation
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_tokens_under_padding_do_not_matter(implementation, side):
    inputs = padded_batch([FIGURE_2], side, extra=3)
    is_token = inputs["attention_mask"][0].bool()
    with torch.no_grad():
        before = MODELS[implementation](**inputs).logits[0, is_token]
        inputs["input_ids"][0, ~is_token] = torch.tensor([MASK, SOP, 7])
        same(MODELS[implementation](**inputs).logits[0, is_token], before, 1e-6)
        del inputs["position_ids"], inputs["block_position_ids"]
        inputs["input_ids"][0, -1 if side == "right" else 0] = SOP
        derived = MODELS[implementation](**inputs).logits[0, is_token]
        del inputs["attention_mask"]
        alone = MODELS[implementation](input_ids=inputs["input_ids"][:, is_token]).logits[0]
    same(derived, alone)


@each_implementation
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("packs", [False, True])
def test_a_fully_padded_row_gives_no_nan(implementation, dtype, packs):
    model = make_model(attn_implementation=implementation, initializer_range=0.05).to(dtype).train()
    inputs = padded_batch([FIGURE_2, FIGURE_2], "left", extra=2)
    if packs:
        inputs["document_ids"] = inputs["attention_mask"].clone()
    inputs["attention_mask"][1] = 0
    labels = padded([LABELS, [-100] * 11], "left", 2, value=-100)
    output = model(**inputs, labels=labels, output_hidden_states=True)
    output.loss.backward()
    assert all(state.isfinite().all() for state in output.hidden_states)
    assert output.loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("length", [1, 4])
def test_a_row_can_be_read_in_steps_with_either_cache(length):
    inputs = padded_batch([FIGURE_2])
    model, caches = MODELS["sdpa"], [None, StaticCache(config=MODELS["sdpa"].config, max_cache_len=16)]
    with torch.no_grad():
        whole = model(**inputs).logits
        for cache in caches:
            logits = []
            for start, end in [(0, 6), *((place, min(place + length, 11)) for place in range(6, 11, length))]:
                step = {name: value[:, start:end] for name, value in inputs.items()}
                step["attention_mask"] = inputs["attention_mask"][:, :end]
                output = model(**step, cache=cache, use_cache=True)
                cache = output.cache
                logits.append(output.logits)
            same(torch.cat(logits, dim=1), whole)


# ---------------------------------------------------------------------------------------------------------------- loss


def test_labels_are_aligned_with_the_logits():
    inputs, labels = padded_batch([FIGURE_2]), torch.tensor([LABELS])
    logits = naive_logits(WEIGHTS, HEADS, *FIGURE_2)
    expected = -sum(logits[i].log_softmax(-1)[label] for i, label in enumerate(LABELS) if label != -100) / 5
    same(MODELS["sdpa"](**inputs, labels=labels).loss, expected)


@pytest.mark.parametrize("training", [False, True])
def test_perfect_logits_have_no_loss(training):
    model = make_model().train(training)
    # a head of its own that answers label i to position i, whatever stands there
    model.config.tie_word_embeddings = False
    certain = torch.full((1, 11, 99), -100.0).scatter(2, torch.tensor([LABELS]).clamp(min=0)[..., None], 100.0)

    class Certain(torch.nn.Module):
        def forward(self, hidden_states):
            if hidden_states.dim() == 2:
                return certain[torch.tensor([LABELS]) != -100]
            return certain

    model.lm_head = Certain()
    assert model(**padded_batch([FIGURE_2]), labels=torch.tensor([LABELS])).loss == 0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("num_items_in_batch", [10, torch.tensor(10)])
def test_the_loss_is_a_sum_over_num_items_in_batch(training, num_items_in_batch):
    model = make_model().train(training)
    inputs = {**padded_batch([FIGURE_2]), "labels": torch.tensor([LABELS])}
    same(model(**inputs, num_items_in_batch=num_items_in_batch).loss, model(**inputs).loss * 5 / 10)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("form", ["one row", "two streams"])
def test_logits_beside_labels_in_training_are_none_or_whole(form, compiled):
    inputs = {**padded_batch([FIGURE_2, FLEX_EXAMPLES[1]], "left")}
    inputs["labels"] = padded([LABELS, [-100] * 4 + [22, EOP]], "left", value=-100)
    if form == "two streams":
        part_a = torch.tensor([[CLS, 11, MASK, 14], [CLS, MASK, 12, 13]])
        labels = torch.tensor([[21, 22, EOP], [31, EOP, -100]])
        decoder_input_ids = MODELS["sdpa"].prepare_decoder_input_ids_from_labels(labels)
        inputs = {"input_ids": part_a, "decoder_input_ids": decoder_input_ids, "labels": labels}
    model = make_model().train()  # without dropout, so that both modes say the same
    run = torch.compile(model, backend="eager") if compiled else model
    expected = model.eval()(**inputs)
    model.train()
    assert run(**inputs).logits is None
    whole = run(**inputs, return_logits=True)
    same(whole.logits, expected.logits)
    assert whole.logits.shape[:2] == inputs["labels"].shape
    for output in (run(**inputs), whole):
        same(output.loss, expected.loss)
    del inputs["labels"]
    assert run(**inputs).logits is not None


def test_logits_to_keep_keeps_the_last():
    inputs = padded_batch([FIGURE_2])
    with torch.no_grad():
        whole = MODELS["sdpa"](**inputs).logits
        same(MODELS["sdpa"](**inputs, logits_to_keep=2).logits, whole[:, -2:])
        same(MODELS["sdpa"](**inputs, logits_to_keep=torch.tensor([3, 7])).logits, whole[:, [3, 7]])


# ----------------------------------------------------------------------------------------------------- other ways to call


def test_embeddings_off_the_table_are_refused_without_positions():
    """Row 7: noise hides sop and blanks; virtual tokens in front, and a row without blank or sop, do not."""
    model, input_ids = MODELS["sdpa"], torch.tensor([[CLS, 11, 14, EOS]])
    embeddings = model.get_input_embeddings()(input_ids)
    with pytest.raises(ValueError, match="Row 0 of inputs_embeds holds no embedding of the table"):
        model(inputs_embeds=embeddings + 1e-6)
    positions = {"position_ids": torch.arange(4)[None], "block_position_ids": torch.zeros(1, 4, dtype=torch.long)}
    noisy = model(inputs_embeds=embeddings + 1e-6, **positions).logits
    torch.testing.assert_close(noisy, model(input_ids).logits, rtol=1e-3, atol=1e-3)
    model(inputs_embeds=torch.cat([torch.randn(1, 2, embeddings.shape[-1]), embeddings], dim=1))


@pytest.mark.parametrize("given_positions", [True, False])
def test_inputs_embeds_equal_input_ids(given_positions):
    tokens, position_1, position_2 = naive_row([CLS, 11, MASK, 14, EOS], [(2, [15])], SOP)
    positions = padded_batch([(tokens, position_1, position_2)]) if given_positions else {}
    positions.pop("input_ids", None)
    model = MODELS["sdpa"]
    embeddings = model.get_input_embeddings()(torch.tensor([tokens]))
    with torch.no_grad():
        same(
            model(inputs_embeds=embeddings, **positions).logits[0],
            naive_logits(WEIGHTS, HEADS, tokens, position_1, position_2),
        )


def test_without_sop_in_the_config_embeddings_are_part_a_as_their_ids_are():
    model = make_model(decoder_start_token_id=None)
    input_ids = torch.tensor([[CLS, 11, MASK, 14, EOS]])
    with torch.no_grad():
        from_ids = model(input_ids)
        same(model(inputs_embeds=model.get_input_embeddings()(input_ids)).logits, from_ids.logits)
    same(from_ids.logits[0], naive_logits(model.state_dict(), HEADS, *naive_row(input_ids[0].tolist(), [], SOP)))


def test_hidden_states_and_attentions_on_demand():
    inputs = padded_batch([FIGURE_2])
    with torch.no_grad():
        plain = MODELS["eager"](**inputs)
        full = MODELS["eager"](**inputs, output_hidden_states=True, output_attentions=True)
    assert plain.hidden_states is None and plain.attentions is None
    assert [tuple(state.shape) for state in full.hidden_states] == [(1, 11, 32)] * 3
    assert [tuple(weights.shape) for weights in full.attentions] == [(1, 4, 11, 11)] * 2
    seen = torch.tensor(naive_mask(FIGURE_2[2]))
    for weights in full.attentions:
        assert ((weights[0] > 0) == seen).all()
        same(weights.sum(-1), torch.ones(1, 4, 11))
    same(MODELS["eager"].lm_head(full.hidden_states[-1]), full.logits)


def test_a_tuple_on_demand():
    inputs = padded_batch([FIGURE_2])
    with torch.no_grad():
        output, as_tuple = (
            MODELS["sdpa"](**inputs, use_cache=False),
            MODELS["sdpa"](**inputs, use_cache=False, return_dict=False),
        )
    assert len(as_tuple) == 1
    same(as_tuple[0], output.logits, 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@each_implementation
def test_half_precision_is_near_the_full_one(implementation, dtype):
    model = make_model(attn_implementation=implementation, initializer_range=0.1)
    inputs = padded_batch([FIGURE_2, FLEX_EXAMPLES[1]], "left")
    with torch.no_grad():
        full = model(**inputs).logits
        half = model.to(dtype)(**inputs).logits
    assert half.dtype == dtype
    is_token = inputs["attention_mask"].bool()
    assert (full - half.float())[is_token].abs().max() < 0.05 * full.abs().max()


@pytest.mark.parametrize("implementation", MODELS)
@torch.no_grad()
def test_a_ready_mask_is_taken_as_it_is_boolean_of_0_and_1_or_additive(implementation, flex_written_out):
    example = naive_row([CLS, 11, MASK, 14, EOS], [(2, [15, 16])], SOP)
    inputs, seen = padded_batch([example, example]), torch.tensor(naive_mask(example[2])).expand(2, 1, -1, -1)
    ready = [seen.to(dtype) for dtype in (torch.bool, torch.long, torch.float32, torch.float16)]
    if implementation != "flex_attention":
        ready.append(torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min))
    for mask in ready:
        for call in (inputs, {"input_ids": inputs["input_ids"]}):  # with positions, and with positions derived
            logits = MODELS[implementation](**{**call, "attention_mask": mask}).logits
            same(logits[1], naive_logits(WEIGHTS, HEADS, *example))


@torch.no_grad()
def test_choices_do_not_see_each_other_under_any_attention(flex_written_out):
    torch.manual_seed(0)
    head = GLMForMultipleChoice(make_config()).eval()
    row = {
        "input_ids": torch.tensor([[CLS, 11, MASK, EOS, SOP, 12, SOP, 13, 14]]),
        "position_ids": torch.tensor([[0, 1, 2, 3, 2, 2, 2, 2, 2]]),
        "block_position_ids": torch.tensor([[0, 0, 0, 0, 1, 2, 1, 2, 3]]),
        "choice_ids": torch.tensor([[[12, 15, -100], [13, 14, 16]]]),
        "choice_indices": torch.tensor([[[4, 5, -100], [6, 7, 8]]]),
    }
    second = {name: torch.cat([value[:, :4], value[:, 6:]], 1) for name, value in list(row.items())[:3]}
    alone = head(**second, choice_ids=row["choice_ids"][:, 1:], choice_indices=row["choice_indices"][:, 1:] - 2).logits
    for implementation in ("eager", "sdpa", "flex_attention"):
        head.set_attn_implementation(implementation)
        torch.testing.assert_close(head(**row).logits[:, 1:], alone)
