# SPDX-License-Identifier: Apache-2.0
"""Documents, and rows of their tokens: long documents cut at sentence ends, short ones joined up to a length."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from datasets import IterableDataset, Value, concatenate_datasets
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerFast

from .reader import Table, TableSource, load_table, log_dropped
from .sentences import sentence_ends


TEXTS = (Value("string"), Value("large_string"), Value("null"))  # what a column of texts may be; null: it holds none


def load_documents(source: TableSource, *, streaming: bool = False) -> Table:
    """
    Load the documents of a source, one row each, in a single column `text`; of several paths one after the other, whatever
    the kinds of their files.

    Documents without text are dropped and their number is logged (those of a stream when they are tokenized).

    Args:
        source ([`TableSource`]): where they are; its `columns` say which column is `text`.
        streaming (`bool`, *optional*, defaults to `False`): read the documents while they are used.

    Raises:
        `ValueError`: the source cannot be read, as [`load_table`] says; there is no column of texts; no document is left.
    """
    if len(source.paths) > 1:
        parts = [replace(source, paths=[path]) for path in source.paths]
        return concatenate_datasets([load_documents(part, streaming=streaming) for part in parts])
    documents = load_table(source, streaming=streaming, text="text")
    first = next(iter(documents))
    if "text" not in first:
        raise ValueError(
            f"{source} has no column 'text'. Its columns: {', '.join(first)}. Name the one that holds the text: "
            '--columns \'{"text": "..."}\'.'
        )
    kind = (documents.features or {}).get("text", TEXTS[0])
    if kind not in TEXTS or not isinstance(first["text"], str | None):
        raise ValueError(f"The column 'text' of {source} holds {first['text']!r:.80}, not text. Name another column.")
    documents = documents.select_columns(["text"])
    documents = documents if kind == TEXTS[0] else documents.cast_column("text", TEXTS[0])
    if not streaming:
        kept = documents.filter(_has_text, batched=True)
        log_dropped(len(documents) - len(kept), str(source))
        documents = kept
    if not any(row["text"] and row["text"].strip() for row in documents):
        raise ValueError(f"{source} holds no document with text. Check the file, and what a document of it is.")
    return documents


def hold_out(documents: Table, number: int, seed: int = 0) -> tuple[Table, Table]:
    """
    Split documents into (training, held out): `number` drawn with `seed`, or the first ones of a stream.

    Raises:
        `ValueError`: there are no more documents than that.
    """
    is_stream = isinstance(documents, IterableDataset)
    few = next(iter(documents.skip(number)), None) is None if is_stream else not 0 < number < len(documents)
    if few:
        there = "a stream of no more" if is_stream else len(documents)
        raise ValueError(
            f"{number} documents cannot be held out of {there}. Hold out fewer, or give evaluation text of "
            "its own. (A text file is one document unless it is read by line or by paragraph.)"
        )
    if is_stream:
        return documents.skip(number), documents.take(number)
    split = documents.train_test_split(number, seed=seed)
    return split["train"], split["test"]


def tokenize_documents(
    documents: Table, tokenizer: PreTrainedTokenizerFast, max_length: int, workers: int | None = None
) -> Table:
    """
    Turn documents into rows of at most `max_length` tokens, in the single column `input_ids`.

    Every document is `[CLS] ... eos`. One that is longer than a row is cut at sentence ends: each part begins with
    [CLS], the last one ends with eos. Whole short documents share a row, each with its own [CLS] and eos. No token is
    lost, none occurs twice. Special tokens that happen to stand in the text are read as plain text.

        max_length 9     [CLS] a b . eos [CLS] c . eos       two documents
                         [CLS] d e f g h .                   the first part of a third one
                         [CLS] i j . eos                     the rest of it

    The result is cached by `datasets` under the tokenizer's contents and `max_length`: a second run reads it again.

    Args:
        documents (`Dataset` or `IterableDataset`): documents in the column `text`.
        tokenizer (`PreTrainedTokenizerFast`): a tokenizer with `cls_token` and `eos_token`.
        max_length (`int`): the most tokens of a row, [CLS] and eos included.
        workers (`int`, *optional*): processes that tokenize; not for a stream.
    """
    _check_tokenizer(tokenizer)
    if max_length < 4:
        raise ValueError(f"max_length is {max_length}. A row holds [CLS], eos and some text: give 4 or more.")
    settings = {"tokenizer": tokenizer, "max_length": max_length}
    if isinstance(documents, IterableDataset):
        return documents.map(_to_rows, fn_kwargs=settings, batched=True, remove_columns=["text"])
    contents = (documents._fingerprint, _vocabulary(tokenizer), tokenizer.special_tokens_map, max_length)
    return documents.map(
        _to_rows,
        fn_kwargs=settings,
        batched=True,
        remove_columns=["text"],
        num_proc=workers,
        new_fingerprint=Hasher.hash(contents),
        desc="Tokenizing",
    )


def cut_at_sentences(tokens: Sequence[int], ends: Sequence[int], room: int) -> list[Sequence[int]]:
    """
    Cut tokens into parts of at most `room`, each after the last sentence end that fits.

    Where a part would be less than half as long as there is room for, it is cut at `room` instead.

    Args:
        tokens (`Sequence[int]`): the text.
        ends (`Sequence[int]`): for each sentence the index behind its last token, ascending.
        room (`int`): the most tokens of a part.
    """
    parts, start = [], 0
    while len(tokens) - start > room:
        before = bisect_right(ends, start + room)
        stop = ends[before - 1] if before else 0
        if stop - start < room / 2:
            stop = start + room
        parts.append(tokens[start:stop])
        start = stop
    return [*parts, tokens[start:]]


def join_pieces(pieces: Iterable[list[int]], max_length: int, eos: int) -> list[list[int]]:
    """Join pieces, in order, into rows of at most `max_length`; a piece that does not end with `eos` ends its row."""
    rows: list[list[int]] = []
    for piece in pieces:
        if rows and rows[-1][-1] == eos and len(rows[-1]) + len(piece) <= max_length:
            rows[-1] += piece
        else:
            rows.append(list(piece))
    return rows


def _to_rows(batch: dict[str, list], tokenizer: PreTrainedTokenizerFast, max_length: int) -> dict[str, list]:
    """The rows of a batch of documents, for `map`."""
    texts = [text for text in batch["text"] if text and text.strip()]
    log_dropped(len(batch["text"]) - len(texts), "The stream")
    encoded = tokenizer(
        texts, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False, verbose=False
    )
    pieces = []
    room = max_length - 2  # [CLS] and eos
    for tokens in encoded["input_ids"]:
        ends = sentence_ends(tokens, tokenizer) if len(tokens) > room else []
        parts = [[tokenizer.cls_token_id, *part] for part in cut_at_sentences(tokens, ends, room)]
        parts[-1].append(tokenizer.eos_token_id)
        pieces += parts
    return {"input_ids": join_pieces(pieces, max_length, tokenizer.eos_token_id)}


def _has_text(batch: dict[str, list]) -> list[bool]:
    return [bool(text and text.strip()) for text in batch["text"]]


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> dict:
    """What the tokens of a text depend on: the backend without what every call sets anew."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    return {name: part for name, part in backend.items() if name not in ("padding", "truncation", "post_processor")}


def _check_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    missing = [name for name in ("cls_token", "eos_token") if name not in tokenizer.special_tokens_map]
    if missing:
        raise ValueError(
            f"The tokenizer has no {' and no '.join(missing)}; every document begins with the one and ends with the "
            "other. Use a GLMTokenizer."
        )
