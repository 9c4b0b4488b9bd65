# SPDX-License-Identifier: Apache-2.0
"""
GLM in lm-evaluation-harness, as the model `glm`; importing `transformers_glm` registers it there.

    python -m transformers_glm.integrations.lm_eval_adapter run --model glm --model_args pretrained=output/demo --tasks lambada_openai
"""

import copy
from collections.abc import Iterator, Sequence

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator, normalize_gen_kwargs, postprocess_generated_text
from transformers.utils import logging

from ..infilling import read_prompt


logger = logging.get_logger(__name__)

STRIDE = 256  # of rolling windows; the original's overlapping evaluation


class GLMHarness(HFLM):
    """
    A GLM that lm-evaluation-harness asks for log-likelihoods and texts.

    A context is Part A, the continuation is the piece of its blank, `loglikelihood` the sum over the continuation's tokens
    without eop. A context without a blank gets one after its end, `[gMASK]` if the vocabulary has it, else `[MASK]`; one that
    has a blank is taken as a cloze question, and its first blank is what is scored or filled.

        context "Ada wrote", continuation " code"     [CLS] Ada wrote [gMASK]        S  code
        context "Ada [MASK] code." and " wrote"       [CLS] Ada [MASK] code . <eos>  S  wrote

    Args:
        pretrained (`str` or [`GLMForConditionalGeneration`]): name or folder of a checkpoint, or a model.
        stride (`int`, *optional*):
            Tokens that a rolling window scores; 256, or half of `max_length` if that is less.
        batch_size (`int` or `str`, *optional*, defaults to 1): rows that are scored together.
        kwargs: those of `HFLM`: `tokenizer`, `device`, `dtype`, `peft`, `max_length` (of a row, both parts), and so on.

    Raises:
        `ValueError`: another backend than `seq2seq`, `batch_size="auto"`, a vocabulary without a mask token, a stride that
        leaves no context; when scoring, a text that does not fit.
    """

    def __init__(self, pretrained, stride: int | None = None, batch_size: int | str = 1, **kwargs):
        if kwargs.setdefault("backend", "seq2seq") != "seq2seq":
            raise ValueError(f"backend={kwargs['backend']!r}: GLM reads Part A apart from Part B. Leave it out.")
        if str(batch_size).startswith("auto"):
            raise ValueError(f"batch_size={batch_size!r}: the trial rows of the harness have no blank. Give a number.")
        super().__init__(pretrained, batch_size=batch_size, **kwargs)
        self.stride = min(STRIDE, self.max_length // 2) if stride is None else int(stride)
        if not 1 <= self.stride <= self.max_length - 2:
            raise ValueError(
                f"stride={self.stride}: a window of {self.max_length} tokens scores 1 to {self.max_length - 2}."
            )

    def _create_tokenizer(self, *args, **kwargs):
        super()._create_tokenizer(*args, **kwargs)
        self.tokenizer = copy.deepcopy(self.tokenizer)  # the caller's own keeps its setting
        if self.tokenizer.append_mask is None:
            self.tokenizer.append_mask = self.tokenizer.gmask_token or self.tokenizer.mask_token
        if self.tokenizer.append_mask is None:
            raise ValueError("The vocabulary has neither [gMASK] nor [MASK]: give the tokenizer of a GLM.")

    def _encode_context(self, context: str, others: int) -> list[int]:
        """Part A with room for `others` more tokens in its row; cut on the left, behind [CLS]."""
        token_ids = read_prompt(context, self.tokenizer).token_ids
        excess = len(token_ids) + others - self.max_length
        if excess <= 0:
            return token_ids
        lost = token_ids[1 : 1 + excess]
        if len(token_ids) - excess < 2 or not set(lost).isdisjoint(self.tokenizer.mask_token_ids):
            raise ValueError(
                f"A context of {len(token_ids)} tokens and {others} tokens to score or to write do not fit max_length="
                f"{self.max_length} unless the blank of {context[:60]!r} is cut off. Shorten the text or raise max_length."
            )
        logger.warning_once(
            f"Contexts longer than max_length={self.max_length} allows lose tokens at their beginning."
        )
        return [token_ids[0], *token_ids[1 + excess :]]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        piece = self.tok_encode(continuation, add_special_tokens=False)
        if not piece:
            raise ValueError(f"The continuation {continuation!r} of {context[:60]!r} has no tokens to score.")
        return self._encode_context(stripped, len(piece)), piece

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each continuation in the blank of its context, and whether greedy decoding writes it."""
        encoded = [(request.args, *self._encode_pair(*request.args)) for request in requests]
        return self._loglikelihood_tokens(encoded, disable_tqdm=disable_tqdm)

    def windows(self, tokens: Sequence[int]) -> Iterator[tuple[list[int], Sequence[int]]]:
        """
        Part A and piece of each window of a text, every token in one piece. With `max_length=6` and `stride=2`:

            [CLS] [gMASK]        x1 x2 x3 x4
            [CLS] x3 x4 [gMASK]  x5 x6
            [CLS] x4 x5 x6 [gMASK]  x7

        Args:
            tokens (`Sequence[int]`): the text.
        """
        room = self.max_length - 2  # beside [CLS] and the blank; sop takes the place of the piece's last token
        mask = self.tokenizer.convert_tokens_to_ids(self.tokenizer.append_mask)
        start = 0
        while start < len(tokens):
            end = min(len(tokens), start + (self.stride if start else room))
            yield [self.tokenizer.cls_token_id, *tokens[max(0, end - room) : start], mask], tokens[start:end]
            start = end

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of each text, window by window."""
        texts = [request.args[0] for request in requests]
        rows = [list(self.windows(self.tok_encode(text, add_special_tokens=False))) for text in texts]
        encoded = [(None, part_a, piece) for windows in rows for part_a, piece in windows]
        scores = iter(self._loglikelihood_tokens(encoded, disable_tqdm=disable_tqdm))
        totals = [sum(next(scores)[0] for _ in windows) for windows in rows]
        for text, total in zip(texts, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
        return totals

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """The piece that is written into the blank of each context, up to a stop string, eop or the end of the text."""
        ordered = Collator(
            [request.args for request in requests],
            sort_fn=lambda args: (-len(args[0]), args[0]),
            group_by="gen_kwargs",
            group_fn=lambda args: args[1],
        )
        written = []
        for batch in ordered.get_batched(n=self.batch_size):
            contexts, settings = zip(*batch, strict=True)
            texts = self._write(contexts, settings[0])
            written += texts
            for context, text in zip(contexts, texts, strict=True):
                self.cache_hook.add_partial("generate_until", (context, settings[0]), text)
        return ordered.get_original(written)

    def _write(self, contexts, settings):
        settings = normalize_gen_kwargs(settings, min(self.max_gen_toks, self.max_length // 2))
        until, new_tokens = settings.pop("until"), settings.pop("max_gen_toks")
        if not settings["do_sample"]:
            settings.pop("temperature", None)
        part_a = [self._encode_context(context, new_tokens) for context in contexts]
        inputs = self.tokenizer.pad({"input_ids": part_a}, return_tensors="pt").to(self.device)
        pieces = self.model.generate(
            **inputs,
            max_new_tokens=new_tokens,
            stop_strings=until or None,
            tokenizer=self.tokenizer,
            **settings,
        )
        texts = self.tokenizer.batch_decode(pieces, skip_special_tokens=True)
        return [postprocess_generated_text(text, until, None) for text in texts]


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
