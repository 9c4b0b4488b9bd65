# SPDX-License-Identifier: Apache-2.0
"""How GLM generates: a piece begins with sop, its first position stands still and its second one counts on."""

import copy
import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
import transformers
from transformers.generation import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    ForcedBOSTokenLogitsProcessor,
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
)
from transformers.masking_utils import create_causal_mask, create_masks_for_generate
from transformers.utils import ModelOutput, logging
from transformers.utils.deprecation import deprecate_kwarg


try:
    from .blank_infilling_glm import find_blanks, hide_end_of_text
    from .inputs_glm import (
        POSITIONS,
        Prompt,
        begin_piece,
        count_new_tokens,
        is_rest,
        lay_out_prompt,
        pad_left,
        refuse,
        settle_positions,
        tell_kind,
        tell_padding,
    )
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import find_blanks, hide_end_of_text
    from inputs_glm import (
        POSITIONS,
        Prompt,
        begin_piece,
        count_new_tokens,
        is_rest,
        lay_out_prompt,
        pad_left,
        refuse,
        settle_positions,
        tell_kind,
        tell_padding,
    )


logger = logging.get_logger(__name__)


# What Transformers calls, and is called by, here: each with the parameters that this code was written for. A release that
# renames one would drop what it does not know without a word, and generate other text.
WRITTEN_FOR = "5.24"
HOOKS = {
    GenerationMixin.generate: "self inputs generation_config logits_processor stopping_criteria prefix_allowed_tokens_fn "
    "synced_gpus assistant_model streamer negative_prompt_ids negative_prompt_attention_mask custom_generate kwargs",
    GenerationMixin.prepare_inputs_for_generation: "self input_ids next_sequence_length cache attention_mask inputs_embeds "
    "is_first_iteration kwargs",
    GenerationMixin.init_continuous_batching: "self generation_config continuous_batching_config workload_hints",
    create_masks_for_generate: "config inputs_embeds attention_mask cache position_ids or_mask_function and_mask_function "
    "block_sequence_ids kwargs",
    create_causal_mask: "config inputs_embeds attention_mask cache position_ids or_mask_function and_mask_function "
    "block_sequence_ids layer_idx allow_is_causal_skip",
}


def find_changed_hooks(hooks=HOOKS) -> str | None:
    """What a release of Transformers changed in the signatures that `generate` relies on; None: nothing."""
    changes = []
    for function, expected in hooks.items():
        found, expected = tuple(inspect.signature(function).parameters), tuple(expected.split())
        if found != expected:
            new, gone = [name for name in found if name not in expected], [n for n in expected if n not in found]
            changes.append(f"{function.__name__} (new: {new}, gone: {gone}, so {', '.join(found)})")
    return "; ".join(changes) or None


CHANGED_HOOKS = find_changed_hooks()


# settings of stock processors that look back at the row's beginning: their neutral value, and the processor
LOOKING_BACK = {
    "repetition_penalty": (1.0, RepetitionPenaltyLogitsProcessor),
    "no_repeat_ngram_size": (0, NoRepeatNGramLogitsProcessor),
    "forced_bos_token_id": (None, ForcedBOSTokenLogitsProcessor),
}
# the same for those that look at the source
LOOKING_AT_PART_A = {
    "encoder_repetition_penalty": (1.0, EncoderRepetitionPenaltyLogitsProcessor),
    "encoder_no_repeat_ngram_size": (0, EncoderNoRepeatNGramLogitsProcessor),
}
# searches of Transformers itself that read what prepare_inputs_for_generation gives them
PLAIN_SEARCHES = ("greedy_search", "sample", "beam_search", "beam_sample")


class PartA(NamedTuple):
    """What stands before the piece that stock `generate` writes: ids (B, T), or embeddings, and a mask where there is padding."""

    ids: torch.Tensor
    embeddings: torch.Tensor | None
    mask: torch.Tensor | None

    def of_beams(self, rows: int) -> "PartA":
        """The same for `rows` rows, as many for each example as it has beams."""
        ways = rows // len(self.ids)
        return self if ways == 1 else PartA(*(None if x is None else x.repeat_interleave(ways, 0) for x in self))

    def join_mask(self, mask: torch.Tensor | None, width: int) -> torch.Tensor | None:
        """The mask of Part A and a piece, `width` columns together; None where neither has padding."""
        if self.mask is None and mask is None:
            return None
        before = torch.ones_like(self.ids) if self.mask is None else self.mask
        after = before.new_ones(len(before), width - before.shape[1]) if mask is None else mask
        return torch.cat([before, after.to(before.dtype)], dim=-1)


