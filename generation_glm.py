# SPDX-License-Identifier: Apache-2.0
"""How GLM generates: a piece begins with sop, its first position stands still and its second one counts on."""

import copy

import torch
from transformers.generation import (
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    MaxLengthCriteria,
    StoppingCriteriaList,
)
from transformers.masking_utils import create_causal_mask
from transformers.utils import ModelOutput, logging


try:
    from .blank_infilling_glm import check_position_shapes, derive_positions, find_blanks
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import check_position_shapes, derive_positions, find_blanks


logger = logging.get_logger(__name__)


# arguments that would be silently wrong, and why
REFUSED = {
    "prefill_chunk_size": "the first chunk of Part A could not see the later ones. Leave it out: GLM reads its prompt in "
    "one step.",
    "token_healing": "it reads the prompt again as text, without mask tokens and sop. Cut the last token off yourself.",
    "guidance_scale": "the prompt without its condition has no blank to write into. Leave it out.",
    "negative_prompt_ids": "they belong to guidance_scale, which GLM does not take. Leave them out.",
    "encoder_outputs": "GLM has no encoder. Pass input_ids, and past_key_values to read Part A only once.",
    "document_ids": "packed rows are for training. Generate from one document a row, padded on either side.",
    "decoder_start_token_id": "a piece begins with sop, config.decoder_start_token_id. Leave it out; decoder_input_ids "
    "begin a piece with tokens of your own.",
    "assistant_tokenizer": "mask tokens and sop are lost between two tokenizers. Take an assistant that shares the "
    "tokenizer.",
}


class PartBOnly:
    """A logits processor or stopping criterion that is shown Part B as T5's decoder is: without the `start` tokens before."""

    def __init__(self, inner, start: int):
        self.inner, self.start = inner, start

    def __call__(self, input_ids, scores):
        """What `inner` makes of Part B."""
        return self.inner(input_ids[:, self.start :], scores)


class PromptCut:
    """A streamer that is given the `shown` columns of the prompt, and all that follows it."""

    def __init__(self, inner, shown: slice):
        self.inner, self.shown = inner, shown

    def put(self, value) -> None:
        """Stream tokens; the first call brings the prompt."""
        self.inner.put(value[..., self.shown])
        self.shown = slice(None)

    def end(self) -> None:
        """End the stream."""
        self.inner.end()


class NeverGenerated(LogitsProcessor):
    """Keeps mask tokens and sop away. `SuppressTokensLogitsProcessor` looks through the whole vocabulary for them each step."""

    def __init__(self, token_ids: list[int], device):
        self.token_ids = torch.tensor(token_ids, device=device)

    def __call__(self, input_ids, scores):
        """The scores with -inf at these tokens."""
        return scores.index_fill(-1, self.token_ids, -torch.inf)


