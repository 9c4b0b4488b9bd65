# SPDX-License-Identifier: Apache-2.0
"""The model card of a converted checkpoint."""

from configuration_glm import GLMConfig

from .checkpoint_formats import Checkpoint
from .model_card import PAPER, card, card_data, sizes, usage


ACTIVATIONS = {
    "gelu": "The activation is the exact GELU, which the old Hub code computed. The weights were trained with the tanh "
    'approximation: `hidden_act="gelu_pytorch_tanh"` computes what the original code did.',
    "gelu_pytorch_tanh": "The activation is the tanh approximation of GELU, with which the weights were trained. The old Hub "
    'code computed the exact one: `hidden_act="gelu"`.',
}


def model_card(name: str, checkpoint: Checkpoint, config: GLMConfig) -> str:
    """The README.md of a converted checkpoint."""
    [architecture] = config.architectures
    return str(
        card(
            card_data(architecture),
            name,
            f"A {PAPER}, converted from {checkpoint.form}. {sizes(config)}",
            usage(name, architecture),
            ACTIVATIONS.get(config.hidden_act, f"The activation is `{config.hidden_act}`."),
            "The licence and the training data are those of the original model.",
        )
    )