# An argument would be the plainer way, but PEFT's models let nothing through that forward does not name. A context variable
# belongs to one thread and one call.
_part_a: ContextVar[PartA | None] = ContextVar("part_a", default=None)


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
    """
    `generate` for rows of two positions. Mixed into [`GLMForConditionalGeneration`].

    It overrides public hooks of `GenerationMixin` only, each for what no argument says: `generate`, as stock code knows one kind of
    prompt; `prepare_inputs_for_generation`, as it counts one position on and would drop the second; `create_masks_for_generate`, as
    its mask of a prompt is causal; `init_continuous_batching`, which would place tokens by one position and is refused.
    """

    @deprecate_kwarg("past_key_values", "6.0.0", new_name="cache")
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
            `ValueError`: a batch of different kinds of prompts; stacked positions; an argument of `inputs_glm.REFUSED`; a cache of less
            than Part A, or of more than the prompt before its last token; an assistant beside a cache or `inputs_embeds`; more new
            tokens than the table of block positions has.
            `RuntimeError`: this release of Transformers has changed a hook that `generate` relies on.
        """
        if CHANGED_HOOKS is not None:
            raise RuntimeError(
                f"This GLM generates with Transformers {WRITTEN_FOR}, and {transformers.__version__} has changed what it relies "
                f"on: {CHANGED_HOOKS}. It could write other text without a word. Install transformers=={WRITTEN_FOR}.*, or a "
                "later transformers-glm (and push a Hub repository with code again with that one)."
            )
        settings = self._merge_settings(generation_config, kwargs)
        refuse(self.config, settings, kwargs)
        given = kwargs.pop("input_ids", None)
        given = given if inputs is None else inputs
        input_ids = self._recognize_embeddings(kwargs) if given is None else given
        if input_ids is None:
            return super().generate(None, generation_config, **kwargs)
        prompt = Prompt(input_ids, given is None, settings, generation_config)
        kwargs = settle_positions(self.config, input_ids, kwargs)
        if self.config.decoder_start_token_id is None or is_rest(input_ids, kwargs):
            return self._generate_row(prompt, kwargs)
        kind = tell_kind(self.config, input_ids, kwargs)
        if kwargs.get("attention_mask") is None:
            kwargs["attention_mask"] = tell_padding(self.config, input_ids, prompt.settings)
        if kind == "row":
            return self._generate_row(*pad_left(prompt, kwargs))
        if kind == "piece":
            return self._generate_piece(prompt, kwargs)
        if given is None:
            raise ValueError(
                "inputs_embeds hold neither the embedding of sop nor that of a mask token, so nothing says where to write. "
                "Put one of them in, or pass position_ids and block_position_ids of a row with sop."
            )
        return self._continue_text(prompt, kwargs)

    def _merge_settings(self, generation_config, kwargs):
        """The settings in force, as Transformers merges them: the caller's, then the model's."""
        settings = GenerationConfig() if generation_config is None else copy.deepcopy(generation_config)
        settings.update(**self.generation_config.to_dict(), defaults_only=True, allow_custom_entries=True)
        settings.update(**kwargs)
        return settings

    def _generate_piece(self, prompt, kwargs):
        """
        Part A alone. Stock `generate` writes the piece as the target of an encoder-decoder: lengths, processors, criteria and
        streamers know Part B only, and `prepare_inputs_for_generation` puts Part A before it.
        """
        part_a = prompt.input_ids
        begun, is_token = begin_piece(self.config, part_a, kwargs)
        padding = kwargs["attention_mask"]
        row, kwargs = self._append(part_a, begun, is_token, kwargs)
        mode = prompt.settings.get_generation_mode(kwargs.get("assistant_model"))
        if kwargs.get("custom_generate") is not None or mode not in PLAIN_SEARCHES:
            return self._cut_piece(prompt._replace(input_ids=row, embedded=False), part_a.shape[1], kwargs)
        embeddings = kwargs.pop("inputs_embeds", None)
        kwargs = lay_out_prompt(self.config, row, kwargs)
        new_tokens = count_new_tokens(self.config, begun.shape[1], prompt.settings, kwargs)
        changes = self._add_processors(prompt, part_a, padding, kwargs)
        if prompt.settings.cache_implementation is not None:  # a static one has room for Part A
            changes["max_cache_len"] = max(prompt.settings.max_cache_len or 0, row.shape[1] + new_tokens)
        generation_config, kwargs = _change(prompt.generation_config, kwargs, changes)
        before = PartA(
            ids=part_a,
            embeddings=None if embeddings is None else embeddings[:, : part_a.shape[1]],
            mask=None if bool(padding.all()) else padding,
        )
        with _before_part_b(before):
            return super().generate(begun, generation_config, **{**kwargs, "attention_mask": is_token})

    def _cut_piece(self, prompt, start, kwargs):
        """
        Part A alone, where the search counts what it has read by the row: an assistant's candidates, loops of the caller. The
        row is written whole and Part A cut off; what looks back is shown what follows Part A.
        """
        own, changes = list(kwargs.get("logits_processor") or []), {}
        for name, (neutral, processor) in LOOKING_BACK.items():
            if (value := getattr(prompt.settings, name)) not in (None, neutral):
                own.append(processor(value))
                changes[name] = neutral
        kwargs["logits_processor"] = LogitsProcessorList(PartBOnly(processor, start) for processor in own)
        criteria = kwargs.get("stopping_criteria") or []
        kwargs["stopping_criteria"] = StoppingCriteriaList(PartBOnly(criterion, start) for criterion in criteria)
        if (allowed := kwargs.get("prefix_allowed_tokens_fn")) is not None:
            kwargs["prefix_allowed_tokens_fn"] = lambda number, tokens: allowed(number, tokens[start:])
        if kwargs.get("streamer") is not None:
            kwargs["streamer"] = PromptCut(kwargs["streamer"], slice(start, None))
        generation_config, kwargs = _change(prompt.generation_config, kwargs, changes)
        prompt = prompt._replace(generation_config=generation_config)
        output = self._generate_row(prompt, kwargs, uncounted=start, source=slice(start))
        return _with_sequences(output, lambda sequences: sequences[:, start:])

    def _generate_row(self, prompt, kwargs, uncounted=0, source=slice(None)):
        """A row, continued as a causal model's; the lengths that the caller gave leave out `uncounted` tokens of it."""
        input_ids, settings, mask = prompt.input_ids, prompt.settings, kwargs.get("attention_mask")
        kwargs = lay_out_prompt(self.config, input_ids, kwargs)
        new_tokens = count_new_tokens(self.config, input_ids.shape[1] - uncounted, settings, kwargs)
        if mask is not None:
            mask = mask[:, -input_ids.shape[1] :][:, source]
        changes = self._add_processors(prompt, input_ids[:, source], mask, kwargs)
        if settings.max_new_tokens is None:
            if settings.max_length is None:
                changes["max_new_tokens"] = new_tokens
            elif uncounted:
                changes["max_length"] = settings.max_length + uncounted
        if uncounted and settings.min_length:
            changes["min_length"] = settings.min_length + uncounted
        generation_config, kwargs = _change(prompt.generation_config, kwargs, changes)
        with _before_part_b(None):
            return super().generate(None if prompt.embedded else input_ids, generation_config, **kwargs)

    def _continue_text(self, prompt, kwargs):
        """A text without a blank: continue it at a blank after its end, and return it with the continuation."""
        logger.warning_once(
            "The prompt has no blank: it is continued at its end. Put a mask token where the text is to be filled."
        )
        if not self.config.mask_token_ids:
            raise ValueError("config.mask_token_ids is not set: give it the tokenizer's mask_token_ids.")
        input_ids, length = prompt.input_ids, prompt.input_ids.shape[1]
        kwargs["attention_mask"] = hide_end_of_text(input_ids, kwargs["attention_mask"], prompt.settings.eos_token_id)
        if kwargs.get("streamer") is not None:
            kwargs["streamer"] = PromptCut(kwargs["streamer"], slice(length))
        for name in POSITIONS:
            kwargs.pop(name, None)  # the end-of-text token gave its position to the blank
        added = [self.config.mask_token_ids[-1], self.config.decoder_start_token_id]
        columns = input_ids.new_tensor(added).expand(input_ids.shape[0], -1)
        continued, kwargs = self._append(input_ids, columns, torch.ones_like(columns), kwargs)
        output = self._generate_row(prompt._replace(input_ids=continued), kwargs, uncounted=len(added))
        return _with_sequences(
            output, lambda sequences: torch.cat([sequences[:, :length], sequences[:, length + len(added) :]], dim=-1)
        )

    def _add_processors(self, prompt, source, mask, kwargs):
        """What keeps blanks and sop away, and the processors of the source, of which stock `generate` would take Part B."""
        processors = list(kwargs.get("logits_processor") or [])
        never = sorted({*(self.config.mask_token_ids or []), self.config.decoder_start_token_id} - {None})
        # an assistant is given the processors of the model that it assists
        if never and not any(isinstance(processor, NeverGenerated) for processor in processors):
            processors.append(NeverGenerated(never, source.device))
        changes = {}
        for name, (neutral, processor) in LOOKING_AT_PART_A.items():
            if (value := getattr(prompt.settings, name)) in (None, neutral):
                continue
            if prompt.embedded:
                raise ValueError(
                    f"{name}={value} looks at the tokens of the prompt: pass input_ids beside inputs_embeds."
                )
            if mask is not None:  # padding is not a token of the source
                first = source.gather(-1, mask.long().argmax(-1, keepdim=True))
                source = torch.where(mask.bool(), source, first)
            ways = max(prompt.settings.num_beams or 1, prompt.settings.num_return_sequences or 1)
            processors.append(processor(value, source.repeat_interleave(ways, 0)))
            changes[name] = neutral
        kwargs["logits_processor"] = LogitsProcessorList(processors)
        return changes

    def _recognize_embeddings(self, kwargs):
        """Tokens in the place of embeddings: sop and the mask tokens, padding for all others."""
        if kwargs.get("inputs_embeds") is None:
            return None
        recognized = self.glm._recognize(kwargs["inputs_embeds"])
        if kwargs.get("attention_mask") is None:
            kwargs["attention_mask"] = torch.ones_like(recognized)
        return recognized.masked_fill(recognized < 0, self.config.pad_token_id or 0)

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

    def prepare_inputs_for_generation(
        self,
        input_ids,
        next_sequence_length=None,
        cache=None,
        attention_mask=None,
        inputs_embeds=None,
        is_first_iteration=False,
        position_ids=None,
        block_position_ids=None,
        **kwargs,
    ) -> dict:
        """
        Put Part A before a piece where the model has not read it, and continue both positions of the prompt to the row's
        length: the first stands still, the second counts on.
        """
        part_a, length = _part_a.get(), input_ids.shape[1]
        if part_a is not None:
            length += part_a.ids.shape[1]
            part_a = part_a.of_beams(len(input_ids))
            # by the positions: where other processes go on (synced_gpus), a finished row is read on and gets no new ids
            attention_mask = part_a.join_mask(attention_mask, position_ids.shape[1])
            if is_first_iteration:
                # stock code takes Part B for the whole row, and a cache for its past
                next_sequence_length = None
            is_cached = is_first_iteration and cache is not None and bool(cache.get_seq_length() > 0)
            if next_sequence_length is None and not is_cached:
                if part_a.embeddings is not None:
                    piece = self.get_input_embeddings()(input_ids).to(part_a.embeddings.dtype)
                    inputs_embeds, is_first_iteration = torch.cat([part_a.embeddings, piece], dim=1), True
                input_ids = torch.cat([part_a.ids, input_ids], dim=-1)
        elif inputs_embeds is not None:
            length = inputs_embeds.shape[1]
            if not is_first_iteration:
                length = int(cache.get_seq_length()) + next_sequence_length
        if cache is None and attention_mask is not None and next_sequence_length is None:
            attention_mask = attention_mask[:, :length]  # there too, Transformers lengthens the mask and not the row
        has_positions = position_ids is not None and block_position_ids is not None
        if has_positions:
            position_ids, block_position_ids = _count_on(position_ids, block_position_ids, length)
        model_inputs = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            cache=cache,
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
    def create_masks_for_generate(config, inputs_embeds, attention_mask, cache, **kwargs) -> torch.Tensor | None:
        """The ready mask of a decoding step, for compiled steps; the prompt's is made by the model, which knows Part A."""
        if inputs_embeds.shape[1] > 1:
            return attention_mask
        return create_causal_mask(config, inputs_embeds, attention_mask, cache)

    def init_continuous_batching(self, *args, **kwargs) -> None:
        """Refused: it would lay positions out as a plain range and read Part A from left to right."""
        raise ValueError(
            "GLM cannot generate with continuous batching: it places tokens by one position and reads the prompt from left "
            "to right. Use generate() on padded batches."
        )


