# SPDX-License-Identifier: Apache-2.0
"""The tokenizer and the model that a run asks for, or new ones."""

import logging
from pathlib import Path

from datasets import IterableDataset
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer

from ..data.reader import Table
from .model_arguments import ModelArguments


logger = logging.getLogger(__name__)
TOKENIZER_DOCUMENTS = 100_000  # documents of a stream that a tokenizer is trained on


def load_or_train_tokenizer(model_args: ModelArguments, documents: Table, output_dir: Path) -> PreTrainedTokenizerFast:
    """The tokenizer that is asked for, else that of the checkpoint, else that of an earlier run, else a new one."""
    path = model_args.tokenizer or model_args.model
    if path is None and (output_dir / "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(output_dir)
        logger.warning("Using the tokenizer of %d tokens that an earlier run left in %s.", len(tokenizer), output_dir)
        return tokenizer
    if path is not None:
        return AutoTokenizer.from_pretrained(path)
    if isinstance(documents, IterableDataset):
        documents = documents.take(TOKENIZER_DOCUMENTS)
    logger.warning("Training a tokenizer of %d tokens.", model_args.vocab_size)
    tokenizer = GLMTokenizer.train((row["text"] for row in documents), vocab_size=model_args.vocab_size)
    tokenizer.save_pretrained(output_dir)
    return tokenizer


def load_or_initialize(model_args: ModelArguments, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """The checkpoint, or a new model for the tokenizer."""
    if model_args.model:
        return AutoModelForSeq2SeqLM.from_pretrained(model_args.model)
    return GLMForConditionalGeneration(new_config(model_args, tokenizer))


def new_config(model_args: ModelArguments, tokenizer: PreTrainedTokenizerFast) -> GLMConfig:
    """The configuration that is asked for, with the tokenizer's vocabulary and special tokens."""
    return GLMConfig.for_tokenizer(tokenizer, **model_args.config)
