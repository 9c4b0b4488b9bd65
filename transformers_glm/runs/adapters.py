# SPDX-License-Identifier: Apache-2.0
"""LoRA adapters of a run: `--lora_r`."""

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel


def add_lora(model: PreTrainedModel, rank: int, **settings) -> PeftModel:
    """
    Add LoRA adapters to the attention's `query_key_value`, which are trained in the place of the model.

    Args:
        model (`PreTrainedModel`): the model.
        rank (`int`): the rank of the adapters; alpha is twice as much.
        settings: further ones of `LoraConfig`.
    """
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query_key_value"], **settings)
    return get_peft_model(model, lora)
