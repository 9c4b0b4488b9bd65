# SPDX-License-Identifier: Apache-2.0
"""What the model and `generate` may be given: checked, and prompts of three kinds told apart and laid out."""

from typing import NamedTuple

import torch
from torch import nn
from transformers import GenerationConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMode


try:
    from .blank_infilling_glm import check_position_shapes, check_range, derive_positions
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import check_position_shapes, check_range, derive_positions


# arguments that would be silently wrong, and why
REFUSED = {
    "prefill_chunk_size": "the first chunk of Part A could not see the later ones. Leave it out: GLM reads its prompt in "
    "one step.",
    "token_healing": "it reads the prompt again as text, without mask tokens and sop. Cut the last token off yourself.",
    "guidance_scale": "the prompt without its condition has no blank to write into. Leave it out.",
    "negative_prompt_ids": "they belong to guidance_scale, which GLM does not take. Leave them out.",
    "encoder_outputs": "GLM has no encoder. Pass input_ids, and cache to read Part A only once.",
    "document_ids": "packed rows are for training. Generate from one document a row, padded on either side.",
    "decoder_start_token_id": "a piece begins with sop, config.decoder_start_token_id. Leave it out; decoder_input_ids "
    "begin a piece with tokens of your own.",
    "assistant_tokenizer": "mask tokens and sop are lost between two tokenizers. Take an assistant that shares the "
    "tokenizer.",
}
NEW_TOKENS = 20  # what Transformers generates where no length is given
POSITIONS = ("position_ids", "block_position_ids")


class Prompt(NamedTuple):
    """
    What `generate` was given: ids (B, T), whether they only stand for embeddings, all settings in force, and the configuration
    of the caller.
    """

    input_ids: torch.Tensor
    embedded: bool
    settings: GenerationConfig
    generation_config: GenerationConfig | None


def refuse(config, settings, kwargs) -> None:
    """Name an argument or a setting in force that would be silently wrong."""
    given = settings.to_dict() | kwargs
    neutral = {"guidance_scale": 1, "decoder_start_token_id": config.decoder_start_token_id}
    for name, reason in REFUSED.items():
        value = given.get(name)
        if value is None or value is False or (name in neutral and value == neutral[name]):
            continue
        shown = f"{name}={value}" if isinstance(value, (int, float)) else name
        raise ValueError(f"{shown}: {reason}")


def is_rest(input_ids, kwargs) -> bool:
    """New tokens alone, the rest of a row whose beginning is in the cache; its mask is that of the whole row."""
    mask, cache = kwargs.get("attention_mask"), kwargs.get("cache")
    return cache is not None and mask is not None and mask.shape[1] > input_ids.shape[1]


def tell_padding(config, input_ids, settings) -> torch.Tensor:
    """The mask of a prompt that comes without, by the rule of Transformers: padding is told by its id unless that ends texts."""
    ends = settings.eos_token_id
    meaning = {config.decoder_start_token_id, *([ends] if isinstance(ends, int) else ends or [])}
    if settings.pad_token_id is None or settings.pad_token_id in meaning:
        return torch.ones_like(input_ids)
    return input_ids.ne(settings.pad_token_id).long()


def find_sop(config, input_ids, block_position_ids) -> torch.Tensor:
    """Which rows have a piece: by sop, or by block positions of the caller's own (B,)."""
    has_sop = (input_ids == config.decoder_start_token_id).any(-1)
    if block_position_ids is not None:
        has_sop = has_sop | (block_position_ids > 0).any(-1)
    return has_sop


def check_one_kind(has_sop, has_blank) -> None:
    """All rows of a batch are continued in the same way."""
    if bool(has_sop.all()):
        return
    if bool(has_sop.any()):
        raise ValueError(
            f"Row {int((~has_sop).nonzero()[0])} of the prompt has no sop and row {int(has_sop.nonzero()[0])} has one. "
            "Generate from rows of one kind: all with sop, or Part A alone in all."
        )
    if bool(has_blank.any()) and not bool(has_blank.all()):
        raise ValueError(
            f"Row {int((~has_blank).nonzero()[0])} of the prompt has no blank and row {int(has_blank.nonzero()[0])} has "
            "one. Put a mask token into every row, or generate from the two kinds separately."
        )


