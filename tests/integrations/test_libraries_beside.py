# SPDX-License-Identifier: Apache-2.0
"""captum's attributions and `nn.DataParallel` over GLM."""

import pytest
import torch
from conftest import CLS, EOS, MASK, SOP, make_model


MODEL = make_model()
ROW = torch.tensor([[CLS, 11, 12, MASK, 14, EOS, SOP, 13]])
BASELINE = torch.tensor([[CLS, 0, 0, MASK, 0, EOS, SOP, 0]])  # [PAD] for each word
POSITIONS = (torch.tensor([[0, 1, 2, 3, 4, 5, 3, 3]]), torch.tensor([[0, 0, 0, 0, 0, 0, 1, 2]]))


def score(row, position_ids=None, block_position_ids=None):
    """The logit of a word behind sop, (B,), of ids (B, T) or embeddings (B, T, hidden_size)."""
    inputs = {"input_ids" if row.dim() == 2 else "inputs_embeds": row}
    return MODEL(**inputs, position_ids=position_ids, block_position_ids=block_position_ids).logits[:, -2, 13]


@pytest.mark.parametrize("positions", [POSITIONS, ()], ids=["positions", "ids alone"])
def test_attributions_of_the_embedding_layer_add_up(positions):
    """Row 7: LayerIntegratedGradients gives the model ids, so sop and blanks are seen with and without positions."""
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    gradients = captum.LayerIntegratedGradients(score, MODEL.get_input_embeddings())
    attributions = gradients.attribute(ROW, BASELINE, additional_forward_args=positions, n_steps=100)
    with torch.no_grad():
        expected = score(ROW, *POSITIONS) - score(BASELINE, *POSITIONS)
    torch.testing.assert_close(attributions.sum().float(), expected[0], atol=1e-3, rtol=1e-3)
    assert not attributions[0, ROW[0] == BASELINE[0]].any()


def test_attributions_of_embeddings_add_up_where_positions_are_given_and_are_refused_otherwise():
    """Row 7: IntegratedGradients moves all embeddings off the table, sop and blanks too."""
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    embeddings, gradients = MODEL.get_input_embeddings()(ROW).detach(), captum.IntegratedGradients(score)
    attributions = gradients.attribute(embeddings, additional_forward_args=POSITIONS, n_steps=300)
    with torch.no_grad():
        expected = score(embeddings, *POSITIONS) - score(torch.zeros_like(embeddings), *POSITIONS)
    torch.testing.assert_close(attributions.sum().float(), expected[0], atol=1e-2, rtol=1e-2)
    with pytest.raises(ValueError, match="Pass position_ids and block_position_ids"):
        gradients.attribute(embeddings, n_steps=20)


def test_a_replica_of_data_parallel_computes_the_same():
    """Row 26: nn.DataParallel calls replicas, whose weights are plain tensors and no parameters."""
    inputs = {"input_ids": ROW, "labels": ROW.masked_fill(POSITIONS[1] == 0, -100)}
    for model in (make_model().train(), MODEL):
        expected = model(**inputs)
        replica = _replicate(model)
        assert not list(replica.parameters())
        actual = replica(**inputs)
        torch.testing.assert_close(actual.loss, expected.loss)
        actual.loss.backward()  # into the weights of the model
        assert model.get_input_embeddings().weight.grad is not None
        parallel = torch.nn.DataParallel(model, device_ids=[])
        torch.testing.assert_close(parallel(**inputs).loss, expected.loss)


def _replicate(module):
    """What torch.nn.parallel.replicate makes of a module on each device, which needs GPUs, on the CPU."""
    replicas = {each: each._replicate_for_data_parallel() for each in module.modules()}
    for each, replica in replicas.items():
        for name, child in each._modules.items():
            setattr(replica, name, replicas[child]) if child is not None else None
        for name, weight in each._parameters.items():
            setattr(replica, name, weight.view_as(weight) if weight is not None else None)
    return replicas[module]
