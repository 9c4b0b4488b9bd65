# SPDX-License-Identifier: Apache-2.0
"""Perplexity, last words, texts written from nothing, and their results."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..agreement import check_agreement
from ..data.documents import load_documents
from ..metrics.ngrams import Trigram
from ..runs.results import write_results
from . import scoring
from .arguments import LanguageModelingArguments
from .wikitext import detokenize


logger = logging.getLogger(__name__)

TRIGRAM = "trigram"
SHORT = {"bidirectional": "bi", "unidirectional": "uni", TRIGRAM: TRIGRAM}
COUNTS = {"tokens", "words", "characters"}  # of the texts, whatever the context


def evaluate_lm(args: LanguageModelingArguments, command: str) -> dict[str, Any]:
    """
    Measure all that is asked for and write the results.

    Returns:
        `dict[str, Any]`: what stands in `metrics.json`.
    """
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model).eval().to(args.device)
    check_agreement(tokenizer, model.config)
    metrics: dict[str, Any] = {
        "task": "language_modeling",
        "method": "glm",
        "model": args.model,
        "seed": args.seed,
        "evaluation_data": " ".join([*args.evaluation_data, *args.lambada_data]) or None,
        "parameters": model.num_parameters(),
    }
    trigram, contexts = None, [*args.scoring.context]
    if args.train_data:
        texts = map(_normalization(args), _texts(args, "train"))
        trigram = scoring.fit_trigram(list(texts), tokenizer)
        contexts.append(TRIGRAM)
    run = _Run(args, model, tokenizer, _mask_id(args, tokenizer), trigram)
    predictions: list[dict[str, Any]] = []
    for kind, data, document, measure in (
        ("perplexity", args.evaluation_data, args.document, _perplexity),
        ("last word", args.lambada_data, "line", _last_words),
    ):
        if not data:
            continue
        texts = _texts(args, "evaluation", paths=data, document=document)[: args.evaluation_rows]
        for context in contexts:
            values, rows = measure(run, texts, context)
            metrics |= values
            predictions += [{"kind": kind, "context": context, **row} for row in rows]
    if args.generate:
        set_seed(args.seed)
        texts = scoring.generate_texts(model, tokenizer, args.generate, run.mask, **args.generation)
        metrics["generated"] = len(texts)
        predictions += [{"kind": "generated", "text": text} for text in texts]
    metrics["command"] = command
    write_results(args.output_dir, metrics, predictions)
    return metrics


class _Run(NamedTuple):
    args: LanguageModelingArguments
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    mask: int
    trigram: Trigram | None


Measured = tuple[dict[str, Any], list[dict[str, Any]]]  # metrics and predictions


def _perplexity(run: _Run, texts: Sequence[str], context: str) -> Measured:
    args, normalize = run.args, _normalization(run.args)
    if context == TRIGRAM:
        value = scoring.trigram_perplexity(run.trigram, list(map(normalize, texts)), run.tokenizer)
        return {"perplexity_trigram": value}, []
    width = args.scoring.width or run.model.config.max_sequence_length - 1
    stride = args.scoring.stride or min(256, width // 2)
    windows = {"width": width, "stride": stride}
    settings = {"context": context, "mask": run.mask, "batch_size": args.batch_size, "normalize": normalize}
    scores = scoring.score_texts(run.model, run.tokenizer, texts, **windows, **settings)
    values = scoring.perplexities(scores)
    if "words" not in values:
        logger.warning(
            "The texts have no spaces between words: there is no perplexity per word, see bits_per_character."
        )
    named = {name if name in COUNTS else f"{name}_{SHORT[context]}": value for name, value in values.items()}
    return {"eval_rows": len(texts), **windows, **named}, [score._asdict() for score in scores]


def _last_words(run: _Run, texts: Sequence[str], context: str) -> Measured:
    if context == TRIGRAM:
        guesses, rows = scoring.trigram_last_words(run.trigram, texts, run.tokenizer), []
    else:
        settings = {"context": context, "mask": run.mask, "batch_size": run.args.batch_size}
        guesses = rows = scoring.score_last_words(run.model, run.tokenizer, texts, **settings)
    named = {f"lambada_{name}_{SHORT[context]}": value for name, value in scoring.last_word_metrics(guesses).items()}
    return {"lambada_rows": len(texts)} | named, rows


def _texts(args: LanguageModelingArguments, which: Literal["train", "evaluation"], **settings: Any) -> Sequence[str]:
    """The texts of the data to fit a trigram on, or to evaluate on; `settings` are those of the source that differ."""
    source = args.source(which, columns=args.columns, document=args.document)
    return load_documents(replace(source, **settings))["text"]


def _normalization(args: LanguageModelingArguments) -> Callable[[str], str]:
    return detokenize if args.scoring.detokenize else str


def _mask_id(args: LanguageModelingArguments, tokenizer: PreTrainedTokenizerBase) -> int:
    known = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
    mask = args.scoring.mask or tokenizer.gmask_token or tokenizer.mask_token
    if mask not in known:
        raise ValueError(f"--scoring: mask {mask}: the tokenizer has {', '.join(known)}.")
    return tokenizer.convert_tokens_to_ids(mask)