def check_cache(config, input_ids, cache, has_sop, is_piece) -> None:
    """A cache holds all of Part A and what the row goes on with, except its last token at least; or nothing."""
    seen = 0 if cache is None else int(cache.get_seq_length())
    length = input_ids.shape[1]
    most = length if is_piece else length - 1
    if bool(has_sop.any()):
        length = int((input_ids == config.decoder_start_token_id).long().argmax(-1).max())
    if seen and (seen < length or not (is_piece or bool(has_sop.any()))):
        raise ValueError(
            f"The cache holds {seen} token(s) and Part A has {length}, its blank included: all of Part A sees each other, so "
            "a cache holds all of it, or none. Pass the cache of the whole Part A, or leave cache out."
        )
    if seen > most:
        raise ValueError(
            f"The cache holds {seen} token(s), and of this prompt it may hold {most}: what follows Part A, and the last token "
            "of a row, are read now. A cache that was generated with holds the piece too: crop it, or pass the whole row. Beside "
            "new tokens alone pass the attention_mask of the whole row, and both positions."
        )


def check_reading(settings, kwargs) -> None:
    """
    Without a cache of its own each step reads the row again, so it takes none of the caller's. Candidates of an assistant or
    of a prompt lookup are checked in a row that is read from its beginning, by its tokens.
    """
    cache = kwargs.get("cache")
    if cache is not None and settings.use_cache is False:
        raise ValueError(
            "use_cache=False reads the whole row in each step, and cache would be given it each time. Leave one of the two out."
        )
    if settings.get_generation_mode(kwargs.get("assistant_model")) != GenerationMode.ASSISTED_GENERATION:
        return
    if cache is not None and cache.get_seq_length() > 0:
        raise ValueError(
            f"Assisted decoding reads its whole prompt, and {int(cache.get_seq_length())} token(s) are in the cache: it would "
            "read them twice. Leave cache out, or the assistant (assistant_model, prompt_lookup_num_tokens, "
            "assistant_early_exit)."
        )
    if kwargs.get("inputs_embeds") is not None:
        raise ValueError(
            "Assisted decoding checks candidates by their tokens, and inputs_embeds have none for them. Pass input_ids alone, or "
            "leave out the assistant (assistant_model, prompt_lookup_num_tokens, assistant_early_exit)."
        )


def begin_piece(config, input_ids, kwargs) -> tuple:
    """What stands in Part B before it is generated, sop or `decoder_input_ids`, and which columns are no padding."""
    sop = input_ids.new_full((input_ids.shape[0], 1), config.decoder_start_token_id)
    begun, mask = kwargs.pop("decoder_input_ids", None), kwargs.pop("decoder_attention_mask", None)
    if begun is None:
        return sop, torch.ones_like(sop)
    if begun.dim() != 2 or begun.shape[0] != input_ids.shape[0]:
        raise ValueError(
            f"decoder_input_ids have shape {tuple(begun.shape)}; they are (batch, tokens), and the prompt has "
            f"{input_ids.shape[0]} row(s)."
        )
    mask = torch.ones_like(begun) if mask is None else mask.to(begun.dtype)
    is_sop = begun == config.decoder_start_token_id
    if not bool(is_sop.any()):
        begun, mask = torch.cat([sop, begun], dim=-1), torch.cat([torch.ones_like(sop), mask], dim=-1)
        is_sop = begun == config.decoder_start_token_id
    if not bool((is_sop.sum(-1) == 1).all()):
        row = int((is_sop.sum(-1) != 1).nonzero()[0])
        raise ValueError(
            f"Row {row} of decoder_input_ids has {int(is_sop[row].sum())} sop (id {config.decoder_start_token_id}). "
            "Begin one piece in every row, or in none: then sop is put before them."
        )
    mask = mask * (is_sop.cumsum(-1) > 0)
    if bool(mask[:, -1].all()):
        return begun, mask
    order = (
        mask.bool().long().argsort(dim=-1, stable=True)
    )  # what follows is written behind the tokens, not the padding
    return begun.gather(-1, order), mask.gather(-1, order)


