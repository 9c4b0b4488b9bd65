# SPDX-License-Identifier: Apache-2.0
"""The vocabularies of the released GLM checkpoints, read from the files that came with them: no tokenizer.json there."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordPiece
from transformers.utils import logging

from encoding_glm import byte_level
from tokenization_glm import EOP, NEW_TOKENS, SOP, TOKEN_NAMES


logger = logging.get_logger(__name__)

# what the original adds behind a vocabulary that comes without added_tokens.json, in the order of the ids; None is a gap
PIECE_TOKENS = [SOP, EOP]
GPT2_TOKENS = [SOP, EOP, "[CLS]", "[MASK]", "[SEP]", "[UNK]", "[gMASK]", "[sMASK]"]
CHINESE_TOKENS = ["<|endoftext|>", "[SEP]", "[CLS]", "[MASK]", "[UNK]", None, SOP, EOP, "[sMASK]", "[gMASK]"]
NORMAL, UNKNOWN, USER_DEFINED, BYTE = 1, 2, 4, 6  # kinds of pieces of a SentencePiece model
# SentencePiece's nmt_nfkc keeps the wide tilde, and drops both control characters: one of them can stand for the tilde
WIDE_TILDE, STAND_IN, OTHER_CONTROL = "\uff5e", "\x01", "\x02"


def read_vocabulary(files: Mapping[str, str | None], added: dict[str, int], settings: dict) -> Tokenizer:
    """
    Backend of a vocabulary in its old files.

    Args:
        files (`Mapping[str, str | None]`): paths of `vocab_file` and `merges_file`, `wordpiece_file` or `sentencepiece_file`.
        added (`dict[str, int]`): ids of the tokens behind the vocabulary, from added_tokens.json; empty: those of the original.
        settings (`dict`): what tokenizer_config.json says; corrected in place.

    Returns:
        `tokenizers.Tokenizer`: the backend, ids as given.
    """
    for role in TOKEN_NAMES:
        if str(settings.get(role)) in added:
            settings[role] = str(settings[role])  # without the properties that added_tokens.json does not know
    unknown = ["[UNK]", "<unk>"]
    if files["sentencepiece_file"] is not None:
        pieces, charsmap = _read_sentencepiece(files["sentencepiece_file"])
        backend = _sentencepiece(pieces, charsmap, _tokens_behind(len(pieces), added, CHINESE_TOKENS))
        unknown.remove("<unk>")  # the original reads it as plain text
    elif files["wordpiece_file"] is not None:
        words = Path(files["wordpiece_file"]).read_text(encoding="utf-8").rstrip("\n").split("\n")
        vocab = {word: index for index, word in enumerate(words)}
        backend = _wordpiece(
            vocab | _tokens_behind(len(vocab), added, PIECE_TOKENS), settings.get("do_lower_case", True)
        )
    elif files["vocab_file"] is not None and files["merges_file"] is not None:
        vocab = json.loads(Path(files["vocab_file"]).read_text(encoding="utf-8"))
        lines = Path(files["merges_file"]).read_text(encoding="utf-8").split("\n")
        merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        is_roberta = "<s>" in vocab
        if is_roberta:  # it holds an <|endoftext|> too, which ends nothing
            settings.setdefault("eos_token", "</s>")
            settings.setdefault("pad_token", "</s>")
        _choose_roberta_mask(vocab, added, settings.pop("trained_mask", False))
        backend = byte_level(
            vocab | _tokens_behind(len(vocab), added, PIECE_TOKENS if is_roberta else GPT2_TOKENS), merges
        )
    else:
        raise ValueError(f"vocab.json and merges.txt belong together, found only one of them: {files}.")
    backend.add_special_tokens([token for token in unknown if backend.token_to_id(token) is not None])
    _correct_settings(settings, backend)
    return backend


def _correct_settings(settings: dict, backend: Tokenizer) -> None:
    """What an old tokenizer_config.json says wrong, or says again."""
    settings.pop("use_fast", None)
    if settings.get("unk_token") is not None and backend.token_to_id(str(settings["unk_token"])) is None:
        del settings["unk_token"]  # the Hub's GPT-2 and Chinese folders name an [UNK] that they do not hold
    if isinstance(settings.get("extra_special_tokens"), list):
        roles = {name for names in TOKEN_NAMES.values() for name in names}
        settings["extra_special_tokens"] = [one for one in settings["extra_special_tokens"] if str(one) not in roles]


def _choose_roberta_mask(vocab: dict[str, int], added: dict[str, int], trained_mask: bool) -> None:
    if "<mask>" not in vocab:
        return
    if trained_mask or not added:
        vocab["[MASK]"] = vocab.pop("<mask>")
        added.pop("[MASK]", None)
    elif "[MASK]" in added:
        logger.warning(
            f"This folder gives [MASK] the id {added['[MASK]']}, but the released RoBERTa weights were trained with "
            f"{vocab['<mask>']} (<mask>). Load it with trained_mask=True to use that id."
        )


def _tokens_behind(size: int, added: Mapping[str, int], default: Sequence[str | None]) -> dict[str, int]:
    """
    Ids of the tokens that stand behind a vocabulary of `size`. Gaps are filled: the Rust backend would close them and so
    shift all tokens behind. What fills them is known by its id only, as no text is ever made of it.
    """
    table = dict(added) or {token: size + place for place, token in enumerate(default) if token is not None}
    taken = set(table.values())
    return table | {f"<|unused_{index}|>": index for index in range(size, max(taken)) if index not in taken}


def _wordpiece(vocab, lowercase) -> Tokenizer:
    backend = Tokenizer(WordPiece(vocab, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=False)
    return backend


def _sentencepiece(pieces: list[tuple[str, int]], charsmap: bytes, behind: dict[str, int]) -> Tokenizer:
    """Merges follow from the pieces, whose order is their rank. Each stretch of text between special tokens begins with `▁`."""
    vocab = {piece: index for index, (piece, _) in enumerate(pieces)}
    merges = [
        (piece[:cut], piece[cut:])
        for piece, kind in pieces
        if kind == NORMAL
        for cut in range(1, len(piece))
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    unknown = next(piece for piece, kind in pieces if kind == UNKNOWN)
    backend = Tokenizer(BPE(vocab | behind, merges, unk_token=unknown, fuse_unk=True, ignore_merges=True))
    mapped = []
    if charsmap:
        # the table alone loses a mark behind a character that it maps; NFKC maps those first, all except the wide tilde
        tilde_aside = [
            normalizers.Replace(STAND_IN, OTHER_CONTROL),
            normalizers.Replace(WIDE_TILDE, STAND_IN),
            normalizers.NFKC(),
            normalizers.Replace(STAND_IN, WIDE_TILDE),
        ]
        mapped = [normalizers.NFC(), *tilde_aside, normalizers.Precompiled(charsmap)]
    spaces = [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    backend.normalizer = normalizers.Sequence([*mapped, *spaces])
    isolated = [pre_tokenizers.Split(piece, "isolated") for piece, kind in pieces if kind == USER_DEFINED]
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always"), *isolated])
    after = "|".join(re.escape(token) for token in behind if token in NEW_TOKENS)
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace(unknown, " ⁇ "),
            decoders.Fuse(),
            decoders.Replace(Regex(f"(?:^|(?<={after}))▁"), ""),
            decoders.Replace("▁", " "),
        ]
    )
    return backend


def _read_sentencepiece(path: str) -> tuple[list[tuple[str, int]], bytes]:
    """Pieces with their kinds, and the table of the normalizer, of a SentencePiece model of type BPE."""
    pieces, trainer, charsmap = [], {}, b""
    try:
        for number, value in _fields(Path(path).read_bytes()):
            if number == 1:
                piece = dict(_fields(value))
                pieces.append((piece[1].decode("utf-8"), piece.get(3, NORMAL)))
            elif number == 2:
                trainer = dict(_fields(value))
            elif number == 3:
                charsmap = dict(_fields(value)).get(2, b"")
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is cut off or not a SentencePiece model. Download it again.") from error
    if trainer.get(3) != 2 or any(kind == BYTE for _, kind in pieces):
        raise ValueError(f"{path} is not a SentencePiece model of type BPE without byte fallback, as GLM's is.")
    return pieces, charsmap


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message: simple enough to do without the library."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while message[place] & 0x80:
            value |= (message[place] & 0x7F) << shift
            place, shift = place + 1, shift + 7
        place += 1
        return value | message[place - 1] << shift

    while place < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        end = ({1: 8, 5: 4}.get(key & 7) or varint()) + place
        if end > len(message):
            raise IndexError(f"field {key >> 3} ends at {end} of {len(message)} bytes")
        yield key >> 3, message[place:end]
        place = end