def _change(generation_config, kwargs, changes):
    """The changed settings, where the caller gave the others: Transformers takes a configuration or arguments."""
    if generation_config is None:
        return None, {**kwargs, **changes}
    generation_config = copy.deepcopy(generation_config)
    for name, value in changes.items():
        setattr(generation_config, name, value)
        if name in kwargs:
            kwargs = {**kwargs, name: value}
    return generation_config, kwargs


def _count_on(position_ids, block_position_ids, length):
    """Both positions of a prompt, continued to `length` columns; of the first, Transformers has made more by a rule of its own."""
    position_ids, new = position_ids[:, : block_position_ids.shape[1]], length - block_position_ids.shape[1]
    if new > 0:
        steps = torch.arange(1, new + 1, device=position_ids.device)
        position_ids = torch.cat([position_ids, position_ids[:, -1:].expand(-1, new)], dim=-1)
        block_position_ids = torch.cat([block_position_ids, block_position_ids[:, -1:] + steps], dim=-1)
    return position_ids, block_position_ids


@contextmanager
def _before_part_b(part_a):
    token = _part_a.set(part_a)
    try:
        yield
    finally:
        _part_a.reset(token)


def _with_sequences(output, change):
    if isinstance(output, torch.Tensor):
        return change(output)
    output.sequences = change(output.sequences)
    return output
