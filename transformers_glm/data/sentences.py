# SPDX-License-Identifier: Apache-2.0
"""Where the sentences of a tokenized text end, read from the decoded text."""

import re
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode


_SEPARATOR = b"\0"  # stands for [CLS], eos and the like
_CLOSING = "\"'”’)]}」』】》）"
_ENGLISH, _CHINESE = ".?!;:", "。？！；：…"
_ABBREVIATIONS = ("mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "cf", "fig", "eq")


def _sentence_end() -> re.Pattern[bytes]:
    """
    A regular expression over UTF-8 bytes, because a byte-level token may hold a part of a character.

    A mark of English ends a sentence before a space, a line end or a Chinese character: not in "3.5" or "10:30". A dot
    after a single letter ("e.g.", "J. Smith") or an abbreviation does not. Chinese marks and line ends always do. Closing
    quotes and brackets, and the line ends after a mark, belong to the sentence that ends.
    """
    closing = f"(?:{'|'.join(map(re.escape, _CLOSING))})*"
    abbreviation = "".join(rf"(?<!\b{word}\.)" for word in ("[a-z]", *_ABBREVIATIONS))
    before = r"(?=[\s\0\xe3-\xe9]|\Z)"  # 0xe3-0xe9 begin the UTF-8 of Chinese and Japanese characters
    english = f"[{_ENGLISH}]*{closing}(?!(?<=[0-9][.:])\\s?[0-9]){before}"
    chinese = f"(?:{'|'.join(_CHINESE)})*{closing}"
    rest = {
        ".": f"(?i:{abbreviation}){english}",
        **dict.fromkeys(_ENGLISH[1:], english),
        **dict.fromkeys(_CHINESE, chinese),
    }
    ends = [re.escape(mark) + follows for mark, follows in rest.items()]
    # each alternative begins with a literal byte, which lets the search skip to the next one
    return re.compile("|".join(rf"{end}(?:[ \t]*\n)*" for end in (*ends, r"\n")).encode())


_SENTENCE_END = _sentence_end()
_LEANS_LEFT = set(_ENGLISH + _CHINESE + _CLOSING) - set("\"'")
_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}


class _Pieces:
    """The UTF-8 bytes that each token id of a tokenizer stands for in the middle of a text, found as they are met."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        size = len(tokenizer)
        self._pieces = np.full(size, None, object)
        self._lengths = np.full(size, -1)
        self._decode = lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        self._token = tokenizer.convert_ids_to_tokens
        self._special = set(tokenizer.all_special_ids)

    def of(self, tokens: np.ndarray) -> tuple[bytes, np.ndarray]:
        """The bytes of a text, and where in them each of its tokens ends."""
        lengths = self._lengths[tokens]
        if lengths.min(initial=0) < 0:
            for token_id in set(tokens[lengths < 0].tolist()):
                self._pieces[token_id] = piece = self._find(token_id)
                self._lengths[token_id] = len(piece)
            lengths = self._lengths[tokens]
        return b"".join(self._pieces[tokens].tolist()), lengths.cumsum()

    def _find(self, token_id: int) -> bytes:
        if token_id in self._special:
            return _SEPARATOR
        once = self._decode([token_id])
        text = self._decode([token_id, token_id])[len(once) :]  # after another token a word keeps the space before it
        if "\ufffd" in text or "\ufffd" in once:
            return _bytes_of(self._token(token_id))
        if text.strip() in _LEANS_LEFT and text.strip() == self._token(token_id):
            return text.strip().encode()  # a WordPiece mark: the space before it is the decoder's
        return text.encode()


def _bytes_of(token: str) -> bytes:
    """The bytes of a token that is not a whole number of characters: of a byte-level vocabulary, or a byte such as `<0xE3>`."""
    if re.fullmatch("<0x[0-9A-F]{2}>", token):
        return bytes([int(token[3:5], 16)])
    return b"".join(bytes([_BYTE_OF[char]]) if char in _BYTE_OF else char.encode() for char in token)


_pieces_of: "WeakKeyDictionary[PreTrainedTokenizerBase, _Pieces]" = WeakKeyDictionary()


def sentence_ends(tokens: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """
    Where sentences end, as numbers of tokens: `tokens[:end]` is whole sentences for each `end` returned.

        tokens   It  cost  3  .  5  .  Wow  !  And      ends  6, 8

    A sentence ends with one of `. ? ! ; : 。 ？ ！ ； ： …` or a line end. Text after the last mark is not counted: its end is
    the end of `tokens`. The text is read as decoded, so a mark that a byte-level vocabulary cuts into several tokens is
    found, and the sentence ends after the last of them.

    Args:
        tokens (`Sequence[int]` or `np.ndarray`): ids of a text, with or without special tokens.
        tokenizer (`PreTrainedTokenizerBase`): the tokenizer they come from.

    Returns:
        `list[int]`: the ends, ascending, each between 1 and `len(tokens)`.
    """
    pieces = _pieces_of.get(tokenizer)
    if pieces is None:
        pieces = _pieces_of[tokenizer] = _Pieces(tokenizer)
    text, ends_in_bytes = pieces.of(np.asarray(tokens, np.int64))
    ends = ends_in_bytes.searchsorted([match.end() for match in _SENTENCE_END.finditer(text)]) + 1
    return list(dict.fromkeys(ends.tolist()))
