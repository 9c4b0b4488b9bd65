# SPDX-License-Identifier: Apache-2.0
"""How GLM generates: a piece begins with sop, its first position stands still and its second one counts on."""

import copy

import torch
from transformers.generation import GenerationMixin, LogitsProcessorList, SuppressTokensLogitsProcessor
from transformers.masking_utils import create_causal_mask
from transformers.utils import ModelOutput, logging


try:
    from .blank_infilling_glm import check_position_shapes, derive_positions, find_blanks
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import check_position_shapes, derive_positions, find_blanks


logger = logging.get_logger(__name__)


class PartBOnly:
    """A logits processor or streamer that is shown Part B as T5's decoder is: without the `start` tokens before its sop."""

    def __init__(self, inner, start: int):
        self.inner, self.start, self.begun = inner, start, False

    def __call__(self, input_ids, scores):
        """Process the scores of the next tokens."""
        return self.inner(input_ids[:, self.start :], scores)

    def put(self, value) -> None:
        """Stream tokens; the first call brings the prompt."""
        self.inner.put(value if self.begun else value[..., self.start :])
        self.begun = True

    def end(self) -> None:
        """End the stream."""
        self.inner.end()


class GLMGenerationMixin(GenerationMixin):
    """`generate` for rows of two positions. Mixed into [`GLMForConditionalGeneration`]."""

    def generate(self, inputs=None, generation_config=None, **kwargs) -> torch.LongTensor | ModelOutput:
        """
        Generate as every Transformers model does, from one of three prompts; all rows of a batch must be of the same kind:

        * **Part A alone**, a text with a blank as the tokenizer returns it: the piece of the first blank is generated and
          returned alone, beginning with `sop`, as T5 returns it. `max_length`, `min_length`, logits processors and streamers
          count and see the piece only.
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

        Returns:
            `torch.LongTensor` or [`~transformers.utils.ModelOutput`]: as in Transformers.

        Raises:
            `ValueError`: a batch of different kinds of prompts; stacked positions; `prefill_chunk_size`; more new tokens than
            the table of block positions has.
        """
        input_ids = inputs if inputs is not None else kwargs.get("input_ids")
        kwargs = self._settle_positions(input_ids, kwargs)
        sop, cache = self.config.decoder_start_token_id, kwargs.get("past_key_values")
        if input_ids is None or sop is None or (cache is not None and cache.get_seq_length() > 0):
            return super().generate(inputs, generation_config, **kwargs)
        has_sop = (input_ids == sop).any(-1)
        if bool(has_sop.all()):
            return super().generate(inputs, generation_config, **kwargs)
        has_blank = self._has_blank(input_ids)
        self._check_one_kind(has_sop, has_blank)
        kwargs.pop("input_ids", None)
        if bool(has_blank.all()):
            return self._generate_piece(input_ids, generation_config, kwargs)
        return self._continue_text(input_ids, generation_config, kwargs)

    def _generate_piece(self, input_ids, generation_config, kwargs):
        """Part A alone: append sop, generate, return what begins with it."""
        start = input_ids.shape[1]
        if kwargs.get("streamer") is not None:
            kwargs["streamer"] = PartBOnly(kwargs["streamer"], start)
        input_ids, kwargs = self._append(input_ids, [self.config.decoder_start_token_id], kwargs)
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
        added = [self.config.mask_token_ids[-1], self.config.decoder_start_token_id]
        for name in ("position_ids", "block_position_ids"):
            kwargs.pop(name, None)  # the end-of-text token gave its position to the blank
        continued, kwargs = self._append(input_ids, added, kwargs)
        output = super().generate(continued, generation_config, uncounted_length=len(added), **kwargs)
        return _with_sequences(
            output, lambda sequences: torch.cat([sequences[:, :length], sequences[:, length + len(added) :]], dim=-1)
        )

    def _hide_end_of_text(self, input_ids, attention_mask):
        """Mask the token that ends each text: what follows it would stand after the end."""
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        is_last = place == torch.where(attention_mask.bool(), place, -1).amax(-1, keepdim=True)
        ends = self.generation_config.eos_token_id
        ends = torch.tensor([ends] if isinstance(ends, int) else ends or [], dtype=torch.long, device=input_ids.device)
        is_end = is_last & torch.isin(input_ids, ends) & (attention_mask.sum(-1, keepdim=True) > 1)
        return attention_mask.masked_fill(is_end, 0)

    def _append(self, input_ids, token_ids, kwargs):
        """Put `token_ids` after every row; padding may stand between, positions are counted without it."""
        columns = input_ids.new_tensor(token_ids).expand(input_ids.shape[0], -1)
        extended = torch.cat([input_ids, columns], dim=-1)
        if (mask := kwargs.get("attention_mask")) is not None:
            kwargs["attention_mask"] = torch.cat([mask, mask.new_ones(columns.shape)], dim=-1)
        if (positions := kwargs.get("position_ids")) is not None:
            first_blank = find_blanks(input_ids, self.config.mask_token_ids).long().argmax(-1, keepdim=True)
            kwargs["position_ids"] = torch.cat([positions, positions.gather(-1, first_blank)], dim=-1)
            begins = torch.ones_like(first_blank)
            kwargs["block_position_ids"] = torch.cat([kwargs["block_position_ids"], begins], dim=-1)
        return extended, kwargs

    @staticmethod
    def _check_one_kind(has_sop, has_blank):
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
        if generation_config.prefill_chunk_size is not None:
            raise ValueError(
                f"prefill_chunk_size={generation_config.prefill_chunk_size}: the first chunk of Part A could not see the "
                "later ones. Leave it out: GLM reads its prompt in one step."
            )
        generation_config._part_a_length, generation_config._uncounted_length = part_a_length, uncounted_length
        return generation_config, model_kwargs

    def _prepare_generated_length(self, generation_config, *args, input_ids_length, **kwargs):
        uncounted = generation_config._uncounted_length
        generation_config = super()._prepare_generated_length(
            generation_config, *args, input_ids_length=input_ids_length - uncounted, **kwargs
        )
        generation_config.max_length += uncounted
        limit = self.config.max_sequence_length
        if generation_config.max_length - input_ids_length > limit:
            raise ValueError(
                f"{generation_config.max_length - input_ids_length} new tokens were asked for, but a piece has "
                f"{limit} block positions (max_sequence_length). Lower max_new_tokens or max_length."
            )
        return generation_config

    def _get_logits_processor(self, generation_config, input_ids_seq_length=None, **kwargs):
        start = generation_config._part_a_length
        if start:
            generation_config = copy.copy(generation_config)
            generation_config.max_length -= start
            input_ids_seq_length -= start
        processors = super()._get_logits_processor(generation_config, input_ids_seq_length, **kwargs)
        never = sorted({*(self.config.mask_token_ids or []), self.config.decoder_start_token_id} - {None})
        if never:
            processors.append(SuppressTokensLogitsProcessor(never, device=kwargs.get("device") or "cpu"))
        return LogitsProcessorList([PartBOnly(processors, start)]) if start else processors

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
