# SPDX-License-Identifier: Apache-2.0
"""GLM: one Transformer that reads Part A in both directions and writes the blanks' pieces of Part B (Du et al., ACL 2022)."""

import math

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs


try:
    from .blank_infilling_glm import check_position_shapes, derive_positions, find_blanks
    from .configuration_glm import GLMConfig
    from .generation_glm import GLMGenerationMixin
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import check_position_shapes, derive_positions, find_blanks
    from configuration_glm import GLMConfig
    from generation_glm import GLMGenerationMixin


def eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Attention as the paper writes it; `query`, `key` and `value` have shape (B, H, T, D)."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights  # (B, T, H, D), (B, H, T, T)


class GLMAttention(nn.Module):
    """Multi-head attention with one fused projection, split into thirds `[query | key | value]`."""

    def __init__(self, config: GLMConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_dropout_prob
        self.is_causal = True
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dense.is_output_projection = True
        self.output_dropout = nn.Dropout(config.output_dropout_prob)

    def forward(self, hidden_states, attention_mask, past_key_values=None, **kwargs):
        """Attend with `hidden_states` (B, T, hidden_size)."""
        shape = hidden_states.shape[:-1]
        query, key, value = (
            part.view(*shape, -1, self.head_dim).transpose(1, 2)  # (B, H, T, D)
            for part in self.query_key_value(hidden_states).chunk(3, dim=-1)
        )
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        output, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            scaling=self.scaling,
            dropout=self.attention_dropout if self.training else 0.0,
            **kwargs,
        )
        return self.output_dropout(self.dense(output.reshape(*shape, -1))), weights


class GLMMLP(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.intermediate_size)
        self.dense_4h_to_h = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dense_4h_to_h.is_output_projection = True
        self.activation = ACT2FN[config.hidden_act]
        self.output_dropout = nn.Dropout(config.output_dropout_prob)

    def forward(self, hidden_states):
        """Transform `hidden_states` (B, T, hidden_size)."""
        return self.output_dropout(self.dense_4h_to_h(self.activation(self.dense_h_to_4h(hidden_states))))


class GLMLayer(GradientCheckpointingLayer):
    """Layer norm, attention, residual; layer norm, MLP, residual."""

    def __init__(self, config: GLMConfig, layer_idx: int):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.attention = GLMAttention(config, layer_idx)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.mlp = GLMMLP(config)

    def forward(self, hidden_states, attention_mask, past_key_values=None, **kwargs):
        """Transform `hidden_states` (B, T, hidden_size)."""
        attended, _ = self.attention(self.input_layernorm(hidden_states), attention_mask, past_key_values, **kwargs)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class GLMTransformer(nn.Module):
    """The layers and the two position tables, under the names of the released checkpoints."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        self.position_embeddings = nn.Embedding(config.max_sequence_length + 1, config.hidden_size)
        self.block_position_embeddings = nn.Embedding(config.max_sequence_length + 1, config.hidden_size)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.layers = nn.ModuleList([GLMLayer(config, index) for index in range(config.num_layers)])
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)

    def forward(self, inputs_embeds, position_ids, block_position_ids, attention_mask, past_key_values=None, **kwargs):
        """Run `inputs_embeds` (B, T, hidden_size) with its two positions (B, T) through the layers."""
        hidden_states = inputs_embeds + self.position_embeddings(position_ids)
        hidden_states = self.embedding_dropout(hidden_states + self.block_position_embeddings(block_position_ids))
        for layer in self.layers:
            hidden_states = layer(hidden_states, attention_mask, past_key_values, **kwargs)
        return self.final_layernorm(hidden_states)


class GLMPreTrainedModel(PreTrainedModel):
    """What every GLM class shares: initialization, loading, and what the attention can and cannot do."""

    config_class = GLMConfig
    config: GLMConfig
    base_model_prefix = "glm"
    supports_gradient_checkpointing = True
    _no_split_modules = ["GLMLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_flash_attn = False
    _supports_context_parallel = False  # it drops the mask
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": GLMLayer, "attentions": GLMAttention}

    @torch.no_grad()
    def _init_weights(self, module):
        """N(0, initializer_range), the projections that write to the residual stream scaled by 1 / sqrt(2 layers)."""
        std = self.config.initializer_range
        if isinstance(module, nn.Linear):
            if getattr(module, "is_output_projection", False):
                std = std / math.sqrt(2 * self.config.num_layers)
            init.normal_(module.weight, mean=0.0, std=std)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=std)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    def _flash_attn_can_dispatch(self, flash_attn_version: int, is_init_check: bool = False) -> bool:
        raise ValueError(
            f"FlashAttention {flash_attn_version} knows causal and full attention only; GLM's Part A is seen in both "
            'directions and Part B is not. Use attn_implementation="sdpa" (the default) or "flex_attention".'
        )

    @classmethod
    def from_pretrained(cls, *args, **kwargs) -> "GLMPreTrainedModel":
        """Load a checkpoint as [`~transformers.PreTrainedModel.from_pretrained`] does, and refuse one that holds NaN."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for name, parameter in model.named_parameters():
            if (
                parameter.is_floating_point()
                and not parameter.is_meta
                and not parameter.sum(dtype=torch.float32).isfinite()
            ):
                raise ValueError(
                    f"{name} holds NaN or infinite values. The checkpoint is damaged or its training diverged: load an "
                    "earlier one."
                )
        return loaded


