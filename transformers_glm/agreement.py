# SPDX-License-Identifier: Apache-2.0
"""Whether a tokenizer and a configuration speak of the same tokens."""

from transformers import PreTrainedTokenizerBase

from configuration_glm import GLMConfig


MOST_PADDING = 512  # at most this many rows fill a vocabulary up for speed; 128 in the released ones


def check_agreement(tokenizer: PreTrainedTokenizerBase, config: GLMConfig) -> None:
    """
    Refuse a tokenizer and a configuration that differ in the vocabulary or in a special token.

    The vocabulary of the model may be larger than that of the tokenizer: the released ones are padded.

    Raises:
        `ValueError`: names each difference with both values.
    """
    stops = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    ends = {tokenizer.eop_token_id, tokenizer.eos_token_id}
    both = {
        "mask_token_ids": (tokenizer.mask_token_ids, config.mask_token_ids),
        "sop (decoder_start_token_id)": (tokenizer.sop_token_id, config.decoder_start_token_id),
        "pad_token_id": (tokenizer.pad_token_id, config.pad_token_id),
    }
    differences = [f"{name}: {ours} and {theirs}" for name, (ours, theirs) in both.items() if ours != theirs]
    if tokenizer.eop_token_id not in stops or not ends.issuperset(stops):
        differences.append(f"eop and eos (eos_token_id): {sorted(ends)} and {stops}")
    if len(tokenizer) > config.vocab_size:
        differences.append(f"vocabulary: {len(tokenizer)} tokens and room for {config.vocab_size}")
    if config.vocab_size - len(tokenizer) > MOST_PADDING:
        differences.append(f"vocabulary: {len(tokenizer)} tokens, and {config.vocab_size} embeddings are trained")
    if differences:
        raise ValueError(
            f"The tokenizer and the model do not belong together (its value, the model's): {'; '.join(differences)}. "
            "Give the tokenizer that the model was trained with, or a configuration made for this tokenizer."
        )
