# SPDX-License-Identifier: Apache-2.0
# Copyright 2026 the transformers-glm authors
"""Configuration of GLM, the model of autoregressive blank infilling (Du et al., ACL 2022)."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig
from transformers.tokenization_utils_base import PreTrainedTokenizerBase


# fields of the released checkpoints' config.json that mean nothing here, each with its reason
DROPPED_FIELDS = {
    "attention_scale": "a guard against fp16 overflow that changes no result: the softmax runs in fp32",
    "checkpoint_activations": "activation checkpointing is asked of the model: activation_checkpointing_enable()",
    "checkpoint_num_layers": "as checkpoint_activations",
    "output_predict": "the class says whether there is a head",
    "parallel_output": "a model-parallel training detail",
    "pool_token": "the classification head pools [CLS], as every released one",
    "relative_encoding": "no released model has it",
    "spell_func": "a P-tuning option: PEFT's prompt encoder does this",
    "spell_length": "as spell_func",
}

# far above every model that there is: what is larger is a mistake, and would ask for all memory before it is noticed
LARGEST = {
    "vocab_size": 2**24,
    "hidden_size": 2**16,
    "num_layers": 1000,
    "num_attention_heads": 2**16,
    "max_sequence_length": 2**24,
}
MOST_LABELS = 2**20


@strict
class GLMConfig(PreTrainedConfig):
    r"""
    Configuration of a [`GLMModel`]. The defaults are those of GLM-Large (335M parameters).

    Args:
        vocab_size (`int`, *optional*, defaults to 30592): rows of the word embeddings; at least the tokenizer's length.
        hidden_size (`int`, *optional*, defaults to 1024): width of the model; its MLP is four times as wide.
        num_layers (`int`, *optional*, defaults to 24): number of layers.
        num_attention_heads (`int`, *optional*, defaults to 16): number of attention heads; divides `hidden_size`.
        max_sequence_length (`int`, *optional*, defaults to 512):
            Largest position, and largest position within a piece. Both tables hold one row more, as the released ones.
        embedding_dropout_prob (`float`, *optional*, defaults to 0.1): dropout on the sum of the embeddings.
        attention_dropout_prob (`float`, *optional*, defaults to 0.1): dropout on the attention probabilities.
        output_dropout_prob (`float`, *optional*, defaults to 0.1): dropout on what attention and MLP add to the residual stream.
        layernorm_epsilon (`float`, *optional*, defaults to 1e-05): epsilon of the layer norms.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the initial weights; output projections have `initializer_range / sqrt(2 * num_layers)`.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the MLP. `"gelu"` is what the old Hub code computed, `"gelu_pytorch_tanh"` what the original
            training code did.
        use_cache (`bool`, *optional*, defaults to `True`): whether to return keys and values of the past.
        tie_word_embeddings (`bool`, *optional*, defaults to `True`): whether the LM head is the word embeddings.
        block_position_encoding (`bool`, *optional*, defaults to `True`):
            Whether tokens carry the second position, within their piece. Every released model does; `False` is the paper's
            ablation, whose position table has `max_sequence_length` rows.
        classifier_dropout (`float`, *optional*):
            Dropout of the classification head; `output_dropout_prob` if not set.
        mask_token_ids (`list[int]`, *optional*):
            Ids of the tokens that stand for a blank: `[MASK]`, `[sMASK]`, `[gMASK]`, as far as the tokenizer has them. The
            last one is where a text without a blank is continued.
        decoder_start_token_id (`int`, *optional*): id of `<|startofpiece|>` (sop), which begins every piece.
        pad_token_id (`int`, *optional*): id of the padding token.
        eos_token_id (`int` or `list[int]`, *optional*):
            Ids at which generation stops: that of `<|endofpiece|>` (eop) and that of the end of a text.

    Raises:
        `StrictDataclassFieldValidationError`, `StrictDataclassClassValidationError`: a value of the wrong type, or values
        that do not fit each other.

    Example:

    ```python
    >>> from configuration_glm import GLMConfig
    >>> GLMConfig(num_hidden_layers=12, hidden_size=768, num_attention_heads=12).num_layers
    12

    ```"""

    model_type = "glm_infilling"
    keys_to_ignore_at_inference = ["cache"]
    attribute_map = {
        "num_hidden_layers": "num_layers",
        "max_position_embeddings": "max_sequence_length",
        "layer_norm_eps": "layernorm_epsilon",
        "attention_dropout": "attention_dropout_prob",
        "hidden_dropout": "output_dropout_prob",
        "sop_token_id": "decoder_start_token_id",
    }
    # the fused projection holds thirds, not heads: its output is gathered, and every rank attends with all heads
    base_model_tp_plan: ClassVar[dict[str, str]] = {
        "word_embeddings": "embedding_rowwise",
        "transformer.layers.*.attention.query_key_value": "colwise_gather_output",
        "transformer.layers.*.attention.dense": "rowwise_split_input",
        "transformer.layers.*.mlp.dense_h_to_4h": "colwise",
        "transformer.layers.*.mlp.dense_4h_to_h": "rowwise",
    }
    base_model_fsdp_plan: ClassVar[dict[Any, str]] = {
        "word_embeddings": "free_full_weight",
        "transformer.layers.*": "free_full_weight",
        "transformer.final_layernorm": "keep_full_weight",
    }

    vocab_size: int = 30592
    hidden_size: int = 1024
    num_layers: int = 24
    num_attention_heads: int = 16
    max_sequence_length: int = 512
    embedding_dropout_prob: float | int = 0.1
    attention_dropout_prob: float | int = 0.1
    output_dropout_prob: float | int = 0.1
    layernorm_epsilon: float | int = 1e-5
    initializer_range: float | int = 0.02
    hidden_act: str = "gelu"
    use_cache: bool = True
    tie_word_embeddings: bool = True
    block_position_encoding: bool = True
    classifier_dropout: float | int | None = None
    mask_token_ids: list[int] | None = None
    decoder_start_token_id: int | None = None
    pad_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **kwargs):
        if (width := kwargs.pop("intermediate_size", None)) not in (None, 4 * self.hidden_size):
            raise ValueError(
                f"intermediate_size={width}: a GLM's MLP is four times as wide as the model, {4 * self.hidden_size} here. "
                "Leave it out; a configuration that has it is of another model."
            )
        labels = {field: getattr(self, field, None) for field in ("id2label", "label2id")}
        _check_labels({**labels, **kwargs})
        kwargs.pop("model_type", None)  # an old config.json says "glm", which means GLM-4 today
        # Transformers saves the code that auto_map names only with classes that were loaded from a repository's own files
        if self._auto_class is None:
            kwargs.pop("auto_map", None)
        for field in DROPPED_FIELDS:
            kwargs.pop(field, None)
        super().__post_init__(**kwargs)

    @classmethod
    def for_tokenizer(cls, tokenizer: PreTrainedTokenizerBase, **settings) -> "GLMConfig":
        """
        The configuration of a new model for a [`GLMTokenizer`]: its vocabulary and its special tokens.

        Args:
            tokenizer ([`GLMTokenizer`]): the tokenizer.
            settings: fields of the configuration, which come before what the tokenizer says.
        """
        of_tokenizer = {
            "vocab_size": len(tokenizer),
            "mask_token_ids": tokenizer.mask_token_ids,
            "decoder_start_token_id": tokenizer.sop_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": [tokenizer.eop_token_id, tokenizer.eos_token_id],
        }
        return cls(**{**of_tokenizer, **settings})

    def validate_architecture(self) -> None:
        """Part of `@strict`'s validation: sizes that do not fit each other."""
        for field, largest in LARGEST.items():
            if getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: it must be at least 1.")
            if getattr(self, field) > largest:
                raise ValueError(f"{field}={getattr(self, field)}: it must be at most {largest}.")
        if self.hidden_size % self.num_attention_heads != 0:
            raise ValueError(
                f"hidden_size={self.hidden_size} is not a multiple of num_attention_heads={self.num_attention_heads}. "
                "Choose a width that the heads divide."
            )
        for field in ("embedding_dropout_prob", "attention_dropout_prob", "output_dropout_prob"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: a share of at least 0 and less than 1.")
        for field in ("layernorm_epsilon", "initializer_range"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}={getattr(self, field)}: it must be a number of at least 0.")

    def validate_token_ids(self) -> None:
        """Part of `@strict`'s validation: special tokens outside the vocabulary."""
        eos_token_ids = [self.eos_token_id] if isinstance(self.eos_token_id, int) else self.eos_token_id or []
        token_ids = [*(self.mask_token_ids or []), self.decoder_start_token_id, self.pad_token_id, *eos_token_ids]
        for token_id in token_ids:
            if token_id is not None and not -1 <= token_id < self.vocab_size:
                raise ValueError(
                    f"Special token {token_id} is outside the vocabulary of {self.vocab_size}. Set vocab_size to at least "
                    "len(tokenizer), or take the ids from the tokenizer that belongs to the model."
                )

    @property
    def intermediate_size(self) -> int:
        """Width of the MLP: four times the model's, in every GLM."""
        return 4 * self.hidden_size


def _check_labels(fields: Mapping[str, Any]) -> None:
    """Refuse labels that the base class would trip over, or make a table of without end."""
    for field in ("id2label", "label2id"):
        if not isinstance(fields.get(field) or {}, Mapping):
            raise ValueError(
                f"{field} is of type {type(fields[field]).__name__}, and must be a dictionary, such as "
                f"{ {'id2label': {0: 'no', 1: 'yes'}, 'label2id': {'no': 0, 'yes': 1}}[field] }."
            )
    for index, name in (fields.get("id2label") or {}).items():
        if not str(index).isdecimal() or not isinstance(name, str):
            raise ValueError(f"id2label holds {index!r}: {name!r}, and must give each whole number a text.")
    number = fields.get("num_labels")
    if number is not None and (type(number) is not int or not 0 <= number <= MOST_LABELS):
        raise ValueError(f"num_labels={number!r}: it must be a whole number of at most {MOST_LABELS}.")


__all__ = ["GLMConfig"]
