# SPDX-License-Identifier: Apache-2.0
"""GLM's heads: one model that fills blanks, scores candidates and classifies (Du et al., ACL 2022)."""

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.loss.loss_utils import fixed_cross_entropy
from transformers.modeling_outputs import (
    CausalLMOutputWithPast,
    MultipleChoiceModelOutput,
    SequenceClassifierOutputWithPast,
)
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple, logging
from transformers.utils.deprecation import deprecate_kwarg


try:
    from .blank_infilling_glm import find_blanks, lay_out_choices
    from .configuration_glm import GLMConfig
    from .generation_glm import GLMGenerationMixin
    from .transformer_glm import GLMModel, GLMPreTrainedModel, check_range
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import find_blanks, lay_out_choices
    from configuration_glm import GLMConfig
    from generation_glm import GLMGenerationMixin
    from transformer_glm import GLMModel, GLMPreTrainedModel, check_range


logger = logging.get_logger(__name__)


class GLMForConditionalGeneration(GLMPreTrainedModel, GLMGenerationMixin):
    """GLM with its LM head, the word embeddings: pretraining, infilling, generation."""

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        # labels are aligned with the logits; the loss of causal models would shift them
        self.loss_type = "ForMaskedLM"
        self.post_init()

    @deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")
    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        block_position_ids: torch.LongTensor | None = None,
        document_ids: torch.LongTensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutputWithPast:
        r"""
        Two ways to call it:

        * **one row**, as the collator makes it: `input_ids` is Part A and the pieces of Part B, `labels` has the same shape.
          The labels are **not shifted** inside the model: `labels[:, i]` is the target of `logits[:, i]`, -100 is ignored. In
          training mode only labelled positions pass through the head, and `logits` has shape `(labelled positions, V)`.
        * **two streams**, as T5: `input_ids` is Part A with a blank, and `decoder_input_ids` (`sop` and the target, by
          [`~GLMForConditionalGeneration.prepare_decoder_input_ids_from_labels`]) or `labels`, or both, of shape `(B, S)` are the
          target. The logits cover the target only, `(B, S, V)`. The target is written into the first blank.

        Both take `inputs_embeds` for `input_ids`. Virtual tokens that stand before the embeddings of a text, as PEFT puts them,
        are part of Part A; labels may count them (as -100) or not.

        Args:
            input_ids, attention_mask, position_ids, block_position_ids, document_ids, cache, inputs_embeds, use_cache:
                See [`GLMModel`].
            decoder_input_ids (`torch.LongTensor` of shape `(B, S)`, *optional*): Part B; all before its first `sop` is padding.
            decoder_attention_mask (`torch.Tensor` of shape `(B, S)`, *optional*): 0 on padding of Part B.
            labels (`torch.LongTensor` of shape `(B, T)`, or `(B, S)` with two streams, *optional*): targets, -100 to ignore.
            logits_to_keep (`int` or `torch.Tensor`, *optional*, defaults to 0):
                Number of last positions, or the positions, to compute logits for; 0 for all. Without effect on two streams.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*):
                The loss is the sum over the labelled positions divided by it; the mean if omitted.

        Raises:
            `ValueError`: labels of another shape; two streams without a blank in a row, or with positions; see [`GLMModel`].
        """
        _refuse_decoder_embeddings(kwargs.pop("decoder_inputs_embeds", None))
        source = inputs_embeds if input_ids is None else input_ids
        two_streams = decoder_input_ids is not None or self._is_two_stream_call(source, block_position_ids, labels)
        if two_streams:
            one_source = (input_ids is None) != (inputs_embeds is None)
            if not one_source or position_ids is not None or block_position_ids is not None:
                raise ValueError(
                    "decoder_input_ids (two streams) need one of input_ids and inputs_embeds and lay Part B out by themselves: "
                    "leave out position_ids and block_position_ids, or pass one row with all of it."
                )
            for name, target in (("labels", labels), ("decoder_input_ids", decoder_input_ids)):
                if target is not None and (target.dim() != 2 or target.shape[0] != source.shape[0]):
                    raise ValueError(
                        f"{name} have shape {tuple(target.shape)}; with two streams a target is (batch, target length), and "
                        f"input_ids have {source.shape[0]} row(s)."
                    )
            if decoder_input_ids is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
            joined, attention_mask = self._join_streams(
                source, attention_mask, decoder_input_ids, decoder_attention_mask
            )
            input_ids, inputs_embeds = (joined, None) if inputs_embeds is None else (None, joined)
            logits_to_keep = decoder_input_ids.shape[1]
        elif labels is not None or self.training:
            logits_to_keep = 0 if labels is not None else logits_to_keep
            self._warn_of_what_teaches_nothing(source, block_position_ids, labels)
        if labels is not None:
            row = decoder_input_ids if two_streams else source
            labels = self._check_labels(labels, row, has_virtual_tokens=inputs_embeds is not None)
        outputs = self.glm(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            block_position_ids=block_position_ids,
            document_ids=document_ids,
            cache=cache,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        hidden_states = outputs.last_hidden_state
        if labels is not None and self.training and not two_streams and not torch.compiler.is_compiling():
            # the head is a fifth of the work and most of the memory; what nobody predicts need not pass it
            labelled = labels.to(hidden_states.device) != -100
            hidden_states, labels = hidden_states[labelled], labels.to(hidden_states.device)[labelled]
        else:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            hidden_states = hidden_states[:, kept]
        logits = self.lm_head(hidden_states)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def prepare_decoder_input_ids_from_labels(self, labels: torch.LongTensor) -> torch.LongTensor:
        """
        The Part B that predicts `labels`: `sop` under the first label of a row, then each label under the next one.

            labels             -100  x5   x6   E   -100
            decoder_input_ids  pad   S    x5   x6  E

        Args:
            labels (`torch.LongTensor` of shape `(B, S)`): targets; -100 is padding, on either side.

        Returns:
            `torch.LongTensor` of shape `(B, S)`: the decoder's input.

        Raises:
            `ValueError`: the configuration has no `decoder_start_token_id`.
        """
        if self.config.decoder_start_token_id is None:
            raise ValueError("config.decoder_start_token_id is not set: give it the tokenizer's sop_token_id.")
        pad = self.config.pad_token_id or 0
        shifted = nn.functional.pad(labels, (1, 0), value=-100)[:, :-1]
        shifted = shifted.masked_fill(shifted == -100, pad)
        first = (labels != -100) & ((labels != -100).long().cumsum(-1) == 1)
        return shifted.masked_fill(first, self.config.decoder_start_token_id)

    def _is_two_stream_call(self, source, block_position_ids, labels):
        """`labels` beside a Part A without any piece: the target as T5 takes it, whether or not the lengths are equal."""
        if labels is None or source is None or not self._has_no_piece(source, block_position_ids):
            return False
        return source.shape[:2] != labels.shape or bool(self._has_blank(source).all())

    def _warn_of_what_teaches_nothing(self, source, block_position_ids, labels):
        """
        Rows without a piece: a causal model's labels, which Part A holds in sight, or none. Label smoothing takes the labels
        away, and without `decoder_input_ids` the logits would be those of the source.
        """
        if source is None or not self._has_no_piece(source, block_position_ids):
            return
        if labels is not None:
            logger.warning_once(
                "The labels are of rows without a piece (no sop). Such a row is Part A, in which every token sees all others: "
                "a causal model's labels are in sight, and copying them teaches nothing. Use "
                "DataCollatorForBlankInfilling, or a source and a target with DataCollatorForSeq2Seq(tokenizer, model=model)."
            )
        elif bool(self._has_blank(source).all()):
            logger.warning_once(
                "A source is trained on without its target. With label smoothing the model gets no labels: use a collator "
                "that gives decoder_input_ids, as DataCollatorForSeq2Seq(tokenizer, model=model) does."
            )

    def _has_no_piece(self, source, block_position_ids):
        sop = self.config.decoder_start_token_id
        if block_position_ids is not None or sop is None or torch.compiler.is_compiling():
            return False
        return not bool((self._ids(source) == sop).any())

    def _join_streams(self, source, attention_mask, decoder_input_ids, decoder_attention_mask):
        """Part A (ids or embeddings) and Part B in one row; what stands before the first sop of Part B is padding."""
        if not torch.compiler.is_compiling():
            has_blank = self._has_blank(source)
            if not bool(has_blank.all()):
                raise ValueError(
                    f"Row {int((~has_blank).nonzero()[0])} has no blank in Part A to write the target into: it holds none of "
                    f"the mask tokens (ids {self.config.mask_token_ids}). Put one into the source text, for example at its "
                    "end, and see that truncation keeps it."
                )
        in_part_b = (decoder_input_ids == self.config.decoder_start_token_id).cumsum(-1) > 0
        if not torch.compiler.is_compiling() and not bool(in_part_b[:, -1].all()):
            raise ValueError(
                f"Row {int((~in_part_b[:, -1]).nonzero()[0])} of decoder_input_ids has no sop (id "
                f"{self.config.decoder_start_token_id}). Make them with prepare_decoder_input_ids_from_labels(labels)."
            )
        if decoder_attention_mask is not None:
            in_part_b = in_part_b & decoder_attention_mask.bool()
        if attention_mask is None:
            attention_mask = torch.ones(source.shape[:2], dtype=torch.long, device=source.device)
        joined_mask = torch.cat([attention_mask, in_part_b.to(attention_mask.dtype)], dim=-1)
        target = self.glm.word_embeddings(decoder_input_ids) if source.dim() == 3 else decoder_input_ids
        return torch.cat([source, target], dim=1), joined_mask

    def _has_blank(self, source):
        return find_blanks(self._ids(source), self.config.mask_token_ids).any(-1)

    def _ids(self, source):
        return self.glm._recognize(source) if source.dim() == 3 else source

    def _check_labels(self, labels, inputs, has_virtual_tokens):
        if has_virtual_tokens:
            labels = _fit_labels(labels, inputs.shape[1])
        check_range(labels.masked_fill(labels == -100, 0), self.config.vocab_size, "labels", "vocabulary (vocab_size)")
        if labels.shape != inputs.shape[:2]:
            raise ValueError(
                f"labels have shape {tuple(labels.shape)}, the row has {tuple(inputs.shape[:2])}. Labels are aligned with "
                "the logits of a row that holds Part B; for a separate target leave Part B out of input_ids and pass "
                "decoder_input_ids (DataCollatorForSeq2Seq(tokenizer, model=model) does)."
            )
        return labels


def _fit_labels(labels, length):
    """Labels of the last `length` places: virtual tokens come first and predict nothing, whether labels count them or not."""
    missing = length - labels.shape[-1]
    if labels.dim() != 2 or missing == 0 or bool((labels[:, : max(-missing, 0)] != -100).any()):
        return labels
    return nn.functional.pad(labels, (missing, 0), value=-100)


def _refuse_decoder_embeddings(decoder_inputs_embeds):
    if decoder_inputs_embeds is not None:
        raise ValueError(
            "decoder_inputs_embeds: GLM is one Transformer, virtual tokens stand in Part A only. Pass decoder_input_ids; for "
            "PEFT's multitask prompt tuning set num_transformer_submodules=1 in its configuration."
        )


class GLMClassificationHead(nn.Module):
    """The head of the released code: dropout, dense, tanh, dropout, projection to the labels."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        dropout = config.output_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, pooled):
        """Scores (B, labels) of `pooled` (B, hidden_size)."""
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(pooled)))))


class GLMForSequenceClassification(GLMPreTrainedModel):
    """GLM that classifies a text by its first token, [CLS]; the baseline of the paper's cloze tasks."""

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.glm = GLMModel(config)
        self.classifier = GLMClassificationHead(config)  # PEFT trains and saves a head of this name
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args, **kwargs) -> "GLMForSequenceClassification":
        """Load a checkpoint; the head may have the names of the released code, `dense` and `out_proj`."""
        kwargs.setdefault("key_mapping", {r"^dense\.": "classifier.dense.", r"^out_proj\.": "classifier.out_proj."})
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model._weight_conversions = []  # saving would write the released names back
        return loaded

    @deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")
    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        block_position_ids: torch.LongTensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutputWithPast:
        r"""
        Args:
            input_ids, attention_mask, position_ids, block_position_ids, cache, inputs_embeds, use_cache:
                See [`GLMModel`]. Padding may stand on either side.
            labels (`torch.Tensor` of shape `(B,)` or `(B, labels)`, *optional*):
                Classes (`torch.long`), numbers for one label (regression), or 0/1 of shape `(B, labels)` (multi-label).
        """
        outputs = self.glm(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            block_position_ids=block_position_ids,
            cache=cache,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        hidden_states = outputs.last_hidden_state
        first = torch.zeros(hidden_states.shape[0], dtype=torch.long, device=hidden_states.device)
        if attention_mask is not None and attention_mask.dim() == 2:
            first = attention_mask[:, -hidden_states.shape[1] :].to(first.device).bool().long().argmax(-1)
        logits = self.classifier(hidden_states[torch.arange(hidden_states.shape[0], device=first.device), first])
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class GLMForMultipleChoice(GLMPreTrainedModel):
    """GLM that scores candidates for a blank by their log-probabilities; the text is read once for all of them."""

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")
    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        block_position_ids: torch.LongTensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        document_ids: torch.LongTensor | None = None,
        choice_ids: torch.LongTensor | list[list[torch.LongTensor]] | None = None,
        choice_indices: torch.LongTensor | list[list[torch.LongTensor]] | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        length_normalization: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MultipleChoiceModelOutput:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(B, T)`):
                Part A, then the pieces of each choice: one, on the same blank as all others
                ([`~GLMTokenizer.build_inputs_for_multiple_choice`] makes them), or one for each of several blanks, in which
                the later ones see the earlier. Choices do not see each other. Or, of shape `(B, C, T)` and without
                `choice_ids`, one text for each choice, as `DataCollatorForMultipleChoice` makes them: what the texts of an
                example share at their beginning is the context, what each has beyond it the choice, see
                [`lay_out_choices`].
            attention_mask, position_ids, block_position_ids, cache, inputs_embeds, use_cache: See [`GLMModel`].
            document_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
                Where choices have a Part A of their own: tokens of different documents never see each other.
            choice_ids (`torch.LongTensor` of shape `(B, C, L)`, or nested lists of tensors):
                The tokens of each choice that are scored, -100 where there is none.
            choice_indices (`torch.LongTensor` of shape `(B, C, L)`, or nested lists of tensors):
                Index in the row of the position that predicts each of them.
            labels (`torch.LongTensor` of shape `(B,)`, *optional*): the right choices.
            length_normalization (`bool`, *optional*, defaults to `False`): whether to divide each score by its tokens.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*): the loss is the sum over the rows divided by it.

        Returns:
            `MultipleChoiceModelOutput`: `logits` (B, C) are the sums of the choices' log-probabilities; `-inf` stands where
            a row has fewer choices than others.
        """
        if input_ids is not None and input_ids.dim() == 3 and choice_ids is None:
            row = self._lay_out_texts(input_ids, attention_mask, position_ids, block_position_ids)
            input_ids, attention_mask, position_ids, block_position_ids, choice_ids, choice_indices = row
        rows = (input_ids if input_ids is not None else inputs_embeds).shape[0]
        choice_ids, choice_indices = self._stack(choice_ids, rows), self._stack(choice_indices, rows)
        outputs = self.glm(
            input_ids=input_ids,
            attention_mask=self._mask(attention_mask, block_position_ids, document_ids, choice_indices, cache),
            position_ids=position_ids,
            block_position_ids=block_position_ids,
            cache=cache,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        logits = self._score(outputs.last_hidden_state, choice_ids, choice_indices, length_normalization)
        loss = None
        if labels is not None:
            self._check_right_choices(logits, labels)
            loss = fixed_cross_entropy(logits, labels.to(logits.device), num_items_in_batch)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _lay_out_texts(self, input_ids, attention_mask, position_ids, block_position_ids):
        """Plain texts (B, C, T) as one row an example: what `forward` takes, in its order."""
        masks, sop, pad = self.config.mask_token_ids, self.config.decoder_start_token_id, self.config.pad_token_id or 0
        if position_ids is not None or block_position_ids is not None or not masks or sop is None:
            raise ValueError(
                "Plain texts (batch, choices, tokens) are laid out with config.mask_token_ids and "
                f"config.decoder_start_token_id, here {masks} and {sop}: set both, and leave out positions."
            )
        is_token = torch.ones_like(input_ids).bool() if attention_mask is None else attention_mask.bool()
        examples = [
            lay_out_choices(
                [text[kept].tolist() for text, kept in zip(*example, strict=True)], mask_token_ids=masks, sop=sop
            )
            for example in zip(input_ids.cpu(), is_token.cpu(), strict=True)
        ]

        def padded(name, value):
            rows = [torch.tensor(example[name]) for example in examples]
            return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value).to(input_ids.device)

        def stacked(name):
            choices = [[torch.tensor(choice, dtype=torch.long) for choice in example[name]] for example in examples]
            return self._stack(choices, len(examples)).to(input_ids.device)

        row = [padded("input_ids", pad), padded("position_ids", 0), padded("block_position_ids", 0)]
        lengths = torch.tensor([len(example["input_ids"]) for example in examples], device=input_ids.device)
        mask = (torch.arange(row[0].shape[1], device=input_ids.device) < lengths[:, None]).long()
        return row[0], mask, row[1], row[2], stacked("choice_ids"), stacked("choice_indices")

    @staticmethod
    def _check_right_choices(logits, labels):
        if torch.compiler.is_compiling() or logits.device.type != "cpu":
            return
        empty = logits.gather(-1, labels.clamp(min=0)[:, None]).squeeze(-1).isneginf() & (labels >= 0)
        if bool(empty.any()):
            row = int(empty.nonzero()[0])
            raise ValueError(f"The right choice of row {row}, number {int(labels[row])}, has no tokens to score.")

    @staticmethod
    def _stack(choices, rows):
        """Nested lists of tensors, as the old code took them (one list a row), in a tensor (B, C, L) padded with -100."""
        if choices is None:
            raise ValueError(
                "choice_ids and choice_indices say what is scored: make them with "
                "tokenizer.build_inputs_for_multiple_choice(inputs, choices)."
            )
        if isinstance(choices, torch.Tensor):
            return choices
        choices = choices[:rows]
        most, longest = max(len(row) for row in choices), max(len(choice) for row in choices for choice in row)
        stacked = choices[0][0].new_full((len(choices), most, longest), -100)
        for index, row in enumerate(choices):
            for number, choice in enumerate(row):
                stacked[index, number, : len(choice)] = choice
        return stacked

    @classmethod
    def _mask(cls, attention_mask, block_position_ids, document_ids, choice_indices, cache):
        """
        The mask (B, 1, T, T) of a row whose choices do not see each other; without positions a row has one piece at most.
        Columns of a cache stand before it and are seen by all.

                     x1 [M] S  y1 S  z1
            x1, [M]  1  1  .  .  .  .      Part A
            S        1  1  1  .  .  .      a choice
            y1       1  1  1  1  .  .
            S        1  1  .  .  1  .      another
            z1       1  1  .  .  1  1
        """
        if block_position_ids is None or (attention_mask is not None and attention_mask.dim() == 4):
            return attention_mask
        choice = cls._choice_of_each_token(block_position_ids, choice_indices.to(block_position_ids.device))
        place = torch.arange(choice.shape[1], device=choice.device)
        same_choice = (choice[:, :, None] == choice[:, None, :]) & (place[:, None] >= place)
        seen = same_choice | (block_position_ids == 0)[:, None, :]
        if document_ids is not None:
            seen = seen & (document_ids[:, :, None] == document_ids[:, None, :]).to(seen.device)
        if cache is not None:
            seen = nn.functional.pad(seen, (cache.get_seq_length(), 0), value=True)
        if attention_mask is not None:
            seen = seen & attention_mask.to(seen.device).bool()[:, None, :]
        return seen[:, None]

    @staticmethod
    def _choice_of_each_token(block_position_ids, choice_indices):
        """Which tokens are pieces of one choice: numbers (B, T), equal within a choice; a piece that none scores is alone."""
        piece = (block_position_ids == 1).long().cumsum(-1)
        rows, choices, longest = choice_indices.shape
        number = torch.arange(1, choices + 1, device=piece.device).repeat_interleave(longest).expand(rows, -1)
        indices = choice_indices.flatten(1)
        nowhere = piece.shape[1] + 1
        scored = torch.where(indices >= 0, piece.gather(1, indices.clamp(min=0)), nowhere)
        choice_of_piece = -torch.arange(nowhere + 1, device=piece.device).expand(rows, -1)
        return choice_of_piece.scatter(1, scored, number).gather(1, piece)

    def _score(self, hidden_states, choice_ids, choice_indices, length_normalization):
        scored = choice_ids != -100
        batch = torch.arange(choice_ids.shape[0], device=hidden_states.device)[:, None, None].expand_as(choice_ids)[
            scored
        ]
        predicting = hidden_states[batch, choice_indices.to(hidden_states.device)[scored]]  # (tokens, hidden_size)
        logits = self.lm_head(predicting).float()
        of_token = logits.log_softmax(-1).gather(-1, choice_ids[scored][:, None].to(logits.device)).squeeze(-1)
        of_choice = logits.new_zeros(choice_ids.shape).masked_scatter(scored.to(logits.device), of_token).sum(-1)
        lengths = scored.sum(-1).to(logits.device)
        if length_normalization:
            of_choice = of_choice / lengths.clamp(min=1)
        return of_choice.masked_fill(lengths == 0, -torch.inf)


__all__ = [
    "GLMForConditionalGeneration",
    "GLMForMultipleChoice",
    "GLMForSequenceClassification",
    "GLMModel",
    "GLMPreTrainedModel",
]
