# SPDX-License-Identifier: Apache-2.0
"""The vocabularies of the released GLM checkpoints, read from the files that came with them: no tokenizer.json there."""

import re
from collections.abc import Mapping, Sequence

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordPiece
from transformers.utils import logging

from encoding_glm import byte_level
from tokenization_glm import EOP, NEW_TOKENS, SOP, TOKEN_NAMES

from .sentencepiece import NORMAL, UNKNOWN, USER_DEFINED, read_sentencepiece
from .words import check_added, read_ids, read_merges, read_words


logger = logging.get_logger(__name__)

# what the original adds behind a vocabulary that comes without added_tokens.json, in the order of the ids; None is a gap
PIECE_TOKENS = [SOP, EOP]
GPT2_TOKENS = [SOP, EOP, "[CLS]", "[MASK]", "[SEP]", "[UNK]", "[gMASK]", "[sMASK]"]
CHINESE_TOKENS = ["<|endoftext|>", "[SEP]", "[CLS]", "[MASK]", "[UNK]", None, SOP, EOP, "[sMASK]", "[gMASK]"]
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
        pieces, charsmap = read_sentencepiece(files["sentencepiece_file"])
        vocab = {piece: index for index, (piece, _) in enumerate(pieces)}
        check_added(added, vocab, len(vocab), files["sentencepiece_file"])
        backend = _sentencepiece(pieces, charsmap, _tokens_behind(len(pieces), added, CHINESE_TOKENS))
        unknown.remove("<unk>")  # the original reads it as plain text
    elif files["wordpiece_file"] is not None:
        vocab = read_words(files["wordpiece_file"])
        check_added(added, vocab, len(vocab), files["wordpiece_file"])
        backend = _wordpiece(
            vocab | _tokens_behind(len(vocab), added, PIECE_TOKENS), settings.get("do_lower_case", True)
        )
    elif files["vocab_file"] is not None and files["merges_file"] is not None:
        vocab = read_ids(files["vocab_file"])
        merges = read_merges(files["merges_file"], vocab)
        check_added(added, vocab, len(vocab), files["vocab_file"])
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
