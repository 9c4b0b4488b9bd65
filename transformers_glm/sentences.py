# SPDX-License-Identifier: Apache-2.0
"""Where the sentences of a tokenized text end, read from the decoded text."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from weakref import WeakKeyDictionary

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
    marks = [rf"\.(?i:{abbreviation})", *map(re.escape, _ENGLISH[1:])]
    english = rf"(?:{'|'.join(marks)})[{_ENGLISH}]*{closing}(?!(?<=[0-9][.:])\s?[0-9])"
    before = rb"(?=[\s\0\xe3-\xe9]|\Z)"  # 0xe3-0xe9 begin the UTF-8 of Chinese and Japanese characters
    chinese = f"(?:{'|'.join(_CHINESE)})(?:{'|'.join(_CHINESE)})*{closing}"
    # each alternative begins with a literal byte, which lets the search skip to the next one
    return re.compile(
        b"(?:" + english.encode() + before + b"|" + chinese.encode() + rb")(?:[ \t]*\n)*|\n(?:[ \t]*\n)*"
    )


_SENTENCE_END = _sentence_end()
_LEANS_LEFT = set(_ENGLISH + _CHINESE + _CLOSING) - set("\"'")
_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}


class _Pieces(dict):
    """The UTF-8 bytes that each token id of a tokenizer stands for in the middle of a text, filled as they are met."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        super().__init__(dict.fromkeys(tokenizer.all_special_ids, _SEPARATOR))
        self._decode = lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        self._token = tokenizer.convert_ids_to_tokens

    def __missing__(self, token_id: int) -> bytes:
        once = self._decode([token_id])
        text = self._decode([token_id, token_id])[len(once) :]  # after another token a word keeps the space before it
        if "\ufffd" in text or "\ufffd" in once:
            self[token_id] = _bytes_of(self._token(token_id))
        elif text.strip() in _LEANS_LEFT and text.strip() == self._token(token_id):
            self[token_id] = text.strip().encode()  # a WordPiece mark: the space before it is the decoder's
        else:
            self[token_id] = text.encode()
        return self[token_id]


def _bytes_of(token: str) -> bytes:
    """The bytes of a token that is no whole number of characters: of a byte-level vocabulary, or a byte such as `<0xE3>`."""
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
        tokens (`Sequence[int]`): ids of a text, with or without special tokens.
        tokenizer (`PreTrainedTokenizerBase`): the tokenizer they come from.

    Returns:
        `list[int]`: the ends, ascending, each between 1 and `len(tokens)`.
    """
    pieces = _pieces_of.get(tokenizer)
    if pieces is None:
        pieces = _pieces_of[tokenizer] = _Pieces(tokenizer)
    parts = [pieces[token] for token in tokens]
    ends_in_bytes = list(accumulate(map(len, parts)))
    ends = (bisect_left(ends_in_bytes, match.end()) + 1 for match in _SENTENCE_END.finditer(b"".join(parts)))
    return list(dict.fromkeys(ends))
