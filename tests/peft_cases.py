# SPDX-License-Identifier: Apache-2.0
"""What several tests of PEFT adapt, and how."""

from functools import partial
from pathlib import Path

import torch
from conftest import CLS, EOS, MASK, PAD, SOP
from peft import (
    AdaLoraConfig,
    IA3Config,
    LNTuningConfig,
    LoraConfig,
    OFTConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    VeraConfig,
)

import transformers_glm  # noqa: F401 (tells PEFT of GLM)


ROOT = Path(__file__).parents[1]
BATCH = {
    "input_ids": torch.tensor([[PAD, CLS, 11, MASK, 14, EOS, SOP, 15], [CLS, 21, MASK, 24, 25, SOP, 26, 27]]),
    "attention_mask": torch.tensor([[0, 1, 1, 1, 1, 1, 1, 1], [1] * 8]),
}
PROMPT = {"input_ids": BATCH["input_ids"][:, :5], "attention_mask": BATCH["attention_mask"][:, :5]}
METHODS = {
    "LoRA": LoraConfig,
    "LoRA, all linear": partial(LoraConfig, target_modules="all-linear"),
    "DoRA": partial(LoraConfig, use_dora=True),
    "IA3": IA3Config,
    "AdaLoRA": partial(AdaLoraConfig, total_step=10),
    "VeRA": VeraConfig,
    "layer norms": LNTuningConfig,
    "OFT": partial(OFTConfig, oft_block_size=4),
}
TASKS = ("CAUSAL_LM", "SEQ_2_SEQ_LM", None)


def logits_of(model, **inputs):
    with torch.no_grad():
        return model(**(inputs or BATCH)).logits


def same(actual, expected, tolerance=2e-5):
    torch.testing.assert_close(actual.detach(), expected.detach(), atol=tolerance, rtol=0)


# ------------------------------------------------------------------------------------------------------- new tokens, head

NEW = {
    "their rows": {"trainable_token_indices": {"word_embeddings": [99, 100]}},
    "the whole table": {"modules_to_save": ["lm_head"], "ensure_weight_tying": True},
}


VOCABULARY, HEADS, VIRTUAL = 99, 4, 3
IN_THE_ROW = {
    "prompt tuning": lambda task: PromptTuningConfig(task_type=task, num_virtual_tokens=VIRTUAL),
    "P-tuning": lambda task: PromptEncoderConfig(task_type=task, num_virtual_tokens=VIRTUAL, encoder_hidden_size=16),
    "P-tuning, LSTM": lambda task: PromptEncoderConfig(
        task_type=task,
        num_virtual_tokens=VIRTUAL,
        encoder_hidden_size=16,
        encoder_reparameterization_type="LSTM",
        encoder_num_layers=1,
    ),
}
IN_THE_CACHE = {
    "prefix tuning": lambda task: PrefixTuningConfig(task_type=task, num_virtual_tokens=VIRTUAL),
    "prefix tuning, projected": lambda task: PrefixTuningConfig(
        task_type=task, num_virtual_tokens=VIRTUAL, prefix_projection=True, encoder_hidden_size=16
    ),
}
EVERY = {**IN_THE_ROW, **IN_THE_CACHE}

SENTENCES = ["Ada Lovelace wrote the first program", "Grace Hopper found a moth", "Is a blank a hole in the text"] * 8


def arguments(folder, kind, **kwargs):
    """Settings of a short training."""
    settings = {"max_steps": 30, "per_device_train_batch_size": 12, "learning_rate": 0.02, "logging_steps": 10}
    quiet = {"report_to": "none", "use_cpu": True, "disable_tqdm": True, "save_strategy": "no"}
    return kind(folder, **{**settings, **quiet, "lr_scheduler_type": "constant", **kwargs})


def losses_of(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