def hide_end_of_text(input_ids, attention_mask, ends) -> torch.Tensor:
    """Mask the token that ends each text: what follows it would stand after the end."""
    place = torch.arange(input_ids.shape[1], device=input_ids.device)
    is_last = place == torch.where(attention_mask.bool(), place, -1).amax(-1, keepdim=True)
    ends = torch.tensor([ends] if isinstance(ends, int) else ends or [], dtype=torch.long, device=input_ids.device)
    is_end = is_last & torch.isin(input_ids, ends) & (attention_mask.sum(-1, keepdim=True) > 1)
    return attention_mask.masked_fill(is_end, 0)


def pad_left(prompt, kwargs) -> tuple:
    """Rows that have sop, with padding behind their last token put before their first: what follows is written behind them."""
    mask = kwargs["attention_mask"]
    if bool(mask[:, -1].all()) or mask.shape != prompt.input_ids.shape:
        return prompt, kwargs
    if (cache := kwargs.get("cache")) is not None and cache.get_seq_length() > 0:
        row = int((mask[:, -1] == 0).nonzero()[0])
        raise ValueError(
            f"Row {row} of the prompt is padded on the right, behind the token that is to be continued, and its beginning is in "
            'the cache. Pad on the left (padding_side="left"), or leave the cache out.'
        )
    order = mask.bool().long().argsort(dim=-1, stable=True)  # (B, T)
    moved = {
        name: kwargs[name].gather(-1, order) for name in ("attention_mask", *POSITIONS) if kwargs.get(name) is not None
    }
    if (embeddings := kwargs.get("inputs_embeds")) is not None:
        moved["inputs_embeds"] = embeddings.gather(1, order[..., None].expand_as(embeddings))
    return prompt._replace(input_ids=prompt.input_ids.gather(-1, order)), {**kwargs, **moved}


def settle_positions(config, input_ids, kwargs) -> dict:
    """Positions that the caller gave: those of the prompt's columns only (old callers pass more), and both of them."""
    check_position_shapes(kwargs.get("position_ids"), kwargs.get("block_position_ids"))
    given = [name for name in POSITIONS if kwargs.get(name) is not None]
    if not given or input_ids is None:
        return kwargs
    for name in given:
        kwargs[name] = kwargs[name][:, : input_ids.shape[1]]
    if len(given) == 1:
        if is_rest(input_ids, kwargs):
            raise ValueError(
                f"{given[0]} without the other one: tokens that follow a cache do not show it. Pass both position_ids and "
                "block_position_ids of the new tokens."
            )
        mask = kwargs.get("attention_mask")
        is_token = torch.ones_like(input_ids).bool() if mask is None else mask.bool()
        derived = derive(config, input_ids, is_token, kwargs.get("block_position_ids"))
        kwargs |= {name: value for name, value in zip(POSITIONS, derived, strict=True) if name not in given}
    return kwargs


def lay_out_prompt(config, input_ids, kwargs) -> dict:
    """Both positions of the prompt, where the caller gave none."""
    if kwargs.get("position_ids") is not None:
        return kwargs
    mask = kwargs.get("attention_mask")
    if mask is not None and mask.shape[1] != input_ids.shape[1]:
        raise ValueError(
            f"The attention mask has {mask.shape[1]} columns and input_ids {input_ids.shape[1]}: with a cache, "
            "pass the whole row, or position_ids and block_position_ids of the new tokens."
        )
    is_token = torch.ones_like(input_ids).bool() if mask is None else mask.bool()
    positions = derive(config, input_ids, is_token, kwargs.get("block_position_ids"))
    return {**kwargs, "position_ids": positions[0], "block_position_ids": positions[1]}


