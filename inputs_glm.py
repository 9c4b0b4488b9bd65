# SPDX-License-Identifier: Apache-2.0
"""What the model and `generate` may be given: checked, and prompts of three kinds told apart and laid out."""

from typing import NamedTuple

import torch
from transformers import GenerationConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMode


try:
    from .blank_infilling_glm import check_position_shapes, check_row, derive_positions, find_blanks, find_sop
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import check_position_shapes, check_row, derive_positions, find_blanks, find_sop


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
ALL_FROZEN = (
    "All weights are frozen (requires_grad is False), so this loss has no gradient. get_encoder() is the model itself: GLM is one "
    "Transformer without an encoder. Freeze some of model.glm.transformer.layers instead."
)
NEW_TOKENS = 20  # what Transformers generates where no length is given
POSITIONS = ("position_ids", "block_position_ids")


class Prompt(NamedTuple):
    """What `generate` was given: ids (B, T), or what stands for embeddings, all settings in force, the caller's configuration."""

    input_ids: torch.Tensor
    embedded: bool
    settings: GenerationConfig
    generation_config: GenerationConfig | None


def refuse(config, settings, kwargs) -> None:
    """
    Name an argument or a setting in force that would be silently wrong. Without a cache of its own each step reads the row again,
    so it takes none of the caller's. Candidates of an assistant or of a prompt lookup are checked in a row that is read from its
    beginning, by its tokens.
    """
    given = settings.to_dict() | kwargs
    neutral = {"guidance_scale": 1, "decoder_start_token_id": config.decoder_start_token_id}
    for name, reason in REFUSED.items():
        value = given.get(name)
        if value is None or value is False or (name in neutral and value == neutral[name]):
            continue
        shown = f"{name}={value}" if isinstance(value, (int, float)) else name
        raise ValueError(f"{shown}: {reason}")
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


def tell_kind(config, input_ids, kwargs) -> str:
    """
    How all rows of a prompt are continued: as "row" if they have sop or block positions of the caller's own, as "piece" if they
    are Part A alone, as "text" if they have neither. A cache and `decoder_input_ids` have to fit.
    """
    has_sop = find_sop(input_ids, config.decoder_start_token_id).any(-1)
    if (block_position_ids := kwargs.get("block_position_ids")) is not None:
        has_sop = has_sop | (block_position_ids > 0).any(-1)
    has_blank = find_blanks(input_ids, config.mask_token_ids).any(-1)
    kind = "row" if bool(has_sop.all()) else "piece" if bool(has_blank.all()) else "text"
    if kind != "row" and bool(has_sop.any()):
        raise ValueError(
            f"Row {int((~has_sop).nonzero()[0])} of the prompt has no sop and row {int(has_sop.nonzero()[0])} has one. "
            "Generate from rows of one kind: all with sop, or Part A alone in all."
        )
    if kind == "text" and bool(has_blank.any()):
        raise ValueError(
            f"Row {int((~has_blank).nonzero()[0])} of the prompt has no blank and row {int(has_blank.nonzero()[0])} has "
            "one. Put a mask token into every row, or generate from the two kinds separately."
        )
    if kwargs.get("decoder_input_ids") is not None and kind != "piece":
        raise ValueError(
            "decoder_input_ids begin the piece of a blank: beside them every row of the prompt is a Part A without sop, "
            f"with one of the mask tokens (ids {config.mask_token_ids}) where the piece belongs."
        )
    _check_cache(config, input_ids, kwargs.get("cache"), kind)
    return kind


def _check_cache(config, input_ids, cache, kind):
    """Refuse a cache that holds less than Part A, or more than the prompt before the token that is read next."""
    seen = 0 if cache is None else int(cache.get_seq_length())
    length = input_ids.shape[1]
    most = length if kind == "piece" else length - 1
    if kind == "row":
        length = int((input_ids == config.decoder_start_token_id).long().argmax(-1).max())
    if seen and (seen < length or kind == "text"):
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


