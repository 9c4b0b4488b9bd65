# SPDX-License-Identifier: Apache-2.0
"""
What the old programs computed, shown by this repository alone.

The naive twin gives the logits that were recorded of the old Hub code and of the original (tests/fixtures). So what follows from
logits has the old programs' value where it has the twin's: gradients, scores of choices, pieces.
"""

from pathlib import Path

import pytest
import torch
from naive_glm import naive_fill, naive_gelu, naive_gelu_tanh, naive_logits, naive_row
from safetensors.torch import load_file

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm.conversion.run import convert


RECORDED = load_file(Path(__file__).parent / "fixtures" / "old_language_model.safetensors")
WEIGHTS = {name.removeprefix("weights/"): tensor for name, tensor in RECORDED.items() if name.startswith("weights/")}
HEADS, MASK, SOP, EOP, EOS = 4, 190, 191, 192, 193
GELUS = [("gelu", naive_gelu, "out"), ("gelu_pytorch_tanh", naive_gelu_tanh, "out_orig")]
PART_A = [3, 14, 15, MASK, 92, 65, MASK, 35, EOS]


def load(act, model_class=GLMForConditionalGeneration):
    config = GLMConfig(
        vocab_size=200,
        hidden_size=32,
        num_layers=2,
        num_attention_heads=HEADS,
        max_sequence_length=40,
        hidden_act=act,
        embedding_dropout_prob=0.0,
        attention_dropout_prob=0.0,
        output_dropout_prob=0.0,
        mask_token_ids=[MASK],
        decoder_start_token_id=SOP,
        pad_token_id=EOS,
        eos_token_id=[EOP, EOS],
    )
    model = model_class(config).eval()
    model.glm.load_state_dict(WEIGHTS)
    model.tie_weights()
    return model


def old_mask(mask, row, length):
    """Which key each query sees: the recorded number of first columns, and the rest causally; or as recorded."""
    if mask.dim() == 4:
        return mask[row, 0].bool().tolist()
    part_a = int(mask.reshape(-1)[row if mask.dim() else 0])
    return [[key < part_a or key <= query for key in range(length)] for query in range(length)]


@pytest.mark.parametrize(("_", "gelu", "program"), GELUS)
@pytest.mark.parametrize("case", ["sep_vector", "sep_scalar", "mask_4d"])
def test_the_naive_twin_computes_what_was_recorded_of_the_old_programs(case, _, gelu, program):
    ids, positions, mask = (RECORDED[f"{case}/in/{name}"] for name in ("input_ids", "position_ids", "attention_mask"))
    for row, tokens in enumerate(ids.tolist()):
        seen = old_mask(mask, row, len(tokens))
        logits = naive_logits(WEIGHTS, HEADS, tokens, *positions[row].tolist(), seen=seen, gelu=gelu)
        expected = RECORDED[f"{case}/{program}/logits"][row].double()
        torch.testing.assert_close(logits[:, ::5], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("act", "gelu", "_"), GELUS)
@pytest.mark.parametrize("training", [False, True])
def test_loss_and_gradients_are_the_twins(training, act, gelu, _):
    model = load(act).train(training)
    tokens, position_1, position_2 = row = naive_row(PART_A, [(6, [71, 72, 73]), (3, [81])], SOP)
    targets = [-100] * len(PART_A) + [71, 72, 73, EOP, 81, EOP]
    inputs = zip(("input_ids", "position_ids", "block_position_ids", "labels"), (*row, targets), strict=True)
    loss = model(**{name: torch.tensor([values]) for name, values in inputs}).loss
    loss.backward()
    weights = {name: tensor.double().requires_grad_() for name, tensor in WEIGHTS.items()}
    logits = naive_logits(weights, HEADS, tokens, position_1, position_2, gelu=gelu)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(targets))
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=0)
    ours = dict(model.glm.named_parameters())
    assert set(ours) == set(weights)
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter.grad.double(), weights[name].grad, atol=1e-4, rtol=0, msg=name)


@pytest.mark.parametrize(("act", "gelu", "_"), GELUS)
@torch.no_grad()
def test_scores_of_choices_are_the_twins(act, gelu, _):
    model = load(act, GLMForMultipleChoice)
    choices = [[71, 72, 73], [81], [71, 82]]
    expected, start = [], len(PART_A)
    row, indices = naive_row(PART_A, [(3, choice[:-1]) for choice in choices], SOP), []
    for choice in choices:
        alone = naive_logits(WEIGHTS, HEADS, *naive_row(PART_A, [(3, choice[:-1])], SOP), gelu=gelu)
        scores = alone.log_softmax(-1)[len(PART_A) :]
        expected.append(sum(float(scores[place, token]) for place, token in enumerate(choice)))
        indices.append(torch.arange(start, start + len(choice)))
        start += len(choice)
    call = dict(
        zip(("input_ids", "position_ids", "block_position_ids"), (torch.tensor([one]) for one in row), strict=True)
    )
    logits = model(**call, choice_ids=[[torch.tensor(one) for one in choices]], choice_indices=[indices]).logits
    torch.testing.assert_close(logits[0].double(), torch.tensor(expected).double(), atol=1e-4, rtol=0)


def best_piece(weights, beams, steps):
    """Beam search by hand, no length penalty: every hypothesis is read from the beginning at each step."""
    running, finished = [(0.0, [])], []
    for _ in range(steps):
        grown = []
        for score, span in running:
            logits = naive_logits(weights, HEADS, *naive_row(PART_A, [(3, span)], SOP))[-1]
            logits[[MASK, SOP]] = -torch.inf
            values, tokens = logits.log_softmax(-1).topk(2 * beams)
            grown += [(score + float(value), [*span, int(token)]) for value, token in zip(values, tokens, strict=True)]
        grown = sorted(grown, reverse=True)[: 2 * beams]
        finished += [one for one in grown[:beams] if one[1][-1] in (EOP, EOS)]
        running = [one for one in grown if one[1][-1] not in (EOP, EOS)][:beams]
    return max([*finished, *running])[1]


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("ends", [0.0, 6.0])
def test_generated_pieces_are_the_twins(beams, ends):
    """The pieces run to their limit, and with `eop` made likely they end before."""
    model = load("gelu")
    with torch.no_grad():
        model.glm.word_embeddings.weight[EOP] *= 1 + ends
    weights = {name: tensor.detach() for name, tensor in model.glm.named_parameters()}
    if beams == 1:
        expected = naive_fill(weights, HEADS, PART_A, [], 3, sop=SOP, ends=(EOP, EOS), never=(MASK, SOP), steps=8)
    else:
        with torch.no_grad():
            expected = best_piece(weights, beams, 8)
    piece = model.generate(
        torch.tensor([PART_A]), max_new_tokens=8, num_beams=beams, length_penalty=0.0, early_stopping="never"
    )[0].tolist()
    assert piece[: len(expected) + 1] == [SOP, *expected]
    assert set(piece[len(expected) + 1 :]) <= {EOS}


def test_the_fixture_converts_to_the_weights_the_twin_read(tmp_path):
    import old_checkpoints as old

    settings = {"hidden_size": 32, "num_attention_heads": HEADS, "max_sequence_length": 40, "vocab_size": 200}
    convert(old.write_hub(tmp_path / "hub", WEIGHTS, "model.safetensors", **settings), tmp_path / "out")
    converted = GLMForConditionalGeneration.from_pretrained(tmp_path / "out").glm.state_dict()
    assert all(torch.equal(converted[name], tensor) for name, tensor in WEIGHTS.items())
