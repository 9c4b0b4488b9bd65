# SPDX-License-Identifier: Apache-2.0
"""Fill the blanks of texts, left to right: each piece is written with the earlier ones in sight (paper, section 2.1)."""

import re
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicCache
from transformers.utils import logging


logger = logging.get_logger(__name__)

MAX_NEW_TOKENS = 64  # the most tokens of a piece, unless the caller says
# settings beside which `generate` takes no cache of the caller
BEGINS_A_NEW_CACHE = ("assistant_model", "prompt_lookup_num_tokens", "assistant_early_exit", "cache_implementation")


@dataclass(frozen=True)
class FilledText:
    """
    A text with its blanks filled.

    Args:
        text (`str`): the text, each mask token and the space before it replaced by its piece.
        pieces (`list[str]`): what stands in each blank, in reading order.
        log_probabilities (`list[float]`): natural logarithm of each piece's probability, its end included, given the text
            and the pieces before it.
    """

    text: str
    pieces: list[str]
    log_probabilities: list[float]


def fill_blanks(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: str | list[str],
    *,
    batch_size: int = 16,
    **generate_kwargs,
) -> FilledText | list:
    """
    Fill every blank of every text: `[MASK]` with a span, `[sMASK]` with sentences, `[gMASK]` with the rest of the text.

    The pieces of a text are written one after the other in one row, each seeing the text and the pieces before it; the
    cache is carried on from blank to blank (beam search begins a new one for each blank, as its beams change places).

    Args:
        model ([`GLMForConditionalGeneration`]): the model.
        tokenizer ([`GLMTokenizer`]): its tokenizer.
        texts (`str` or `list[str]`): texts with one blank or more each; their numbers may differ.
        batch_size (`int`, *optional*, defaults to 16): texts that are filled together.
        generate_kwargs: passed to [`~GLMForConditionalGeneration.generate`] for each blank, for example `do_sample=True`,
            `num_beams=4`, `max_new_tokens=64` (the default). With `num_return_sequences=n` the first blank is filled in
            `n` ways and each is carried on by itself. `stop_strings=["."]` end a piece as its end does, and stay in it.

    Returns:
        [`FilledText`] for a string, a list of them for a list; with `num_return_sequences=n > 1` a list of `n` in the
        place of each.

    Raises:
        `ValueError`: a text without a blank, with sop in it, or longer than the model's position table.
    """
    if generate_kwargs.get("generation_config") is None:
        generate_kwargs.setdefault("max_new_tokens", min(MAX_NEW_TOKENS, model.config.max_sequence_length - 1))
    copies = _in_force(model, generate_kwargs, "num_return_sequences") or 1
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: at least one text is filled at a time.")
    generate_kwargs.pop("return_dict_in_generate", None)  # what is returned is a FilledText
    positions = model.config.max_sequence_length + 1
    prompts = [read_prompt(text, tokenizer, positions) for text in ([texts] if isinstance(texts, str) else texts)]
    filled = []
    for start in range(0, len(prompts), batch_size):
        filled += _fill_batch(model, tokenizer, prompts[start : start + batch_size], copies, generate_kwargs)
    if copies == 1:
        filled = [copies_of_text[0] for copies_of_text in filled]
    return filled[0] if isinstance(texts, str) else filled


@dataclass(frozen=True)
class Prompt:
    """A text, its Part A and how many blanks it has."""

    text: str
    token_ids: list[int]
    blanks: int


def read_prompt(text: str, tokenizer: PreTrainedTokenizerBase, positions: int | None = None) -> Prompt:
    """Encode a text with blanks, of at most `positions` tokens; as in pretraining, nothing follows a [gMASK] at its end."""
    token_ids = list(tokenizer(text, truncation=False, verbose=False)["input_ids"])
    blanks = sum(token_id in tokenizer.mask_token_ids for token_id in token_ids)
    mask_tokens = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
    if blanks == 0:
        raise ValueError(f"No blank in {text[:60]!r}: put one of {mask_tokens} where the text is to be filled.")
    if tokenizer.sop_token_id in token_ids:
        raise ValueError(f"{tokenizer.sop_token} in {text[:60]!r}: it begins a piece, leave it to the model.")
    if token_ids[-2:] == [tokenizer.gmask_token_id, tokenizer.eos_token_id]:
        token_ids.pop()
    if positions is not None and len(token_ids) > positions:
        raise ValueError(
            f"The text has {len(token_ids)} tokens, the model's position table {positions} rows: {text[:60]!r}... Shorten it "
            "round its blanks."
        )
    return Prompt(text, token_ids, blanks)