def derive(config, input_ids, is_token, block_position_ids) -> tuple:
    """Both positions (B, T), see [`derive_positions`]."""
    return derive_positions(
        input_ids,
        is_token,
        mask_token_ids=config.mask_token_ids,
        sop=config.decoder_start_token_id,
        block_position_ids=block_position_ids,
    )


def count_new_tokens(config, counted, settings, kwargs) -> int:
    """How many tokens are asked for, all within the table of block positions; a max_length counts `counted` of the prompt."""
    limit, taken = config.max_sequence_length, int(kwargs["block_position_ids"][:, -1].max())
    room = limit - taken + 1  # the last token is not read again
    new = settings.max_new_tokens
    if new is None:
        new = min(NEW_TOKENS, room) if settings.max_length is None else settings.max_length - counted
    if new > room:
        raise ValueError(
            f"{new} new tokens were asked for, but a piece has {limit} block positions (max_sequence_length), and the "
            f"prompt takes {taken}. Lower max_new_tokens or max_length."
        )
    return new


def check_cache_and_mask(cache, attention_mask, length) -> None:
    """Refuse a cache of another kind, and a mask that leaves its columns out."""
    if isinstance(cache, EncoderDecoderCache):
        raise ValueError(
            "The cache is that of an encoder and a decoder, GLM is one Transformer. For PEFT's prefix tuning take "
            'task_type="CAUSAL_LM"; batches and scripts stay as they are.'
        )
    if not isinstance(cache, DynamicCache) or attention_mask is None or attention_mask.dim() != 2:
        return
    if attention_mask.shape[1] < cache.get_seq_length() + length:
        raise ValueError(
            f"attention_mask has {attention_mask.shape[1]} columns, the cache {cache.get_seq_length()} and the row "
            f"{length}. Give a mask of both, the cache's columns first."
        )


def check_packed(position_ids, block_position_ids, cache) -> None:
    """Refuse packed rows that come without positions, or with a cache."""
    if position_ids is None or block_position_ids is None:
        raise ValueError(
            "Packed rows (document_ids) need position_ids and block_position_ids: the collator makes them."
        )
    if cache is not None:
        raise ValueError("Packed rows (document_ids) take no cache: pass each document as a row of its own.")


def refuse_decoder_embeddings(decoder_inputs_embeds) -> None:
    """Refuse virtual tokens in Part B."""
    if decoder_inputs_embeds is not None:
        raise ValueError(
            "decoder_inputs_embeds: GLM is one Transformer, virtual tokens stand in Part A only. Pass decoder_input_ids; for "
            "PEFT's multitask prompt tuning set num_transformer_submodules=1 in its configuration."
        )


def check_labels(labels, inputs, vocab_size, has_virtual_tokens) -> torch.Tensor:
    """Labels (B, T) that fit the row `inputs` and the vocabulary."""
    if has_virtual_tokens:
        labels = _cover_virtual_tokens(labels, inputs.shape[1])
    check_range(labels.masked_fill(labels == -100, 0), vocab_size, "labels", "vocabulary (vocab_size)")
    if labels.shape != inputs.shape[:2]:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, the row has {tuple(inputs.shape[:2])}. Labels are aligned with "
            "the logits of a row that holds Part B; for a separate target leave Part B out of input_ids and pass "
            "decoder_input_ids (DataCollatorForSeq2Seq(tokenizer, model=model) does)."
        )
    return labels


def _cover_virtual_tokens(labels, length):
    """Labels of the last `length` places: virtual tokens come first and predict nothing, whether labels count them or not."""
    missing = length - labels.shape[-1]
    if labels.dim() != 2 or missing == 0 or bool((labels[:, : max(-missing, 0)] != -100).any()):
        return labels
    return nn.functional.pad(labels, (missing, 0), value=-100)
