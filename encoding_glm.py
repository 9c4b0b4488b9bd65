# SPDX-License-Identifier: Apache-2.0
"""Encoding that leaves no trace: templates, truncation and padding of a call are applied to what the Rust backend returns."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Encoding, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing


def template_of(backend: Tokenizer, single: Sequence[str | None], pair: Sequence[str | None]) -> TemplateProcessing:
    """
    A template, built once.

    Args:
        backend (`Tokenizer`): knows the ids.
        single, pair (`Sequence[str]`): special tokens round one text, `$A`, and round two, `$A` and `$B`; None is left out.

    Raises:
        `ValueError`: the vocabulary does not hold a token; names it.
    """
    single, pair = (tuple(part for part in template if part is not None) for template in (single, pair))
    ids = [(part, backend.token_to_id(part)) for part in dict.fromkeys((*single, *pair)) if part not in ("$A", "$B")]
    if unknown := [token for token, index in ids if index is None]:
        raise ValueError(
            f"The vocabulary does not hold {', '.join(unknown)}. Add it with add_special_tokens and resize the model's embeddings, "
            "or give the role to a token that is there."
        )
    return _built(single, pair, tuple(ids))


@lru_cache(maxsize=128)
def _built(single: tuple[str, ...], pair: tuple[str, ...], ids: tuple[tuple[str, int], ...]) -> TemplateProcessing:
    """What stands before `$B` is of type 0, the rest of type 1."""
    second = pair.index("$B")
    return TemplateProcessing(
        single=list(single), pair=[*pair[:second], *(f"{part}:1" for part in pair[second:])], special_tokens=list(ids)
    )


class BackendOfOneCall:
    """
    The Rust backend as one call of the tokenizer sees it.

    The base class sets truncation, padding and whether special tokens in texts are split on its backend before it encodes. Here
    these stay with the call, so that threads share one backend which nobody changes.

    Args:
        backend (`Tokenizer`): the backend, whose own template is that of a source.
        without_template (`Callable[[bool], Tokenizer]`):
            Gives the backend that adds no special tokens; with `True` one that reads special tokens in texts as text.
        template (`TemplateProcessing`, *optional*): another template, of all texts.
        with_blank (`TemplateProcessing`, *optional*): the template of texts that hold one of `blanks`, where the backend appends one.
        blanks (`Sequence[int]`, *optional*): ids of the mask tokens.
    """

    truncation = padding = None
    encode_special_tokens = False

    def __init__(
        self,
        backend: Tokenizer,
        without_template: Callable[[bool], Tokenizer],
        template: TemplateProcessing | None = None,
        with_blank: TemplateProcessing | None = None,
        blanks: Sequence[int] = (),
    ):
        self._backend, self._without_template = backend, without_template
        self._template, self._with_blank, self._blanks = template, with_blank, frozenset(blanks)

    def __getattr__(self, name: str):
        """All that does not depend on the call is the backend's."""
        return getattr(self._backend, name)

    def no_truncation(self) -> None:
        """Keep all tokens."""
        self.truncation = None

    def enable_truncation(self, **settings) -> None:
        """Cut texts to `max_length`, special tokens included."""
        self.truncation = settings

    def no_padding(self) -> None:
        """Leave rows as long as they are."""
        self.padding = None

    def enable_padding(self, **settings) -> None:
        """Fill rows up to the length that the settings say."""
        self.padding = settings

    def encode_batch(
        self, texts: Sequence, add_special_tokens: bool = True, is_pretokenized: bool = False
    ) -> list[Encoding]:
        """Encode texts or pairs of texts."""
        settings = {"add_special_tokens": add_special_tokens, "is_pretokenized": is_pretokenized}
        if self._template is None and not self.encode_special_tokens and self.truncation is None:
            encodings = self._backend.encode_batch(texts, **settings)
            appended = self._with_blank is not None and add_special_tokens
            again = [row for row, encoding in enumerate(encodings) if appended and self._count_blanks(encoding) > 1]
        else:
            encodings, again = [None] * len(texts), range(len(texts))
        for row, encoding in zip(again, self._encode([texts[row] for row in again], **settings), strict=True):
            encodings[row] = encoding
        return self._padded(encodings)

    def _encode(self, texts: Sequence, add_special_tokens: bool, is_pretokenized: bool) -> list[Encoding]:
        if not texts:
            return []
        backend, pairs = (
            self._without_template(self.encode_special_tokens),
            [_as_pair(text, is_pretokenized) for text in texts],
        )
        firsts = backend.encode_batch([first for first, _ in pairs], is_pretokenized=is_pretokenized)
        seconds = [second for _, second in pairs if second is not None]
        seconds = iter(backend.encode_batch(seconds, is_pretokenized=is_pretokenized))
        return [
            self._finished(first, None if second is None else next(seconds), add_special_tokens)
            for first, (_, second) in zip(firsts, pairs, strict=True)
        ]

    def _finished(self, first: Encoding, second: Encoding | None, add_special_tokens: bool) -> Encoding:
        """Truncated, with the special tokens of the template."""
        template = self._template or self._backend.post_processor
        if self._with_blank is not None and any(
            map(self._count_blanks, (part for part in (first, second) if part is not None))
        ):
            template = self._with_blank
        if self.truncation is not None:
            added = template.num_special_tokens_to_add(second is not None) if add_special_tokens else 0
            _truncate(first, second, self.truncation["max_length"] - added, self.truncation)
        return template.process(first, second, add_special_tokens)

    def _count_blanks(self, encoding: Encoding) -> int:
        return sum(index in self._blanks for index in encoding.ids)

    def _padded(self, encodings: list[Encoding]) -> list[Encoding]:
        if self.padding is None:
            return encodings
        settings = dict(self.padding)
        length, multiple = settings.pop("length"), settings.pop("pad_to_multiple_of")
        length = max(map(len, encodings), default=0) if length is None else length
        length = -(-length // multiple) * multiple if multiple else length
        for encoding in encodings:
            encoding.pad(length, **settings)
        return encodings

    @staticmethod
    def explain_unreadable(texts) -> None:
        """
        Say which of the texts the backend cannot read.

        Raises:
            `ValueError`: names the first that is not text, or has half of a surrogate pair in it.
        """
        if isinstance(texts, (list, tuple)):
            for text in texts:
                BackendOfOneCall.explain_unreadable(text)
        elif not isinstance(texts, str):
            raise ValueError(f"{texts!r:.80} is {type(texts).__name__}, not a text. Give texts, or lists of them.")
        elif (half := re.search(r"[\ud800-\udfff]", texts)) is not None:
            raise ValueError(
                f"The text {texts[:40]!r} has half of a surrogate pair at {half.start()}, which is not a character. Read the text again with "
                'its encoding, or drop it: text.encode("utf-8", "ignore").decode().'
            )

    @staticmethod
    def refuse_lost_blanks(encodings: Sequence[Encoding], ids: Mapping[str, int], max_length: int | None) -> None:
        """
        Refuse encodings whose truncation has cut off a mask token of the text.

        Args:
            encodings (`Sequence[Encoding]`): what was encoded, with what overflowed.
            ids (`Mapping[str, int]`): the mask tokens.
            max_length (`int`, *optional*): what was cut to, for the error.

        Raises:
            `ValueError`: names the row and the ways out.
        """
        blanks = set(ids.values())
        for row, encoding in enumerate(encodings):
            parts = encoding.overflowing
            if not parts:
                continue
            lost = set().union(*(_places(part, blanks) for part in parts)) - _places(encoding, blanks)
            if lost:
                raise ValueError(
                    f"Truncation to max_length={max_length} would cut off {len(lost)} of the mask tokens "
                    f"({', '.join(ids)}) of text {row}, and GLM cannot fill a blank it does not see. "
                    "Shorten the text around its blanks, raise max_length, change truncation_side, or pass "
                    "return_overflowing_tokens=True to get all parts."
                )


def _as_pair(text, is_pretokenized: bool) -> tuple:
    is_single = isinstance(text, str) or is_pretokenized and (not text or isinstance(text[0], str))
    return (text, None) if is_single else tuple(text)


def _truncate(first: Encoding, second: Encoding | None, room: int, settings: Mapping) -> None:
    """Cut a text, or a pair by its strategy, as the backend does."""
    strategy, lengths = settings["strategy"], [len(first), 0 if second is None else len(second)]
    excess = sum(lengths) - room
    if excess <= 0:
        return
    if strategy == "longest_first" and second is not None:
        shorter = min(lengths)
        longer = shorter if shorter > room else max(shorter, room - shorter)
        if shorter + longer > room:
            shorter, longer = room // 2, room // 2 + room % 2
        left = [longer, shorter] if lengths[0] > lengths[1] else [shorter, longer]
    else:
        cut = int(strategy == "only_second")
        left = [length - excess * (cut == number) for number, length in enumerate(lengths)]
        if room >= 0 and (left[cut] < 0 or second is not None and left[cut] == 0):
            raise ValueError(
                f"{excess} tokens are too many for max_length={settings['max_length']}, and truncation={strategy!r} may cut "
                f"{lengths[cut]}. Raise max_length, or take another strategy."
            )
    for encoding, length, number in zip((first, second), lengths, left, strict=True):
        if number < length:
            if room < 0 or settings["stride"] >= max(number, 1):
                raise ValueError(
                    f"max_length={settings['max_length']} has room for {max(room, 0)} tokens beside the special ones, "
                    f"{max(number, 0)} of this text, and stride={settings['stride']} of them would be repeated. Raise max_length, "
                    "or lower stride."
                )
            encoding.truncate(number, settings["stride"], settings["direction"])


def _places(encoding: Encoding, blanks: set[int]) -> set[tuple]:
    """Where in the text the mask tokens of an encoding stand."""
    if blanks.isdisjoint(encoding.ids):
        return set()
    spots = zip(encoding.ids, encoding.sequence_ids, encoding.offsets, strict=True)
    return {(sequence, offsets) for index, sequence, offsets in spots if index in blanks and sequence is not None}


def length_of_model(folder: str | None) -> dict[str, int]:
    """
    What `truncation=True` cuts to: the length of the model in the same folder, if there is one.

    Raises:
        `ValueError`: the folder's config.json is not a JSON object.
    """
    config = Path(folder or "", "config.json")
    if not folder or not config.is_file():
        return {}
    try:
        length = json.loads(config.read_text(encoding="utf-8")).get("max_sequence_length")
    except (ValueError, RecursionError, AttributeError) as error:
        raise ValueError(
            f"{config} is not a JSON object ({error}). Copy the folder again, or remove the file."
        ) from error
    return {"model_max_length": length} if isinstance(length, int) and length > 0 else {}


def is_hidden(token: str, backend: Tokenizer) -> bool:
    """Whether a token is known by its id only and never looked for in texts."""
    known = backend.token_to_id(token)
    return known is not None and known not in backend.get_added_tokens_decoder()


def byte_level(vocab, merges) -> Tokenizer:
    """Backend of a byte-level BPE vocabulary, without its special tokens."""
    backend = Tokenizer(BPE(vocab, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend
