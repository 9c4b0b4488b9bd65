# SPDX-License-Identifier: Apache-2.0
"""Perplexity, last words, texts written from nothing, and their results."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerBase, set_seed

from ..agreement import check_agreement
from ..data.documents import load_documents
from ..runs.results import write_results
from . import scoring
from .arguments import LanguageModelingArguments
from .wikitext import detokenize


logger = logging.getLogger(__name__)

TRIGRAM = "trigram"
SHORT = {"bidirectional": "bi", "unidirectional": "uni", TRIGRAM: TRIGRAM}
# the same whatever the context
COUNTS = {"eval_rows", "width", "stride", "tokens", "words", "characters", "lambada_rows"}


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
    models: dict[str, Any] = dict.fromkeys(args.scoring.context, model)
    if args.train_data:
        texts = map(_normalization(args), _texts(args, "train"))
        models[TRIGRAM] = scoring.fit_trigram(list(texts), tokenizer)
    mask = _mask_id(args, tokenizer)
    predictions: list[dict[str, Any]] = []
    for kind, data, document, measure in (
        ("perplexity", args.evaluation_data, args.document, _perplexity),
        ("last word", args.lambada_data, "line", _last_words),
    ):
        texts = _texts(args, "evaluation", paths=data, document=document)[: args.evaluation_rows] if data else []
        for context, one in models.items() if data else ():
            settings = {} if context == TRIGRAM else {"context": context, "mask": mask, "batch_size": args.batch_size}
            values, rows = measure(args, one, tokenizer, texts, settings)
            metrics |= {
                name if name in COUNTS else f"{name}_{SHORT[context]}": value for name, value in values.items()
            }
            if settings:
                predictions += [{"kind": kind, "context": context, **row} for row in rows]
    if args.generate:
        set_seed(args.seed)
        texts = scoring.generate_texts(model, tokenizer, args.generate, mask, **args.generation)
        metrics["generated"] = len(texts)
        predictions += [{"kind": "generated", "text": text} for text in texts]
    metrics["command"] = command
    write_results(args.output_dir, metrics, predictions)
    return metrics


def _perplexity(args, model, tokenizer, texts, settings):
    windows = {}
    if settings:
        width = args.scoring.width or model.config.max_sequence_length - 1
        windows = {"width": width, "stride": args.scoring.stride or min(256, width // 2)}
    normalize = _normalization(args)
    scores = scoring.score_texts(model, tokenizer, texts, normalize=normalize, **windows, **settings)
    values = scoring.perplexities(scores)
    if not settings:
        return {"perplexity": values["perplexity"]}, []
    if "words" not in values:
        logger.warning(
            "The texts have no spaces between words: there is no perplexity per word, see bits_per_character."
        )
    return {"eval_rows": len(texts), **windows, **values}, [score._asdict() for score in scores]


def _last_words(args, model, tokenizer, texts, settings):
    guesses = scoring.score_last_words(model, tokenizer, texts, **settings)
    named = {f"lambada_{name}": value for name, value in scoring.last_word_metrics(guesses).items()}
    return {"lambada_rows": len(texts), **named}, guesses


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
