# SPDX-License-Identifier: Apache-2.0
"""scripts/evaluate_lm.py as a function: perplexity, last words, texts written from nothing, and their results."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerBase, set_seed

from ..agreement import check_agreement
from ..data.sources import DocumentSource, load_documents
from ..data.task_rows import RowSource, load_rows
from ..data.templates import column_of
from ..runs.results import write_results
from . import scoring
from .rows import Context
from .wikitext import detokenize


logger = logging.getLogger(__name__)

TRIGRAM = "trigram"
SHORT = {"bidirectional": "bi", "unidirectional": "uni", TRIGRAM: TRIGRAM}
# the same whatever the context
COUNTS = {"eval_rows", "width", "stride", "tokens", "words", "characters", "lambada_rows"}


@dataclass
class LanguageModelingArguments:
    """What is evaluated, and how."""

    model: str = field(metadata={"help": "Folder or Hub name of the model."})
    output_dir: str = field(metadata={"help": "Folder of metrics.json and predictions.jsonl."})
    perplexity_data: list[str] = field(
        default_factory=list, metadata={"help": "Files, folders or a Hub dataset whose perplexity is measured."}
    )
    split: str = field(default="test", metadata={"help": "Split of Hub datasets."})
    data_name: str | None = field(default=None, metadata={"help": "Configuration of Hub datasets."})
    column: str = field(default="text", metadata={"help": "Column that holds the text."})
    document: Literal["file", "line", "paragraph"] = field(
        default="file", metadata={"help": "What one document of a text file is; windows end with it."}
    )
    detokenize: bool = field(default=False, metadata={"help": "Join WikiText's tokens; words are counted before."})
    documents: int | None = field(default=None, metadata={"help": "Measure only the first documents, this many."})
    trigram_data: list[str] = field(
        default_factory=list,
        metadata={"help": "Text to fit an interpolated trigram on, a baseline of the perplexity and the last words."},
    )
    lambada_data: str | None = field(default=None, metadata={"help": "Texts whose last word is to be guessed."})
    lambada_rows: int | None = field(
        default=None, metadata={"help": "Guess the last words of the first texts only, this many."}
    )
    context: list[str] = field(
        default_factory=lambda: ["bidirectional", "unidirectional"],
        metadata={"help": "bidirectional (Part A holds the context), unidirectional (its first token), or both."},
    )
    width: int | None = field(
        default=None, metadata={"help": "Tokens of a window. Defaults to the model's max_sequence_length - 1."}
    )
    stride: int | None = field(
        default=None, metadata={"help": "Tokens that each window scores: 256, or half the window where that is less."}
    )
    mask: str | None = field(
        default=None, metadata={"help": "The mask token. Defaults to [gMASK] where there is one."}
    )
    generate: int = field(default=0, metadata={"help": "Write this many texts from nothing."})
    max_new_tokens: int = field(default=128, metadata={"help": "The most tokens of such a text."})
    temperature: float = field(default=0.9, metadata={"help": "Temperature it is sampled with."})
    top_k: int = field(default=40, metadata={"help": "Each token is sampled from this many, the most probable ones."})
    batch_size: int = field(default=8, metadata={"help": "Windows or texts that are scored together."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, ..."})
    seed: int = field(default=0, metadata={"help": "Of the sampling."})

    def __post_init__(self):
        unknown = sorted(set(self.context) - set(get_args(Context)))
        if unknown or not self.context:
            raise ValueError(f"--context {' '.join(unknown)}: there are {' and '.join(get_args(Context))}.")
        if not (self.perplexity_data or self.lambada_data or self.generate):
            raise ValueError("Nothing to do: give --perplexity_data, --lambada_data or --generate.")
        if self.trigram_data and not (self.perplexity_data or self.lambada_data):
            raise ValueError("--trigram_data is for a baseline: give --perplexity_data or --lambada_data too.")


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
        "evaluation_data": " ".join([*args.perplexity_data, *filter(None, [args.lambada_data])]) or None,
        "parameters": model.num_parameters(),
    }
    models: dict[str, Any] = dict.fromkeys(args.context, model)
    if args.trigram_data:
        texts = map(_normalization(args), _texts(args.trigram_data, args))
        models[TRIGRAM] = scoring.fit_trigram(list(texts), tokenizer)
    mask = _mask_id(args, tokenizer)
    predictions: list[dict[str, Any]] = []
    for kind, data, read, measure in (
        ("perplexity", args.perplexity_data, _perplexity_texts, _perplexity),
        ("last word", args.lambada_data, _last_word_texts, _last_words),
    ):
        texts = read(args) if data else []
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
        sampling = {name: getattr(args, name) for name in ("temperature", "top_k", "max_new_tokens")}
        texts = scoring.generate_texts(model, tokenizer, args.generate, mask, do_sample=True, **sampling)
        metrics["generated"] = len(texts)
        predictions += [{"kind": "generated", "text": text} for text in texts]
    metrics["command"] = command
    write_results(args.output_dir, metrics, predictions)
    return metrics


def _perplexity(args, model, tokenizer, texts, settings):
    windows = {}
    if settings:
        width = args.width or model.config.max_sequence_length - 1
        windows = {"width": width, "stride": args.stride or min(256, width // 2)}
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


def _texts(paths: Sequence[str], args: LanguageModelingArguments) -> Iterator[str]:
    for path in paths:
        source = DocumentSource(path, args.data_name, args.split, args.column, args.document)
        yield from load_documents(source)["text"]


def _perplexity_texts(args: LanguageModelingArguments) -> list[str]:
    return list(_texts(args.perplexity_data, args))[: args.documents]


def _last_word_texts(args: LanguageModelingArguments) -> list[str]:
    rows = load_rows(RowSource([args.lambada_data], args.data_name, args.split))
    texts = []
    for number, row in enumerate(itertools.islice(rows, args.lambada_rows), 1):
        where = f"{args.lambada_data}, row {number}"
        text = column_of(row, args.column, where)
        if not isinstance(text, str) or len(text.split()) < 2:
            raise ValueError(
                f"{where} has {text!r:.60} in the column {args.column!r}, not a text of two words or more. Leave the row out, or "
                "name the column with --column."
            )
        texts.append(text)
    return texts


def _normalization(args: LanguageModelingArguments) -> Callable[[str], str]:
    return detokenize if args.detokenize else str


def _mask_id(args: LanguageModelingArguments, tokenizer: PreTrainedTokenizerBase) -> int:
    known = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
    mask = args.mask or tokenizer.gmask_token or tokenizer.mask_token
    if mask not in known:
        raise ValueError(f"--mask {mask}: the tokenizer has {', '.join(known)}.")
    return tokenizer.convert_tokens_to_ids(mask)