class GLMGenerationMixin(GenerationMixin):
    """`generate` for rows of two positions. Mixed into [`GLMForConditionalGeneration`]."""

    def generate(self, inputs=None, generation_config=None, **kwargs) -> torch.LongTensor | ModelOutput:
        """
        Generate as every Transformers model does, from one of three prompts; all rows of a batch must be of the same kind:

        * **Part A alone**, a text with a blank as the tokenizer returns it: the piece of the first blank is generated and
          returned alone, beginning with `sop`, as T5 returns it. `max_length`, `min_length`, logits processors, stopping
          criteria and streamers count and see the piece only.
        * **a row that has sop**, for example `[CLS] x1 [MASK] x3 sop`: it is continued and returned whole.
        * **a text with neither**: it is continued at the last of `config.mask_token_ids`, which is put after its end (in
          the place of an end-of-text token), and returned with what follows, as a causal model does.

        Padding may stand on either side. `config.mask_token_ids` and `sop` are never generated; generation stops at
        `generation_config.eos_token_id`, eop and the end of the text.

        Args:
            inputs (`torch.LongTensor` of shape `(B, T)`, *optional*): the prompt, also as `input_ids=`.
            generation_config ([`~transformers.GenerationConfig`], *optional*): as in Transformers.
            kwargs: as in Transformers. `position_ids` and `block_position_ids` of shape `(B, T)` are derived from the tokens
                if omitted; columns beyond the prompt are ignored, as the model continues them by its own rule.
                `inputs_embeds` show their kind by the embeddings of sop and the mask tokens. `decoder_input_ids` of shape
                `(B, S)`, beside Part A alone, begin the piece, as in T5: they are continued and returned with it.

        Returns:
            `torch.LongTensor` or [`~transformers.utils.ModelOutput`]: as in Transformers.

        Raises:
            `ValueError`: a batch of different kinds of prompts; stacked positions; an argument of `REFUSED`; a cache of less
            than Part A; more new tokens than the table of block positions has.
        """
        self._refuse(generation_config, kwargs)
        given = kwargs.get("input_ids") if inputs is None else inputs
        input_ids = self._recognize_embeddings(kwargs) if given is None else given
        kwargs = self._settle_positions(input_ids, kwargs)
        if input_ids is None or self.config.decoder_start_token_id is None or self._is_rest(input_ids, kwargs):
            return super().generate(inputs, generation_config, **kwargs)
        has_sop, has_blank = self._has_sop(input_ids, kwargs), self._has_blank(input_ids)
        self._check_one_kind(has_sop, has_blank)
        is_piece = bool(has_blank.all()) and not bool(has_sop.any())
        if kwargs.get("decoder_input_ids") is not None and not is_piece:
            raise ValueError(
                "decoder_input_ids begin the piece of a blank: beside them every row of the prompt is a Part A without sop, "
                f"with one of the mask tokens (ids {self.config.mask_token_ids}) where the piece belongs."
            )
        self._check_cache(input_ids, kwargs.get("past_key_values"), has_sop, is_piece)
        if bool(has_sop.all()):
            return super().generate(inputs, generation_config, **kwargs)
        kwargs.pop("input_ids", None)
        if is_piece:
            return self._generate_piece(input_ids, generation_config, kwargs)
        if given is None:
            raise ValueError(
                "inputs_embeds hold neither the embedding of sop nor that of a mask token, so nothing says where to write. "
                "Put one of them in, or pass position_ids and block_position_ids of a row with sop."
            )
        return self._continue_text(input_ids, generation_config, kwargs)

    def _generate_piece(self, input_ids, generation_config, kwargs):
        """Part A alone: append the beginning of Part B, generate, return what begins with it."""
        start = input_ids.shape[1]
        if kwargs.get("streamer") is not None:
            kwargs["streamer"] = PromptCut(kwargs["streamer"], slice(start, None))
        begun, is_token = self._begin_piece(input_ids, kwargs)
        input_ids, kwargs = self._append(input_ids, begun, is_token, kwargs)
        output = super().generate(input_ids, generation_config, part_a_length=start, uncounted_length=start, **kwargs)
        return _with_sequences(output, lambda sequences: sequences[:, start:])

    def _continue_text(self, input_ids, generation_config, kwargs):
        """A text without a blank: continue it at a blank after its end, and return it with the continuation."""
        logger.warning_once(
            "The prompt has no blank: it is continued at its end. Put a mask token where the text is to be filled."
        )
        if not self.config.mask_token_ids:
            raise ValueError("config.mask_token_ids is not set: give it the tokenizer's mask_token_ids.")
        length = input_ids.shape[1]
        if kwargs.get("attention_mask") is None:
            pad = self.config.pad_token_id
            kwargs["attention_mask"] = torch.ones_like(input_ids) if pad is None else input_ids.ne(pad).long()
        kwargs["attention_mask"] = self._hide_end_of_text(input_ids, kwargs["attention_mask"])
        if kwargs.get("streamer") is not None:
            kwargs["streamer"] = PromptCut(kwargs["streamer"], slice(length))
        for name in ("position_ids", "block_position_ids"):
            kwargs.pop(name, None)  # the end-of-text token gave its position to the blank
        added = [self.config.mask_token_ids[-1], self.config.decoder_start_token_id]
        columns = input_ids.new_tensor(added).expand(input_ids.shape[0], -1)
        continued, kwargs = self._append(input_ids, columns, torch.ones_like(columns), kwargs)
        output = super().generate(continued, generation_config, uncounted_length=len(added), **kwargs)
        return _with_sequences(
            output, lambda sequences: torch.cat([sequences[:, :length], sequences[:, length + len(added) :]], dim=-1)
        )

    def _refuse(self, generation_config, kwargs):
        given = self.generation_config.to_dict()
        if generation_config is not None:
            given |= {name: value for name, value in generation_config.to_dict().items() if value is not None}
        given |= kwargs
        neutral = {"guidance_scale": 1, "decoder_start_token_id": self.config.decoder_start_token_id}
        for name, reason in REFUSED.items():
            value = given.get(name)
            if value is None or value is False or (name in neutral and value == neutral[name]):
                continue
            shown = f"{name}={value}" if isinstance(value, (int, float)) else name
            raise ValueError(f"{shown}: {reason}")

    def _recognize_embeddings(self, kwargs):
        """Tokens in the place of embeddings: sop and the mask tokens, padding for all others."""
        if kwargs.get("inputs_embeds") is None:
            return None
        recognized = self.glm._recognize(kwargs["inputs_embeds"])
        if kwargs.get("attention_mask") is None:
            kwargs["attention_mask"] = torch.ones_like(recognized)
        return recognized.masked_fill(recognized < 0, self.config.pad_token_id or 0)

    @staticmethod
    def _is_rest(input_ids, kwargs):
        """New tokens alone, the rest of a row whose beginning is in the cache; its mask is that of the whole row."""
        mask, cache = kwargs.get("attention_mask"), kwargs.get("past_key_values")
        return cache is not None and mask is not None and mask.shape[1] > input_ids.shape[1]

    def _has_sop(self, input_ids, kwargs):
        has_sop = (input_ids == self.config.decoder_start_token_id).any(-1)
        if (block_position_ids := kwargs.get("block_position_ids")) is not None:
            has_sop = has_sop | (block_position_ids > 0).any(-1)
        return has_sop

    def _check_cache(self, input_ids, cache, has_sop, is_piece):
        """A cache holds all of Part A or nothing."""
        seen = 0 if cache is None else int(cache.get_seq_length())
        length = input_ids.shape[1]
        if bool(has_sop.any()):
            length = int((input_ids == self.config.decoder_start_token_id).long().argmax(-1).max())
        if seen and (seen < length or not (is_piece or bool(has_sop.any()))):
            raise ValueError(
                f"The cache holds {seen} token(s) and Part A has {length}, its blank included: all of Part A sees each other, so "
                "a cache holds all of it, or none. Pass the cache of the whole Part A, or leave past_key_values out."
            )

    def _begin_piece(self, input_ids, kwargs):
        """What stands in Part B before it is generated, sop or `decoder_input_ids`, and which columns are no padding."""
        sop = input_ids.new_full((input_ids.shape[0], 1), self.config.decoder_start_token_id)
        begun, mask = kwargs.pop("decoder_input_ids", None), kwargs.pop("decoder_attention_mask", None)
        if begun is None:
            return sop, torch.ones_like(sop)
        if begun.dim() != 2 or begun.shape[0] != input_ids.shape[0]:
            raise ValueError(
                f"decoder_input_ids have shape {tuple(begun.shape)}; they are (batch, tokens), and the prompt has "
                f"{input_ids.shape[0]} row(s)."
            )
        mask = torch.ones_like(begun) if mask is None else mask.to(begun.dtype)
        is_sop = begun == self.config.decoder_start_token_id
        if not bool(is_sop.any()):
            begun, mask = torch.cat([sop, begun], dim=-1), torch.cat([torch.ones_like(sop), mask], dim=-1)
            is_sop = begun == self.config.decoder_start_token_id
        if not bool((is_sop.sum(-1) == 1).all()):
            row = int((is_sop.sum(-1) != 1).nonzero()[0])
            raise ValueError(
                f"Row {row} of decoder_input_ids has {int(is_sop[row].sum())} sop (id {self.config.decoder_start_token_id}). "
                "Begin one piece in every row, or in none: then sop is put before them."
            )
        mask = mask * (is_sop.cumsum(-1) > 0)
        if kwargs.get("attention_mask") is None and not bool(mask.all()):
            raise ValueError("decoder_input_ids are padded: pass the attention_mask of the prompt with them.")
        return begun, mask

    def _hide_end_of_text(self, input_ids, attention_mask):
        """Mask the token that ends each text: what follows it would stand after the end."""
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        is_last = place == torch.where(attention_mask.bool(), place, -1).amax(-1, keepdim=True)
        ends = self.generation_config.eos_token_id
        ends = torch.tensor([ends] if isinstance(ends, int) else ends or [], dtype=torch.long, device=input_ids.device)
        is_end = is_last & torch.isin(input_ids, ends) & (attention_mask.sum(-1, keepdim=True) > 1)
        return attention_mask.masked_fill(is_end, 0)

    def _append(self, input_ids, columns, is_token, kwargs):
        """Put `columns` after every row; padding may stand between, positions are counted without it."""
        extended = torch.cat([input_ids, columns], dim=-1)
        if (mask := kwargs.get("attention_mask")) is not None:
            kwargs["attention_mask"] = torch.cat([mask, is_token.to(mask.dtype)], dim=-1)
        if (embeddings := kwargs.get("inputs_embeds")) is not None:
            added = self.get_input_embeddings()(columns).to(embeddings.dtype)
            kwargs["inputs_embeds"] = torch.cat([embeddings, added], dim=1)
        if (positions := kwargs.get("position_ids")) is not None:
            first_blank = find_blanks(input_ids, self.config.mask_token_ids).long().argmax(-1, keepdim=True)
            of_blank = positions.gather(-1, first_blank).expand(columns.shape)
            kwargs["position_ids"] = torch.cat([positions, of_blank], dim=-1)
            kwargs["block_position_ids"] = torch.cat([kwargs["block_position_ids"], is_token.cumsum(-1)], dim=-1)
        return extended, kwargs

    @staticmethod
    def _check_one_kind(has_sop, has_blank):
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

    def _prepare_generation_config(self, generation_config, part_a_length=0, uncounted_length=0, **kwargs):
        generation_config, model_kwargs = super()._prepare_generation_config(generation_config, **kwargs)
        generation_config._part_a_length, generation_config._uncounted_length = part_a_length, uncounted_length
        return generation_config, model_kwargs

    def _prepare_generated_length(self, generation_config, *args, input_ids_length, inputs_tensor, **kwargs):
        uncounted = generation_config._uncounted_length
        generation_config = super()._prepare_generated_length(
            generation_config,
            *args,
            input_ids_length=input_ids_length - uncounted,
            inputs_tensor=inputs_tensor[:, uncounted:],
            **kwargs,
        )
        generation_config.max_length += uncounted
        generation_config.min_length += uncounted
        return generation_config

    def _prepare_cache_for_generation(self, generation_config, model_kwargs, mode, batch_size, max_cache_length):
        begun = model_kwargs["block_position_ids"]
        new, taken = max_cache_length + 1 - begun.shape[1], int(begun[:, -1].max())
        limit = self.config.max_sequence_length
        if taken + new - 1 > limit:  # the last token is not read again
            raise ValueError(
                f"{new} new tokens were asked for, but a piece has {limit} block positions (max_sequence_length), and the "
                f"prompt takes {taken}. Lower max_new_tokens or max_length."
            )
        super()._prepare_cache_for_generation(generation_config, model_kwargs, mode, batch_size, max_cache_length)

    def _get_logits_processor(
        self,
        generation_config,
        input_ids_seq_length=None,
        encoder_input_ids=None,
        logits_processor=None,
        device=None,
        model_kwargs=None,
        **kwargs,
    ):
        start, mask = generation_config._part_a_length, (model_kwargs or {}).get("attention_mask")
        if mask is not None and encoder_input_ids is not None and encoder_input_ids.dim() == 2:
            rows, width = encoder_input_ids.shape
            is_token = mask[:: mask.shape[0] // rows, -width:].bool()
            first = encoder_input_ids.gather(-1, is_token.long().argmax(-1, keepdim=True))
            encoder_input_ids = torch.where(is_token, encoder_input_ids, first)  # padding is no token of the source
        if start:
            generation_config = copy.copy(generation_config)
            generation_config.max_length -= start
            generation_config.min_length -= start
            input_ids_seq_length -= start
            encoder_input_ids = encoder_input_ids[:, :start]
            model_kwargs = {"attention_mask": None if mask is None else mask[:, start:]}
        never = sorted({*(self.config.mask_token_ids or []), self.config.decoder_start_token_id} - {None})
        if never:  # before what cuts the distribution for sampling, which may leave nothing else
            logits_processor = [*(logits_processor or []), NeverGenerated(never, device=device or "cpu")]
        processors = super()._get_logits_processor(
            generation_config,
            input_ids_seq_length,
            encoder_input_ids,
            logits_processor=logits_processor or LogitsProcessorList(),
            device=device,
            model_kwargs=model_kwargs,
            **kwargs,
        )
        return LogitsProcessorList([PartBOnly(processors, start)]) if start else processors

    def _get_stopping_criteria(self, generation_config, stopping_criteria, **kwargs):
        start, given = generation_config._part_a_length, list(stopping_criteria or ())
        if start:
            stopping_criteria = StoppingCriteriaList(PartBOnly(criterion, start) for criterion in stopping_criteria)
        criteria = super()._get_stopping_criteria(generation_config, stopping_criteria, **kwargs)
        for criterion in criteria:
            if isinstance(criterion, MaxLengthCriteria) and criterion not in given:
                # a row may be longer than the table: Part A and each piece have all of it
                criterion.max_position_embeddings = None
        return criteria

    def _prepare_position_ids_for_generation(self, inputs_tensor, model_kwargs):
        """Both positions of the prompt; the second one travels in `model_kwargs`."""
        ids = model_kwargs.get("input_ids")
        if ids is None or ids.shape[1] == 0:
            ids = inputs_tensor
        attention_mask = model_kwargs.get("attention_mask")
        is_token = torch.ones(ids.shape[:2], dtype=torch.bool, device=ids.device)
        if attention_mask is not None:
            if attention_mask.shape[1] != ids.shape[1]:
                raise ValueError(
                    f"The attention mask has {attention_mask.shape[1]} columns and input_ids {ids.shape[1]}: with a cache, "
                    "pass the whole row, or position_ids and block_position_ids of the new tokens."
                )
            is_token = attention_mask.bool()
        if ids.dim() == 3:
            ids = self.glm._recognize(ids)
        position_ids, block_position_ids = self._derive(ids, is_token, model_kwargs.get("block_position_ids"))
        model_kwargs["block_position_ids"] = block_position_ids
        return position_ids

    def prepare_inputs_for_generation(
        self,
        input_ids,
        next_sequence_length=None,
        past_key_values=None,
        attention_mask=None,
        inputs_embeds=None,
        is_first_iteration=False,
        position_ids=None,
        block_position_ids=None,
        **kwargs,
    ) -> dict:
        """Continue both positions of the prompt to the row's length: the first stands still, the second counts on."""
        length = input_ids.shape[1]
        if inputs_embeds is not None:
            length = inputs_embeds.shape[1]
            if not is_first_iteration:
                length = int(past_key_values.get_seq_length()) + next_sequence_length
        has_positions = position_ids is not None and block_position_ids is not None
        if has_positions:
            new = length - block_position_ids.shape[1]
            position_ids = position_ids[:, : block_position_ids.shape[1]]
            if new > 0:
                steps = torch.arange(1, new + 1, device=position_ids.device)
                position_ids = torch.cat([position_ids, position_ids[:, -1:].expand(-1, new)], dim=-1)
                block_position_ids = torch.cat([block_position_ids, block_position_ids[:, -1:] + steps], dim=-1)
        model_inputs = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            position_ids=position_ids,
            **kwargs,
        )
        if has_positions:
            width = model_inputs["position_ids"].shape[-1]
            # contiguous, as position_ids: a compiled step is compiled again for each new stride
            newest = block_position_ids[:, -width:].clone(memory_format=torch.contiguous_format)
            model_inputs["block_position_ids"] = newest.to(model_inputs["position_ids"].device)
        return model_inputs

    @staticmethod
    def create_masks_for_generate(
        config, inputs_embeds, attention_mask, past_key_values, **kwargs
    ) -> torch.Tensor | None:
        """The ready mask of a decoding step, for compiled steps; the prompt's is made by the model, which knows Part A."""
        if inputs_embeds.shape[1] > 1:
            return attention_mask
        return create_causal_mask(config, inputs_embeds, attention_mask, past_key_values)

    def init_continuous_batching(self, *args, **kwargs) -> None:
        """Refused: it would lay positions out as a plain range and read Part A from left to right."""
        raise ValueError(
            "GLM cannot generate with continuous batching: it places tokens by one position and reads the prompt from left "
            "to right. Use generate() on padded batches."
        )

    def _settle_positions(self, input_ids, kwargs):
        """Positions that the caller gave: those of the prompt's columns only (old callers pass more), and both of them."""
        check_position_shapes(kwargs.get("position_ids"), kwargs.get("block_position_ids"))
        if kwargs.get("position_ids") is None or input_ids is None:
            return kwargs
        for name in ("position_ids", "block_position_ids"):
            if kwargs.get(name) is not None:
                kwargs[name] = kwargs[name][:, : input_ids.shape[1]]
        if kwargs.get("block_position_ids") is None:
            mask = kwargs.get("attention_mask")
            is_token = torch.ones_like(input_ids).bool() if mask is None else mask[:, -input_ids.shape[1] :].bool()
            kwargs["block_position_ids"] = self._derive(input_ids, is_token, None)[1]
        return kwargs

    def _derive(self, input_ids, is_token, block_position_ids):
        return derive_positions(
            input_ids,
            is_token,
            mask_token_ids=self.config.mask_token_ids,
            sop=self.config.decoder_start_token_id,
            block_position_ids=block_position_ids,
        )


def _with_sequences(output, change):
    if isinstance(output, torch.Tensor):
        return change(output)
    output.sequences = change(output.sequences)
    return output
