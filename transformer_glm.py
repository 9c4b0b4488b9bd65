# SPDX-License-Identifier: Apache-2.0
"""The stack of GLM's layers and its two position tables, under the parameter names of the released checkpoints."""

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


try:
    from .configuration_glm import GLMConfig
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from configuration_glm import GLMConfig


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

    def forward(self, hidden_states, attention_mask, past_key_values=None, **kwargs) -> tuple:
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

    def forward(self, hidden_states, attention_mask, past_key_values=None, **kwargs) -> torch.Tensor:
        """Transform `hidden_states` (B, T, hidden_size)."""
        attended, _ = self.attention(self.input_layernorm(hidden_states), attention_mask, past_key_values, **kwargs)
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
        self, inputs_embeds, position_ids, block_position_ids, attention_mask, past_key_values=None, **kwargs
    ) -> torch.Tensor:
        """Run `inputs_embeds` (B, T, hidden_size) with its two positions (B, T) through the layers."""
        hidden_states = inputs_embeds + self.position_embeddings(position_ids)
        if self.config.block_position_encoding:
            hidden_states = hidden_states + self.block_position_embeddings(block_position_ids)
        hidden_states = self.embedding_dropout(hidden_states)
        for layer in self.layers:
            hidden_states = layer(hidden_states, attention_mask, past_key_values=past_key_values, **kwargs)
        return self.final_layernorm(hidden_states)