class GLMModel(GLMPreTrainedModel):
    """GLM without a head: hidden states of Part A and Part B."""

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.transformer = GLMTransformer(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word embeddings."""
        self.word_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        block_position_ids: torch.LongTensor | None = None,
        document_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        use_cache: bool | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPast:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
                Part A, then the pieces of Part B, each `sop` and its span; or Part A alone.
            attention_mask (`torch.Tensor` of shape `(B, T)`, *optional*):
                1 on tokens, 0 on padding, which may stand on either side. A ready mask of shape `(B, 1, T, T)` is taken as it
                is: boolean or 0/1 (True and 1: seen), or floating point (added to the scores).
            position_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
                Position in the corrupted text; a piece stands on the position of its blank. Derived from the tokens if
                omitted, see `derive_positions`.
            block_position_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
                0 in Part A; 1, 2, 3, ... in each piece. Derived if omitted.
            document_ids (`torch.LongTensor` of shape `(B, T)`, *optional*):
                For packed rows: which document a token belongs to, each one a run of tokens. Documents never see each other.
            past_key_values (`Cache`, *optional*): keys and values of the tokens before these.
            inputs_embeds (`torch.FloatTensor` of shape `(B, T, hidden_size)`, *optional*): in place of `input_ids`.
            use_cache (`bool`, *optional*): whether to return `past_key_values`. Packed rows have none.

        Raises:
            `ValueError`: neither or both of `input_ids` and `inputs_embeds`; stacked positions; ids or positions outside their
            tables; more pieces than blanks; packed rows without positions or with a cache.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Pass exactly one of input_ids and inputs_embeds.")
        check_position_shapes(position_ids, block_position_ids)
        if inputs_embeds is None:
            _check_range(input_ids, self.word_embeddings.num_embeddings, "input_ids", "vocabulary (vocab_size)")
            inputs_embeds = self.word_embeddings(input_ids)
        if document_ids is not None:
            self._check_packed(position_ids, block_position_ids, past_key_values)
        elif use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None or block_position_ids is None:
            derived = self._derive_positions(
                input_ids, inputs_embeds, attention_mask, block_position_ids, past_key_values
            )
            position_ids = derived[0] if position_ids is None else position_ids
            block_position_ids = derived[1] if block_position_ids is None else block_position_ids
        rows = self.config.max_sequence_length + 1
        _check_range(position_ids, rows, "position_ids", "position table (max_sequence_length + 1)")
        _check_range(block_position_ids, rows, "block_position_ids", "position table (max_sequence_length + 1)")
        hidden_states = self.transformer(
            inputs_embeds,
            position_ids,
            block_position_ids,
            self._mask(inputs_embeds, attention_mask, block_position_ids, document_ids, past_key_values),
            past_key_values,
            **kwargs,
        )
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, past_key_values=past_key_values)

    def _derive_positions(self, input_ids, inputs_embeds, attention_mask, block_position_ids, past_key_values):
        """Positions of rows that come without."""
        length = inputs_embeds.shape[1]
        if length == 1 and past_key_values is not None and past_key_values.get_seq_length() > 0:
            raise ValueError(
                "A token that follows a cache does not show its positions: pass position_ids and block_position_ids."
            )
        is_token = torch.ones(inputs_embeds.shape[:2], dtype=torch.bool, device=inputs_embeds.device)
        if attention_mask is not None and attention_mask.dim() == 2:
            is_token = attention_mask[:, -length:].to(inputs_embeds.device).bool()
        if input_ids is None:
            input_ids = self._recognize(inputs_embeds)
        return derive_positions(
            input_ids,
            is_token,
            mask_token_ids=self.config.mask_token_ids,
            sop=self.config.decoder_start_token_id,
            block_position_ids=block_position_ids,
        )

    def _recognize(self, inputs_embeds):
        """The ids of sop and the mask tokens among embeddings that were looked up in the table; -1 for all others."""
        input_ids = torch.full(inputs_embeds.shape[:2], -1, device=inputs_embeds.device)
        for token_id in {self.config.decoder_start_token_id, *(self.config.mask_token_ids or [])} - {None}:
            is_this = (inputs_embeds == self.word_embeddings.weight[token_id]).all(-1)
            input_ids = input_ids.masked_fill(is_this, token_id)
        return input_ids

    def _mask(self, inputs_embeds, attention_mask, block_position_ids, document_ids, past_key_values):
        """
        Part A sees all of Part A; Part B sees Part A and its own past (paper, Figure 2d).

                     x1 x2 [M] S  x3
            x1, x2,  1  1  1  .  .      Part A
            [M]      1  1  1  .  .
            S        1  1  1  1  .      Part B
            x3       1  1  1  1  1
        """
        if attention_mask is not None and attention_mask.dim() == 4:
            return self._ready_mask(attention_mask, inputs_embeds.dtype)
        in_part_a = block_position_ids == 0
        if document_ids is not None:
            return self._packed_mask(inputs_embeds, attention_mask, in_part_a, document_ids)
        part_a = torch.where(in_part_a, 0, -1)
        if past_key_values is not None:
            # create_causal_mask reads it by the key's place in the cache; a lone new token sees all that is there
            part_a = None if part_a.shape[1] == 1 else self._at_cache_places(part_a, past_key_values)
        # no position_ids here: create_causal_mask takes any step but +1 for the start of another packed sequence
        return create_causal_mask(
            self.config, inputs_embeds, attention_mask, past_key_values, block_sequence_ids=part_a
        )

    def _packed_mask(self, inputs_embeds, attention_mask, in_part_a, document_ids):
        """The mask of each document by itself. Here the step other than +1 is wanted: it tells the documents apart."""
        if attention_mask is not None:
            document_ids = document_ids.masked_fill(attention_mask == 0, -1)
        place = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
        begins = nn.functional.pad(document_ids[:, 1:] != document_ids[:, :-1], (1, 0), value=True)
        place_in_document = place - torch.where(begins, place, 0).cummax(-1).values
        return create_causal_mask(
            self.config,
            inputs_embeds,
            None,
            None,
            position_ids=place_in_document,
            block_sequence_ids=torch.where(in_part_a, document_ids, -1),
        )

    def _ready_mask(self, mask, dtype):
        """A mask given whole, in the form that the attention implementation reads (eager would add a 0/1 mask silently)."""
        if mask.is_floating_point():
            return mask
        seen = mask.bool()
        if self.config._attn_implementation == "sdpa":
            return seen
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~seen, torch.finfo(dtype).min)

    @staticmethod
    def _at_cache_places(part_a, past_key_values):
        length = part_a.shape[1]
        kv_length, kv_offset = past_key_values.get_mask_sizes(length, 0)
        places = torch.arange(length, device=part_a.device) + past_key_values.get_query_offset(0)
        return part_a.new_full((part_a.shape[0], kv_length + kv_offset), -1).index_copy(1, places, part_a)

    @staticmethod
    def _check_packed(position_ids, block_position_ids, past_key_values):
        if position_ids is None or block_position_ids is None:
            raise ValueError(
                "Packed rows (document_ids) need position_ids and block_position_ids: the collator makes them."
            )
        if past_key_values is not None:
            raise ValueError(
                "Packed rows (document_ids) take no past_key_values: pass each document as a row of its own."
            )


def _check_range(ids, size, name, table):
    """Name an id outside its table. On an accelerator the look would stall it, and its own assertion speaks."""
    if ids.device.type != "cpu" or torch.compiler.is_compiling() or ids.numel() == 0:
        return
    lowest, highest = (int(bound) for bound in torch.aminmax(ids))
    if lowest < 0 or highest >= size:
        raise ValueError(
            f"{name} holds {highest if highest >= size else lowest}, outside the {table} of {size}. Shorten the text or take "
            "a model with a larger table; ids must come from the tokenizer that belongs to the model."
        )


class GLMForConditionalGeneration(GLMPreTrainedModel, GLMGenerationMixin):
    """GLM with its LM head, the word embeddings: pretraining, infilling, generation."""

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.loss_type = (
            "ForMaskedLM"  # labels are aligned with the logits; the loss of causal models would shift them
        )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        block_position_ids: torch.LongTensor | None = None,
        document_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        r"""
        Two ways to call it:

        * **one row**, as the collator makes it: `input_ids` is Part A and the pieces of Part B, `labels` has the same shape.
          The labels are **not shifted** inside the model: `labels[:, i]` is the target of `logits[:, i]`, -100 is ignored. In
          training mode only labelled positions pass through the head, and `logits` has shape `(labelled positions, V)`.
        * **two streams**, as T5: `input_ids` is Part A with a blank, and `decoder_input_ids` (`sop` and the target, by
          [`~GLMForConditionalGeneration.prepare_decoder_input_ids_from_labels`]) or `labels`, or both, of shape `(B, S)` are the
          target. The logits cover the target only, `(B, S, V)`. The target is written into the first blank.

        Args:
            input_ids, attention_mask, position_ids, block_position_ids, document_ids, past_key_values, inputs_embeds, use_cache:
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
        two_streams = decoder_input_ids is not None or self._is_two_stream_call(input_ids, block_position_ids, labels)
        if two_streams:
            if position_ids is not None or block_position_ids is not None or inputs_embeds is not None:
                raise ValueError(
                    "decoder_input_ids (two streams) lay Part B out by themselves: leave out position_ids, "
                    "block_position_ids and inputs_embeds, or pass one row with all three."
                )
            if decoder_input_ids is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
            input_ids, attention_mask = self._join_streams(
                input_ids, attention_mask, decoder_input_ids, decoder_attention_mask
            )
            logits_to_keep = decoder_input_ids.shape[1]
        elif labels is not None:
            self._check_labels(labels, input_ids if input_ids is not None else inputs_embeds)
            logits_to_keep = 0
        outputs = self.glm(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            block_position_ids=block_position_ids,
            document_ids=document_ids,
            past_key_values=past_key_values,
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
            past_key_values=outputs.past_key_values,
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

    def _is_two_stream_call(self, input_ids, block_position_ids, labels):
        """`labels` beside a Part A without any piece: the target as T5 takes it, whether or not the lengths are equal."""
        if labels is None or input_ids is None or block_position_ids is not None:
            return False
        if self.config.decoder_start_token_id is None or torch.compiler.is_compiling():
            return False
        if bool((input_ids == self.config.decoder_start_token_id).any()):
            return False
        return input_ids.shape != labels.shape or bool(self._has_blank(input_ids).all())

    def _join_streams(self, input_ids, attention_mask, decoder_input_ids, decoder_attention_mask):
        """Part A and Part B in one row; what stands before the first sop of Part B is padding."""
        if not torch.compiler.is_compiling():
            has_blank = self._has_blank(input_ids)
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
            attention_mask = torch.ones_like(input_ids)
        joined_mask = torch.cat([attention_mask, in_part_b.to(attention_mask.dtype)], dim=-1)
        return torch.cat([input_ids, decoder_input_ids], dim=-1), joined_mask

    def _has_blank(self, input_ids):
        return find_blanks(input_ids, self.config.mask_token_ids).any(-1)

    @staticmethod
    def _check_labels(labels, inputs):
        if labels.shape != inputs.shape[:2]:
            raise ValueError(
                f"labels have shape {tuple(labels.shape)}, the row has {tuple(inputs.shape[:2])}. Labels are aligned with "
                "the logits of a row that holds Part B; for a separate target leave Part B out of input_ids and pass "
                "decoder_input_ids (DataCollatorForSeq2Seq(tokenizer, model=model) does)."
            )


__all__ = ["GLMForConditionalGeneration", "GLMModel", "GLMPreTrainedModel"]
