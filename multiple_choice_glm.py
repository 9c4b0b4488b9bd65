# SPDX-License-Identifier: Apache-2.0
"""GLM for multiple choice: candidates are scored in a blank, and the text is read once for all of them."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.loss.loss_utils import fixed_cross_entropy
from transformers.modeling_outputs import MultipleChoiceModelOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple
from transformers.utils.deprecation import deprecate_kwarg


try:
    from .blank_infilling_glm import IGNORE, Blank, lay_out, stack
    from .configuration_glm import GLMConfig
    from .modeling_glm import GLMModel, GLMPreTrainedModel
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import IGNORE, Blank, lay_out, stack
    from configuration_glm import GLMConfig
    from modeling_glm import GLMModel, GLMPreTrainedModel


def lay_out_choices(texts: Sequence[Sequence[int]], *, mask_token_ids: Sequence[int], sop: int) -> dict[str, list]:
    """
    One row for texts that begin alike and end differently, the candidates of a multiple-choice question. What they share is
    Part A, read once; what each has beyond, to its last token, is a piece.

        texts                x1   x2   a    b    E  |  x1   x2   c    E
        input_ids            x1   x2   [M]  S    a    b    S    c
        choice_ids           a b E | c E               choice_indices  3 4 5 | 6 7

    The pieces stand on the first blank of what is shared, or, if it has none, on one put after it, the last of
    `mask_token_ids`. Mask tokens beyond it are dropped: they were appended to each text.

    Args:
        texts (`Sequence[Sequence[int]]`): ids of each text. A text without a token is no candidate.
        mask_token_ids (`Sequence[int]`): ids of the tokens that stand for a blank.
        sop (`int`): id of `<|startofpiece|>`.

    Returns:
        `dict[str, list]`: as [`lay_out`] without labels, and one list for each text in `choice_ids`, the tokens that are
        scored, and in `choice_indices`, the place in the row that predicts each.
    """
    candidates = [text for text in texts if text]
    # each text keeps a token to score
    shared = next(
        (
            place
            for place, tokens in enumerate(zip(*(text[:-1] for text in candidates), strict=False))
            if len(set(tokens)) > 1
        ),
        min((len(text) - 1 for text in candidates), default=0),
    )
    part_a = list(candidates[0][:shared]) if candidates else []
    if not any(token in mask_token_ids for token in part_a):
        part_a.append(mask_token_ids[-1])
    position = next(place for place, token in enumerate(part_a) if token in mask_token_ids)
    choices = [[token for token in text[shared:] if token not in mask_token_ids] for text in texts]
    # a choice ends with its text's own last token, not with eop
    row = lay_out(part_a, [Blank(position, choice, choice) for choice in choices if choice], sop=sop, eop=IGNORE)
    del row["labels"]
    starts = accumulate(map(len, choices), initial=len(part_a))
    indices = [[*range(start, start + len(choice))] for start, choice in zip(starts, choices, strict=False)]
    return {**row, "choice_ids": choices, "choice_indices": indices}


class GLMForMultipleChoice(GLMPreTrainedModel):
    """GLM that scores candidates for a blank by their log-probabilities; the text is read once for all of them."""

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
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

        row = [padded("input_ids", pad), padded("position_ids", 0), padded("block_position_ids", 0)]
        lengths = torch.tensor([len(example["input_ids"]) for example in examples], device=input_ids.device)
        mask = (torch.arange(row[0].shape[1], device=input_ids.device) < lengths[:, None]).long()
        choices = [stack([example[name] for example in examples]) for name in ("choice_ids", "choice_indices")]
        return row[0], mask, *row[1:], *(one.to(input_ids.device) for one in choices)

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
        return stack([[choice.tolist() for choice in row] for row in choices[:rows]]).to(choices[0][0].device)

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
        """Which tokens are pieces of one choice: numbers (B, T), equal within a choice; a piece that no choice scores is alone."""
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


__all__ = ["GLMForMultipleChoice", "lay_out_choices"]
