# SPDX-License-Identifier: Apache-2.0
"""scripts/evaluate_lm.py as a function: perplexity, last words, texts out of nothing, and their results."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..agreement import check_agreement
from ..data.sources import DocumentSource, load_documents
from ..data.task_rows import RowSource, load_rows
from ..data.templates import column_of
from ..runs.results import write_results
from .baseline import fit_trigram, trigram_last_words, trigram_perplexity
from .scoring import generate_texts, last_word_metrics, perplexities, score_last_words, score_texts
from .wikitext import detokenize


logger = logging.getLogger(__name__)

SHORT = {"bidirectional": "bi", "unidirectional": "uni"}


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
    documents: int | None = field(default=None, metadata={"help": "Measure the first so many documents only."})
    trigram_data: list[str] = field(
        default_factory=list,
        metadata={"help": "Text to fit an interpolated trigram on, a baseline of the perplexity and the last words."},
    )
    lambada_data: str | None = field(default=None, metadata={"help": "Texts whose last word is to be guessed."})
    lambada_rows: int | None = field(default=None, metadata={"help": "Guess the first so many words only."})
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
    generate: int = field(default=0, metadata={"help": "Write so many texts out of nothing."})
    max_new_tokens: int = field(default=128, metadata={"help": "The most tokens of such a text."})
    temperature: float = field(default=0.9, metadata={"help": "Temperature it is sampled with."})
    top_k: int = field(default=40, metadata={"help": "It is sampled from so many tokens."})
    batch_size: int = field(default=8, metadata={"help": "Windows or texts that are scored together."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, ..."})
    seed: int = field(default=0, metadata={"help": "Of the sampling."})

    def __post_init__(self):
        unknown = sorted(set(self.context) - set(SHORT))
        if unknown or not self.context:
            raise ValueError(f"--context {' '.join(unknown)}: there are {' and '.join(SHORT)}.")
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
    rows: list[dict[str, Any]] = []
    for step in (_perplexity, _lambada, _trigram, _generate):
        for values, predictions in step(args, model, tokenizer, _mask_id(args, tokenizer)):
            metrics |= values
            rows += predictions
    metrics["command"] = command
    write_results(args.output_dir, metrics, rows)
    return metrics


Part = tuple[dict[str, Any], list[dict[str, Any]]]  # metrics and predictions


def _perplexity(
    args: LanguageModelingArguments, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, mask: int
) -> Iterator[Part]:
    if not args.perplexity_data:
        return
    texts = _perplexity_texts(args)
    width = args.width or model.config.max_sequence_length - 1
    stride = args.stride or min(256, width // 2)
    for context in args.context:
        scores = score_texts(
            model,
            tokenizer,
            texts,
            context=context,
            width=width,
            stride=stride,
            mask=mask,
            batch_size=args.batch_size,
            normalize=_normalization(args),
        )
        values = perplexities(scores)
        counts = {
            "eval_rows": len(texts),
            "width": width,
            "stride": stride,
            **{name: values.pop(name) for name in ("tokens", "words", "characters") if name in values},
        }
        if "words" not in counts:
            logger.warning(
                "The texts have no spaces between words: there is no perplexity per word, see bits_per_character."
            )
        named = {f"{name}_{SHORT[context]}": value for name, value in values.items()}
        yield counts | named, [{"kind": "perplexity", "context": context, **score._asdict()} for score in scores]


def _lambada(
    args: LanguageModelingArguments, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, mask: int
) -> Iterator[Part]:
    if args.lambada_data is None:
        return
    texts = _last_word_texts(args)
    for context in args.context:
        guesses = score_last_words(model, tokenizer, texts, context=context, mask=mask, batch_size=args.batch_size)
        named = {f"lambada_{name}_{SHORT[context]}": value for name, value in last_word_metrics(guesses).items()}
        yield (
            {"lambada_rows": len(texts)} | named,
            [{"kind": "last word", "context": context, **guess} for guess in guesses],
        )


def _trigram(
    args: LanguageModelingArguments, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, mask: int
) -> Iterator[Part]:
    if not args.trigram_data:
        return
    normalize = _normalization(args)
    trigram = fit_trigram([normalize(text) for text in _texts(args.trigram_data, args)], tokenizer)
    if args.perplexity_data:
        texts = [normalize(text) for text in _perplexity_texts(args)]
        yield {"perplexity_trigram": trigram_perplexity(trigram, texts, tokenizer)}, []
    if args.lambada_data is not None:
        metrics = trigram_last_words(trigram, _last_word_texts(args), tokenizer)
        yield {f"lambada_{name}_trigram": value for name, value in metrics.items()}, []


def _generate(
    args: LanguageModelingArguments, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, mask: int
) -> Iterator[Part]:
    if not args.generate:
        return
    set_seed(args.seed)
    with torch.inference_mode():
        texts = generate_texts(
            model,
            tokenizer,
            args.generate,
            mask,
            do_sample=True,
            temperature=args.temperature,
            top_k=args.top_k,
            max_new_tokens=args.max_new_tokens,
        )
    yield {"generated": len(texts)}, [{"kind": "generated", "text": text} for text in texts]


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
