# SPDX-License-Identifier: Apache-2.0
"""SentencePiece models, read without the library and checked."""

from collections.abc import Iterator
from pathlib import Path
from reprlib import repr as shortened

from tokenizers import normalizers

from .trusted import AGAIN, LARGEST_TEXT


NORMAL, UNKNOWN, USER_DEFINED, BYTE = 1, 2, 4, 6  # kinds of pieces of a SentencePiece model
LONGEST_PIECE = 128  # characters; SentencePiece's own default is 16


def read_sentencepiece(path: str) -> tuple[list[tuple[str, int]], bytes]:
    """
    Pieces with their kinds, and the table of the normalizer, of a SentencePiece model of type BPE.

    Raises:
        `ValueError`: a file that is cut, of another type, or whose pieces cannot be a vocabulary.
    """
    pieces, trainer, charsmap = [], {}, b""
    try:
        for number, value in _fields(_content(path)):
            if number == 1:
                piece = dict(_fields(value))
                pieces.append((piece[1].decode("utf-8"), piece.get(3, NORMAL)))
            elif number == 2:
                trainer = dict(_fields(value))
            elif number == 3:
                charsmap = dict(_fields(value)).get(2, b"")
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is cut off or not a SentencePiece model. Download it again.") from error
    if trainer.get(3) != 2 or any(kind == BYTE for _, kind in pieces):
        raise ValueError(f"{path} is not a SentencePiece model of type BPE without byte fallback, as GLM's is.")
    _check_pieces(path, pieces)
    try:
        if charsmap:
            normalizers.Precompiled(charsmap)
    except Exception as error:  # the Rust library has no narrower class
        raise ValueError(f"{path}: the table of its normalizer cannot be read ({error}). {AGAIN}") from error
    return pieces, charsmap


def _content(path: str) -> bytes:
    size = Path(path).stat().st_size
    if size > LARGEST_TEXT:
        raise ValueError(f"{path} has {size} bytes, and a vocabulary has at most {LARGEST_TEXT}. {AGAIN}")
    return Path(path).read_bytes()


def _check_pieces(path: str, pieces: list[tuple[str, int]]) -> None:
    places: dict[str, int] = {}
    for index, (piece, _) in enumerate(pieces):
        if not 0 < len(piece) <= LONGEST_PIECE:
            raise ValueError(
                f"{path}: piece {index} has {len(piece)} characters, and pieces have 1 to {LONGEST_PIECE}. {AGAIN}"
            )
        if piece in places:
            raise ValueError(
                f"{path}: pieces {places[piece]} and {index} are both {shortened(piece)}, and each piece has one id. {AGAIN}"
            )
        places[piece] = index
    if all(kind != UNKNOWN for _, kind in pieces):
        raise ValueError(f"{path} has no piece for unknown text, which every SentencePiece model has. {AGAIN}")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message: simple enough to do without the library."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while message[place] & 0x80:
            value |= (message[place] & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if shift > 63:
                raise IndexError(f"a number of more than 64 bits at byte {place}")
        place += 1
        return value | message[place - 1] << shift

    while place < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        if key & 7 not in (1, 2, 5):
            raise IndexError(f"field {key >> 3} is of the unknown kind {key & 7}")
        end = ({1: 8, 5: 4}.get(key & 7) or varint()) + place
        if end > len(message):
            raise IndexError(f"field {key >> 3} ends at {end} of {len(message)} bytes")
        yield key >> 3, message[place:end]
        place = end
