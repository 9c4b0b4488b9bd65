# SPDX-License-Identifier: Apache-2.0
"""
GLM (Du et al., ACL 2022): layers, the mask of Part A and Part B, the model, and its heads for text and classes. Names are the released
checkpoints'.

Multiple choice has a file of its own, which needs this one. Where Transformers saves a model with its code, it copies the files that a
file names in this form, and so the whole repository stays together:

    from .multiple_choice_glm import GLMForMultipleChoice
"""

import math

import torch
from torch import nn
from torch.nn.attention.flex_attention import create_block_mask
from transformers import GenerationConfig
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    SequenceClassifierOutputWithPast,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple, logging
from transformers.utils.deprecation import deprecate_kwarg
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs


try:
    from .blank_infilling_glm import check_ids, check_labels, derive_documents, derive_positions, find_blanks, find_sop
    from .configuration_glm import GLMConfig
    from .generation_glm import GLMGenerationMixin
    from .inputs_glm import ALL_FROZEN, check_inputs, check_two_streams, refuse_decoder_embeddings
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import check_ids, check_labels, derive_documents, derive_positions, find_blanks, find_sop
    from configuration_glm import GLMConfig
    from generation_glm import GLMGenerationMixin
    from inputs_glm import ALL_FROZEN, check_inputs, check_two_streams, refuse_decoder_embeddings


logger = logging.get_logger(__name__)


def eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs) -> tuple:
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

    def forward(self, hidden_states, attention_mask, cache=None, **kwargs) -> tuple:
        """Attend with `hidden_states` (B, T, hidden_size)."""
        shape = hidden_states.shape[:-1]
        query, key, value = (
            part.view(*shape, -1, self.head_dim).transpose(1, 2)  # (B, H, T, D)
            for part in self.query_key_value(hidden_states).chunk(3, dim=-1)
        )
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
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

    def forward(self, hidden_states) -> torch.Tensor:
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

    def forward(self, hidden_states, attention_mask, cache=None, **kwargs) -> torch.Tensor:
        """Transform `hidden_states` (B, T, hidden_size)."""
        attended, _ = self.attention(self.input_layernorm(hidden_states), attention_mask, cache, **kwargs)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class GLMTransformer(nn.Module):
    """The layers and the two position tables, under the names of the released checkpoints."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        self.config = config
        # the released tables hold one row more than max_sequence_length, those of the ablation without blocks do not
        rows = config.max_sequence_length + config.block_position_encoding
        self.position_embeddings = nn.Embedding(rows, config.hidden_size)
        if config.block_position_encoding:
            self.block_position_embeddings = nn.Embedding(rows, config.hidden_size)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.layers = nn.ModuleList([GLMLayer(config, index) for index in range(config.num_layers)])
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)

    def forward(
        self, inputs_embeds, position_ids, block_position_ids, attention_mask, cache=None, **kwargs
    ) -> torch.Tensor:
        """Run `inputs_embeds` (B, T, hidden_size) with its two positions (B, T) through the layers."""
        hidden_states = inputs_embeds + self.position_embeddings(position_ids)
        if self.config.block_position_encoding:
            hidden_states = hidden_states + self.block_position_embeddings(block_position_ids)
        hidden_states = self.embedding_dropout(hidden_states)
        for layer in self.layers[: self.config.num_layers]:  # assisted decoding leaves early by this number
            hidden_states = layer(hidden_states, attention_mask, cache=cache, **kwargs)
        return self.final_layernorm(hidden_states)


class GLMPreTrainedModel(PreTrainedModel):
    """What every GLM class shares: initialization, loading, and what the attention can and cannot do."""

    config_class = GLMConfig
    config: GLMConfig
    base_model_prefix = "glm"
    supports_gradient_checkpointing = True
    _no_split_modules = ["GLMLayer"]
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

    def get_position_embeddings(self) -> tuple[nn.Embedding, ...]:
        """The tables of the first and, unless `block_position_encoding` is off, of the second position."""
        transformer = self.base_model.transformer
        if not self.config.block_position_encoding:
            return (transformer.position_embeddings,)
        return transformer.position_embeddings, transformer.block_position_embeddings

    @torch.no_grad()
    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """
        Set `config.max_sequence_length`, in place. Positions that were there keep their vectors, new ones are initialized.

        Args:
            new_num_position_embeddings (`int`): tokens that Part A, and each piece, may have.
        """
        if new_num_position_embeddings < 1:
            raise ValueError(f"new_num_position_embeddings={new_num_position_embeddings}: it must be at least 1.")
        added = new_num_position_embeddings - self.config.max_sequence_length
        self.config.max_sequence_length = new_num_position_embeddings
        for table in self.get_position_embeddings():
            old = table.weight
            new = old.new_empty(len(old) + added, old.shape[1]).normal_(0.0, self.config.initializer_range)
            kept = min(len(old), len(new))
            new[:kept] = old[:kept]
            table.num_embeddings = len(new)
            table.weight = nn.Parameter(new, requires_grad=old.requires_grad)

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
        if model.can_generate() and model.generation_config.eos_token_id is None:
            # without a generation_config.json it is made from config.json as it stands, which is bare in an old folder
            model.generation_config = GenerationConfig.from_model_config(model.config)
        for name, parameter in model.named_parameters():
            if (
                type(parameter.data) is torch.Tensor  # quantized ones have no sum
                and parameter.is_floating_point()
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

    _input_embed_layer = "word_embeddings"

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.transformer = GLMTransformer(config)
        self.post_init()

    @deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")
    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        block_position_ids: torch.LongTensor | None = None,
        document_ids: torch.LongTensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
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
            cache (`Cache`, *optional*):
                Keys and values of the tokens before these, seen by all of them. Derived positions count on from there.
            inputs_embeds (`torch.FloatTensor` of shape `(B, T, hidden_size)`, *optional*): in place of `input_ids`.
            use_cache (`bool`, *optional*): whether to return `cache`. Packed rows have none.

        Raises:
            `ValueError`: neither or both of `input_ids` and `inputs_embeds`; stacked positions; ids or positions outside their
            tables; more pieces than blanks; packed rows without positions or with a cache.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Pass exactly one of input_ids and inputs_embeds.")
        source = inputs_embeds if input_ids is None else input_ids
        check_inputs(source, attention_mask, position_ids, block_position_ids, document_ids, cache)
        if inputs_embeds is None:
            check_ids(input_ids, self.word_embeddings.weight.shape[0], "input_ids", "vocabulary (vocab_size)")
            inputs_embeds = self.word_embeddings(input_ids)
        if document_ids is None and self._may_be_packed(attention_mask, position_ids, block_position_ids, cache):
            sop = self.config.decoder_start_token_id
            block_position_ids, document_ids = derive_documents(self._recognize(source), position_ids, sop)
        if document_ids is None and use_cache and cache is None:
            cache = DynamicCache(config=self.config)
        if position_ids is None or block_position_ids is None:
            derived = self._derive_positions(source, attention_mask, block_position_ids, cache)
            position_ids = derived[0] if position_ids is None else position_ids
            block_position_ids = derived[1] if block_position_ids is None else block_position_ids
        block_position_ids = block_position_ids.expand(inputs_embeds.shape[:2])
        rows = self.transformer.position_embeddings.weight.shape[0]
        check_ids(position_ids, rows, "position_ids", "position table (max_sequence_length + 1)")
        if self.config.block_position_encoding:
            check_ids(block_position_ids, rows, "block_position_ids", "position table (max_sequence_length + 1)")
        hidden_states = self.transformer(
            inputs_embeds,
            position_ids,
            block_position_ids,
            self._mask(inputs_embeds, attention_mask, block_position_ids, document_ids, cache),
            cache,
            **kwargs,
        )
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, cache=cache)

    def _derive_positions(self, source, attention_mask, block_position_ids, cache):
        """Both positions of rows (ids or embeddings) that come without one of them or both."""
        length = source.shape[1]
        if length == 1 and cache is not None and cache.get_seq_length() > 0:
            raise ValueError(
                "A token that follows a cache does not show its positions: pass position_ids and block_position_ids."
            )
        is_padded = attention_mask is not None and attention_mask.dim() == 2
        is_token = torch.ones(source.shape[:2], dtype=torch.bool, device=source.device)
        if is_padded:
            is_token = attention_mask[:, -length:].to(source.device).bool()
        input_ids = self._recognize(source)
        if source.dim() == 3 and not torch.compiler.is_compiling():
            self._refuse_unknown_embeddings(source, input_ids, is_token)
        position_ids, block_position_ids = derive_positions(
            input_ids,
            is_token,
            mask_token_ids=self.config.mask_token_ids,
            sop=self.config.decoder_start_token_id,
            block_position_ids=block_position_ids,
        )
        if cache is not None:
            before = attention_mask[:, :-length].sum(-1, keepdim=True).long() if is_padded else cache.get_seq_length()
            position_ids = position_ids + before
        return position_ids, block_position_ids

    def _recognize(self, source):
        """The ids (B, T) of a row; of its embeddings those of sop and the mask tokens, -1 for all others."""
        if source.dim() == 2:
            return source
        input_ids = torch.full(source.shape[:2], -1, device=source.device)
        for token_id in {self.config.decoder_start_token_id, *(self.config.mask_token_ids or [])} - {None}:
            # looked up: weights that are offloaded are there only while their module runs, and an adapter may add to them
            embedding = self.word_embeddings(torch.tensor(token_id, device=source.device))
            input_ids = input_ids.masked_fill((source == embedding).all(-1), token_id)
        return input_ids

    def _refuse_unknown_embeddings(self, inputs_embeds, input_ids, is_token):
        """Embeddings that noise, gradients or another dtype have moved off the table do not show where sop and blanks are."""
        table, unknown = self.word_embeddings.weight, ((input_ids == -1) | ~is_token).all(-1) & is_token.any(-1)
        for row in unknown.nonzero().flatten().tolist():
            last = inputs_embeds[row, is_token[row].nonzero()[-1]]  # (1, hidden_size): virtual tokens stand in front
            if not bool((table == last.to(table.dtype)).all(-1).any()):
                raise ValueError(
                    f"Row {row} of inputs_embeds holds no embedding of the table: sop and blanks cannot be told. Pass position_ids and "
                    "block_position_ids, which blank_infilling_glm.derive_positions makes of the ids."
                )

    def _mask(self, inputs_embeds, attention_mask, block_position_ids, document_ids, cache):
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
        if cache is not None:
            # create_causal_mask reads it by the key's place in the cache; a lone new token sees all that is there
            part_a = None if part_a.shape[1] == 1 else self._at_cache_places(part_a, cache)
        # no position_ids here: create_causal_mask takes every step except +1 for the start of another packed sequence
        mask = create_causal_mask(self.config, inputs_embeds, attention_mask, cache, block_sequence_ids=part_a)
        return _additive(mask, inputs_embeds)

    def _packed_mask(self, inputs_embeds, attention_mask, in_part_a, document_ids):
        """The mask of each document by itself. Here the step other than +1 is wanted: it tells the documents apart."""
        if attention_mask is not None:
            document_ids = document_ids.masked_fill(attention_mask == 0, -1)
        place = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
        begins = nn.functional.pad(document_ids[:, 1:] != document_ids[:, :-1], (1, 0), value=True)
        place_in_document = place - torch.where(begins, place, 0).cummax(-1)[0]
        mask = create_causal_mask(
            self.config,
            inputs_embeds,
            None,
            None,
            position_ids=place_in_document,
            block_sequence_ids=torch.where(in_part_a, document_ids, -1),
        )
        return _additive(mask, inputs_embeds)

    def _ready_mask(self, mask, dtype):
        """A mask given whole, in the form that the attention implementation reads, which would add 0 and 1 to the scores."""
        additive = mask.is_floating_point() and (torch.compiler.is_compiling() or bool((mask <= 0).all()))
        if self.config._attn_implementation == "flex_attention":
            if additive:
                raise ValueError(
                    "flex_attention takes no additive mask: pass a boolean one, True where a token is seen, or use sdpa."
                )
            seen = mask.bool()
            return create_block_mask(
                lambda row, head, query, key: seen[row, 0, query, key],
                seen.shape[0], None, seen.shape[2], seen.shape[3], device=str(mask.device),
            )  # fmt: skip
        if additive:
            return mask.to(dtype)
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
            ~mask.bool(), torch.finfo(dtype).min
        )

    @staticmethod
    def _at_cache_places(part_a, cache):
        length = part_a.shape[1]
        kv_length, kv_offset = cache.get_mask_sizes(length, 0)
        places = torch.arange(length, device=part_a.device) + cache.get_query_offset(0)
        return part_a.new_full((part_a.shape[0], kv_length + kv_offset), -1).index_copy(1, places, part_a)

    @staticmethod
    def _may_be_packed(attention_mask, position_ids, block_position_ids, cache):
        """Several sequences in a row without padding, told apart by the first positions alone, as Transformers passes them."""
        if position_ids is None or block_position_ids is not None or attention_mask is not None:
            return False
        if cache is not None or torch.compiler.is_compiling():
            return False
        return bool((position_ids[:, 1:] == 0).any())


def _additive(mask, inputs_embeds):
    """sdpa's boolean mask as sdpa adds it. Left boolean, each layer makes one of its own and keeps it for the backward pass."""
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        return mask
    device, dtype = mask.device, inputs_embeds.dtype
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
    return torch.zeros(mask.shape, dtype=dtype, device=device).masked_fill(~mask, -math.inf)


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
        return_logits: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutputWithPast:
        r"""
        Two ways to call it:

        * **one row**, as the collator makes it: `input_ids` is Part A and the pieces of Part B, `labels` has the same shape.
          The labels are **not shifted** inside the model: `labels[:, i]` is the target of `logits[:, i]`, -100 is ignored.
        * **two streams**, as T5: `input_ids` is Part A with a blank, and `decoder_input_ids` (`sop` and the target, by
          [`~GLMForConditionalGeneration.prepare_decoder_input_ids_from_labels`]) or `labels`, or both, of shape `(B, S)` are the
          target. The logits cover the target only, `(B, S, V)`. The target is written into the first blank.

        In training mode only labelled positions pass through the head, which is a fifth of the work and most of the memory. Then
        `logits` is None, as with every fused loss; `return_logits=True` brings all of them.

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
            return_logits (`bool`, *optional*, defaults to `False`): whether to return the logits beside labels in training too.
            num_items_in_batch (`int` or `torch.Tensor`, *optional*):
                The loss is the sum over the labelled positions divided by it; the mean if omitted.

        Raises:
            `ValueError`: labels of another shape; two streams without a blank in a row, or with positions; see [`GLMModel`].
        """
        refuse_decoder_embeddings(kwargs.pop("decoder_inputs_embeds", None))
        source = inputs_embeds if input_ids is None else input_ids
        if decoder_input_ids is not None or self._is_two_stream_call(source, block_position_ids, labels):
            # two streams become one row, in which the target predicts
            check_two_streams(input_ids, inputs_embeds, position_ids, block_position_ids, decoder_input_ids, labels)
            if decoder_input_ids is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
            row, attention_mask = self._join_streams(source, attention_mask, decoder_input_ids, decoder_attention_mask)
            input_ids, inputs_embeds = (row, None) if inputs_embeds is None else (None, row)
            predicting, logits_to_keep = decoder_input_ids, decoder_input_ids.shape[1]
        else:
            # one row predicts as it is
            predicting, logits_to_keep = source, logits_to_keep if labels is None else 0
            if labels is not None or self.training:
                self._warn_of_what_teaches_nothing(source, block_position_ids, labels)
        if labels is not None:
            labels = check_labels(labels, predicting, self.config.vocab_size, inputs_embeds is not None)
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
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        loss, logits = self._predict(outputs.last_hidden_state[:, kept], labels, return_logits, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _predict(self, hidden_states, labels, return_logits, **kwargs):
        """Loss and logits of `hidden_states` (B, T, hidden_size), of which only those with a label need the head in training."""
        if labels is None:
            return None, self.lm_head(hidden_states)
        labels, only_loss = labels.to(hidden_states.device), self.training and not return_logits
        if only_loss and not torch.compiler.is_compiling():
            labelled = (labels != -100).flatten().nonzero().squeeze(-1)
            hidden_states, labels = hidden_states.flatten(0, 1)[labelled], labels.flatten()[labelled]
        logits = self.lm_head(hidden_states)
        loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        if self.training and torch.is_grad_enabled() and not loss.requires_grad:
            logger.warning_once(ALL_FROZEN)
        return loss, None if only_loss else logits

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
        """Rows without a piece: a causal model's labels, which Part A holds in sight, or none, as with label smoothing."""
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
        if block_position_ids is not None or sop is None:
            return False
        # this look at the tokens breaks a compiled graph; positions and decoder_input_ids spare it
        return not bool((self.glm._recognize(source) == sop).any())

    def _join_streams(self, source, attention_mask, decoder_input_ids, decoder_attention_mask):
        """Part A (ids or embeddings) and Part B in one row; what stands before the first sop of Part B is padding."""
        in_part_b = find_sop(decoder_input_ids, self.config.decoder_start_token_id).cumsum(-1) > 0
        if not torch.compiler.is_compiling():
            self._check_blank_and_sop(self._has_blank(source), in_part_b[:, -1])
        if decoder_attention_mask is not None:
            in_part_b = in_part_b & decoder_attention_mask.bool()
        if attention_mask is None:
            attention_mask = torch.ones(source.shape[:2], dtype=torch.long, device=source.device)
        joined_mask = torch.cat([attention_mask, in_part_b.to(attention_mask.dtype)], dim=-1)
        target = self.glm.word_embeddings(decoder_input_ids) if source.dim() == 3 else decoder_input_ids
        return torch.cat([source, target], dim=1), joined_mask

    def _check_blank_and_sop(self, has_blank, has_sop):
        if not bool(has_blank.all()):
            raise ValueError(
                f"Row {int((~has_blank).nonzero()[0])} has no blank in Part A to write the target into: it holds none of the "
                f"mask tokens (ids {self.config.mask_token_ids}). Put one into the source text, for example at its end, and "
                "see that truncation keeps it."
            )
        if not bool(has_sop.all()):
            raise ValueError(
                f"Row {int((~has_sop).nonzero()[0])} of decoder_input_ids has no sop (id "
                f"{self.config.decoder_start_token_id}). Make them with prepare_decoder_input_ids_from_labels(labels)."
            )

    def _has_blank(self, source):
        return find_blanks(self.glm._recognize(source), self.config.mask_token_ids).any(-1)


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


__all__ = [
    "GLMForConditionalGeneration",
    "GLMForSequenceClassification",
    "GLMModel",
    "GLMPreTrainedModel",
]