@torch.no_grad()
def _fill_batch(model, tokenizer, prompts, copies, generate_kwargs):
    """One round for each blank; a text without further blanks leaves the batch."""
    ids = {"input_ids": [prompt.token_ids for prompt in prompts]}
    batch = tokenizer.pad(ids, padding_side="left", return_attention_mask=True, return_tensors="pt").to(model.device)
    rows, mask, cache = batch["input_ids"], batch["attention_mask"], None
    text_of = list(range(len(prompts)))  # the text that a row of the batch belongs to
    pieces = [[([], []) for _ in range(copies)] for _ in prompts]
    for number in range(max(prompt.blanks for prompt in prompts)):
        open_rows = [row for row, index in enumerate(text_of) if prompts[index].blanks > number]
        kept = torch.tensor(open_rows, device=rows.device)
        if cache is not None and len(kept) < len(rows):  # it copies the whole cache
            cache.batch_select_indices(kept)
        sop = rows.new_full((len(kept), 1), tokenizer.sop_token_id)
        rows, mask = torch.cat([rows[kept], sop], dim=-1), torch.cat([mask[kept], torch.ones_like(sop)], dim=-1)
        ways = copies if number == 0 else 1
        rows, inside, scores, cache = _generate_piece(
            model, tokenizer, rows, mask, cache, {**generate_kwargs, "num_return_sequences": ways}
        )
        mask = torch.cat([mask.repeat_interleave(ways, 0), inside.to(mask.dtype)], dim=-1)
        text_of = [text_of[row] for row in open_rows for _ in range(ways)]
        for row, index in enumerate(text_of):
            texts, log_probabilities = pieces[index][row % copies]
            piece = rows[row, -inside.shape[1] :][inside[row]]
            texts.append(tokenizer.decode(piece, skip_special_tokens=True))
            log_probabilities.append(scores[row])
    return [
        [FilledText(splice(prompt.text, texts, tokenizer), texts, scores) for texts, scores in of_text]
        for prompt, of_text in zip(prompts, pieces, strict=True)
    ]


def _generate_piece(model, tokenizer, rows, mask, cache, generate_kwargs):
    """
    Fill one blank of each row: the longer rows; which of their new tokens (R, new tokens) belong to the piece, its end not;
    the log-probability of each piece with its end; and the cache, where the next blank can go on with it.
    """
    output = model.generate(
        input_ids=rows,  # by name: PEFT's models take no other way
        attention_mask=mask,
        cache=cache,
        return_dict_in_generate=True,
        output_logits=True,
        # padding that is never generated can be told from a piece, which a stop string leaves without an end
        **{"tokenizer": tokenizer, **generate_kwargs, "pad_token_id": tokenizer.sop_token_id},
    )
    new = output.sequences[:, rows.shape[1] :]
    is_end = torch.isin(new, torch.tensor([tokenizer.eop_token_id, tokenizer.eos_token_id], device=new.device))
    ends_before = is_end.long().cumsum(-1) - is_end.long()
    is_piece = (ends_before == 0) & (new != tokenizer.sop_token_id)
    inside = is_piece & ~is_end
    if not _in_force(model, generate_kwargs, "stop_strings") and bool(inside.all(-1).any()):
        logger.warning_once(f"A piece was cut after {new.shape[1]} tokens without its end: raise max_new_tokens.")
    scores = model.compute_transition_scores(
        output.sequences, output.logits, getattr(output, "beam_indices", None), normalize_logits=True
    )
    scores = torch.where(is_piece, scores[:, : new.shape[1]], 0.0).sum(-1)
    # beams change places, so only a plain cache holds the rows that were returned; assisted decoding reads its whole prompt
    anew = any(_in_force(model, generate_kwargs, name) for name in BEGINS_A_NEW_CACHE)
    cache = None if anew or getattr(output, "beam_indices", None) is not None else output.cache
    # PEFT puts virtual tokens before a prompt without a cache only
    if not isinstance(cache, DynamicCache) or cache.get_seq_length() != output.sequences.shape[1] - 1:
        cache = None
    return output.sequences, inside, scores.tolist(), cache


def _in_force(model, generate_kwargs, name):
    """A setting as `generate` takes it: the argument, or that of the caller's configuration, or the model's."""
    configs = (generate_kwargs.get("generation_config"), model.generation_config)
    values = (generate_kwargs.get(name), *(getattr(config, name, None) for config in configs))
    return next((value for value in values if value is not None), None)


def splice(text: str, pieces: list[str], tokenizer: PreTrainedTokenizerBase) -> str:
    """
    Put the pieces into the places of the mask tokens.

    The space before a mask token belongs to the blank: a byte-level piece brings its own, for other vocabularies, whose
    pieces cannot, it stays.
    """
    mask_tokens = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
    pattern = r"(\s*)(?:" + "|".join(map(re.escape, mask_tokens)) + ")"
    keeps_spaces = tokenizer.decode(tokenizer(" a", add_special_tokens=False)["input_ids"]).startswith(" ")
    remaining = iter(pieces)
    return re.sub(pattern, lambda match: ("" if keeps_spaces else match[1]) + next(remaining), text)