def begin_piece(config, input_ids, kwargs) -> tuple:
    """What stands in Part B before it is generated, sop or `decoder_input_ids`, and which columns are no padding."""
    sop = input_ids.new_full((input_ids.shape[0], 1), config.decoder_start_token_id)
    begun, mask = kwargs.pop("decoder_input_ids", None), kwargs.pop("decoder_attention_mask", None)
    if begun is None:
        return sop, torch.ones_like(sop)
    _check_target("decoder_input_ids", begun, input_ids.shape[0])
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
    # what follows is written behind the tokens, not the padding
    order = mask.bool().long().argsort(dim=-1, stable=True)
    return begun.gather(-1, order), mask.gather(-1, order)


def pad_left(prompt, kwargs) -> tuple:
    """Rows that have sop, their padding moved before their first token, as what follows is written behind their last one."""
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
    for name in given:
        kwargs[name] = kwargs[name][:, : input_ids.shape[1]]
    if len(given) == 1:
        if is_rest(input_ids, kwargs):
            raise ValueError(
                f"{given[0]} without the other one: tokens that follow a cache do not show it. Pass both position_ids and "
                "block_position_ids of the new tokens."
            )
        derived = _derive(config, input_ids, kwargs)
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
    return {**kwargs, **dict(zip(POSITIONS, _derive(config, input_ids, kwargs), strict=True))}


def _derive(config, input_ids, kwargs):
    mask = kwargs.get("attention_mask")
    return derive_positions(
        input_ids,
        torch.ones_like(input_ids).bool() if mask is None else mask.bool(),
        mask_token_ids=config.mask_token_ids,
        sop=config.decoder_start_token_id,
        block_position_ids=kwargs.get("block_position_ids"),
    )


def count_new_tokens(config, counted, settings, kwargs) -> int:
    """How many tokens are asked for, which the block positions must suffice for; a max_length counts `counted` tokens before."""
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


def check_inputs(source, attention_mask, position_ids, block_position_ids, document_ids, cache) -> None:
    """Refuse what does not fit the row `source`, ids (B, T) or embeddings, or does not go with its documents or its cache."""
    check_row(source, attention_mask, position_ids, block_position_ids)
    if document_ids is not None and (position_ids is None or block_position_ids is None):
        raise ValueError(
            "Packed rows (document_ids) need position_ids and block_position_ids: the collator makes them."
        )
    if document_ids is not None and cache is not None:
        raise ValueError("Packed rows (document_ids) take no cache: pass each document as a row of its own.")
    if isinstance(cache, EncoderDecoderCache):
        raise ValueError(
            "The cache is that of an encoder and a decoder, GLM is one Transformer. For PEFT's prefix tuning take "
            'task_type="CAUSAL_LM"; batches and scripts stay as they are.'
        )
    if not isinstance(cache, DynamicCache) or attention_mask is None or attention_mask.dim() != 2:
        return
    if attention_mask.shape[1] < cache.get_seq_length() + source.shape[1]:
        raise ValueError(
            f"attention_mask has {attention_mask.shape[1]} columns, the cache {cache.get_seq_length()} and the row "
            f"{source.shape[1]}. Give a mask of both, the cache's columns first."
        )


def refuse_decoder_embeddings(decoder_inputs_embeds) -> None:
    """Refuse virtual tokens in Part B."""
    if decoder_inputs_embeds is not None:
        raise ValueError(
            "decoder_inputs_embeds: GLM is one Transformer, virtual tokens stand in Part A only. Pass decoder_input_ids; for "
            "PEFT's multitask prompt tuning set num_transformer_submodules=1 in its configuration."
        )


def check_two_streams(input_ids, inputs_embeds, position_ids, block_position_ids, decoder_input_ids, labels) -> None:
    """Refuse positions beside two streams, and a target of another shape than (B, S)."""
    if (input_ids is None) == (inputs_embeds is None) or position_ids is not None or block_position_ids is not None:
        raise ValueError(
            "decoder_input_ids (two streams) need one of input_ids and inputs_embeds and lay Part B out by themselves: "
            "leave out position_ids and block_position_ids, or pass one row with all of it."
        )
    source = inputs_embeds if input_ids is None else input_ids
    for name, target in (("labels", labels), ("decoder_input_ids", decoder_input_ids)):
        if target is not None:
            _check_target(name, target, source.shape[0])


def _check_target(name, target, rows):
    if target.dim() != 2 or target.shape[0] != rows:
        raise ValueError(
            f"{name} have shape {tuple(target.shape)}; with two streams a target is (batch, target length), and "
            f"input_ids have {rows} row(s)."
        )
