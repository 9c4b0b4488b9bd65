# SPDX-License-Identifier: Apache-2.0
"""Tokenizer of GLM: `[CLS] text <eos>` with blanks, on the Rust backend, for new and for the released vocabularies."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, chain

from tokenizers import AddedToken, Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER


try:
    from .blank_infilling_glm import IGNORE, Blank, lay_out, stack
    from .encoding_glm import BackendOfOneCall, byte_level, is_hidden, length_of_model, template_of
except ImportError:  # a bare checkout or an installed package: the modules stand at the top level
    from blank_infilling_glm import IGNORE, Blank, lay_out, stack
    from encoding_glm import BackendOfOneCall, byte_level, is_hidden, length_of_model, template_of


SOP, EOP = "<|startofpiece|>", "<|endofpiece|>"
# what the token of a role is called, best first; a name counts where the vocabulary holds it
TOKEN_NAMES = {
    "pad_token": ("[PAD]", "<|endoftext|>", "</s>"),
    "eos_token": ("<|endoftext|>", "</s>", "[SEP]"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "unk_token": ("[UNK]", "<unk>", "[UNUSED]"),
    "mask_token": ("[MASK]",),
    "smask_token": ("[sMASK]",),
    "gmask_token": ("[gMASK]",),
    "sop_token": (SOP,),
    "eop_token": (EOP,),
}
BLANK_ROLES = ("mask_token", "smask_token", "gmask_token")
NEW_TOKENS = [names[0] for names in TOKEN_NAMES.values()]


class GLMTokenizer(PreTrainedTokenizerFast):
    """
    Tokenizer of every GLM: for vocabularies of its own (`GLMTokenizer.train`) and for the four released ones.

        tokenizer("Ada [MASK] it.")        [CLS] Ada [MASK] it . <eos>
        tokenizer("Ada", "Bob")            [CLS] Ada [SEP] Bob <eos>      RoBERTa: <s> Ada </s> </s> Bob </s>
        tokenizer(text_target="wrote")     wrote <|endofpiece|>

    `[MASK]`, `[sMASK]` and `[gMASK]` take the white space to their left, as in the training of the released models;
    nothing else is stripped. The folder of an old checkpoint (vocab.json and merges.txt, vocab.txt, or cog-pretrain.model,
    with or without added_tokens.json) is read as it is, ids included, and saved as tokenizer.json.

    **Truncation never removes a blank.** Where it would cut off a mask token of a text, encoding raises a `ValueError`
    that names the text. `return_overflowing_tokens=True` loses nothing and targets have no blanks: no error there.

    Args:
        tokenizer_object (`tokenizers.Tokenizer`, *optional*): a backend of your own.
        tokenizer_file (`str`, *optional*): path of a tokenizer.json.
        append_mask (`str`, *optional*):
            Mask token put at the end of each text that has none, before `<eos>`, and kept by truncation: the setting for
            the sources of sequence-to-sequence tasks. It is saved with the tokenizer.
        trained_mask (`bool`, *optional*, defaults to `False`):
            Only for reading an old RoBERTa folder: `[MASK]` gets the id of `<mask>` (50264), with which the released
            weights were trained, in place of the untrained one (50267) that the folder gives it.
        kwargs:
            `mask_token`, `smask_token`, `gmask_token`, `sop_token`, `eop_token`, `cls_token`, `eos_token`, `pad_token`,
            `sep_token`, `unk_token`: by default the usual names that the vocabulary holds. Each has its id, as
            `sop_token_id`; a role without a token is `None`. Further arguments are those of `PreTrainedTokenizerFast`.
    """

    # backend of old vocabulary files; transformers_glm sets it when it is imported, a Hub repository has none
    read_old_vocabulary: Callable[[Mapping, dict, dict], Tokenizer] | None = None

    vocab_files_names = {
        "tokenizer_file": "tokenizer.json",
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
        "wordpiece_file": "vocab.txt",
        "sentencepiece_file": "cog-pretrain.model",
    }
    model_input_names = ["input_ids", "attention_mask"]
    padding_side = "right"
    truncation_side = "left"
    SPECIAL_TOKENS_ATTRIBUTES = list(dict.fromkeys([*PreTrainedTokenizerFast.SPECIAL_TOKENS_ATTRIBUTES, *TOKEN_NAMES]))
    append_mask: str | None = None
    _encodes_targets = _encodes_chat = False  # True of the copies for one call that do

    @classmethod
    def convert_to_native_format(cls, **kwargs) -> dict:
        """Convert nothing here: `__init__` reads the files."""
        return kwargs

    def __init__(self, *, append_mask: str | None = None, **kwargs):
        files = {name: kwargs.pop(name, None) for name in GLMTokenizer.vocab_files_names}
        added = {str(token): index for index, token in kwargs.pop("added_tokens_decoder", {}).items()}
        kwargs.pop("auto_map", None)  # names the code beside an old checkpoint, which is not saved with ours
        backend = copy.deepcopy(kwargs.pop("tokenizer_object", None))
        if backend is None and files["tokenizer_file"] is not None:
            backend = Tokenizer.from_file(files["tokenizer_file"])
        elif backend is None:
            backend = self._read_old_vocabulary(files, added, kwargs)
        kwargs.pop("trained_mask", None)
        if kwargs.get("model_max_length", VERY_LARGE_INTEGER) >= VERY_LARGE_INTEGER:
            kwargs |= length_of_model(kwargs.get("name_or_path"))
        for role, names in TOKEN_NAMES.items():
            kwargs.setdefault(role, next((name for name in names if backend.token_to_id(name) is not None), None))
        unk_token = kwargs["unk_token"]
        if unk_token is not None and is_hidden(str(unk_token), backend):
            del kwargs["unk_token"]  # otherwise it would become a token that is looked for in texts
        backend.add_special_tokens(
            [
                AddedToken(token, lstrip=role in BLANK_ROLES, normalized=False, special=True)
                for role, token in kwargs.items()
                if role in TOKEN_NAMES and isinstance(token, str)
            ]
        )
        if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel) and "add_prefix_space" in kwargs:
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kwargs["add_prefix_space"])
        self._tokenizer = backend
        super().__init__(append_mask=append_mask, **kwargs)
        self.unk_token = unk_token
        if append_mask is not None and append_mask not in self._blank_tokens():
            raise ValueError(
                f"append_mask={append_mask!r} is not a mask token here. Choose one of {self._blank_tokens()} or None."
            )
        self.append_mask = append_mask
        self.cache = {}  # `datasets` leaves an attribute of this name out of its fingerprints
        self.update_post_processor()

    def _read_old_vocabulary(self, files, added, settings) -> Tokenizer:
        if not any(files.values()):
            wanted = " or ".join(self.vocab_files_names.values())
            raise ValueError(
                f"No vocabulary for {type(self).__name__} in {settings.get('name_or_path')!r}: it has none of {wanted}. "
                "Give a folder that holds one, or train a vocabulary with GLMTokenizer.train(texts)."
            )
        if self.read_old_vocabulary is None:
            raise ImportError(
                "Only the package transformers-glm reads the vocabulary files of old checkpoints. Install it and import "
                "transformers_glm, or load the checkpoint where it is installed and save it: tokenizer.json is read everywhere."
            )
        return self.read_old_vocabulary(files, added, settings)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 8192, min_frequency: int = 2, **kwargs) -> "GLMTokenizer":
        """
        Train a tokenizer from nothing: byte-level BPE, which can spell any text, with all the tokens of GLM in front.

        Args:
            texts (`Iterable[str]`): the texts to learn from.
            vocab_size (`int`, *optional*, defaults to 8192): number of ids, special tokens included; at least 266.
            min_frequency (`int`, *optional*, defaults to 2): how often a pair has to occur to become a token.
            kwargs: arguments of the tokenizer, such as `model_max_length`.
        """
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        least = len(alphabet) + len(NEW_TOKENS)
        if vocab_size < least:
            raise ValueError(
                f"vocab_size={vocab_size} has no room for {len(alphabet)} bytes and {len(NEW_TOKENS)} special tokens. "
                f"Choose {least} or more."
            )
        texts = iter(texts)
        first = next(texts, None)
        if first is None:
            raise ValueError("There is no text to train a tokenizer on. Check what the texts are read from.")
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=NEW_TOKENS,
            initial_alphabet=alphabet,
            show_progress=False,
        )
        backend = byte_level({}, [])
        backend.train_from_iterator(chain([first], texts), trainer)
        return cls(tokenizer_object=backend, **kwargs)

    def train_new_from_iterator(
        self, text_iterator, vocab_size, length=None, new_special_tokens=None, special_tokens_map=None, **kwargs
    ) -> "GLMTokenizer":
        """Train a tokenizer of the same kind on other texts; see `PreTrainedTokenizerFast.train_new_from_iterator`."""
        names = special_tokens_map or {}
        model = self._tokenizer.model
        unknown = model.unk_token if isinstance(model, BPE) else None
        # of the old pieces the trainer keeps special tokens only
        kept = [names.get(unknown, unknown)] if unknown is not None and is_hidden(unknown, self._tokenizer) else []
        settings = self.init_kwargs
        # the base class renames the roles that it knows, this renames all
        self.init_kwargs = {
            key: names.get(str(value), value) if key in TOKEN_NAMES else value for key, value in settings.items()
        }
        try:
            tokenizer = super().train_new_from_iterator(
                text_iterator, vocab_size, length, [*(new_special_tokens or []), *kept], special_tokens_map, **kwargs
            )
        finally:
            self.init_kwargs = settings
        tokenizer.extra_special_tokens = [token for token in tokenizer.extra_special_tokens if token not in kept]
        return tokenizer

    @property
    def mask_token_ids(self) -> list[int]:
        """Ids of the mask tokens this vocabulary has, in the order `[MASK]`, `[sMASK]`, `[gMASK]`."""
        return self.convert_tokens_to_ids(self._blank_tokens())

    def _blank_tokens(self) -> list[str]:
        return [token for token in (self.mask_token, self.smask_token, self.gmask_token) if token is not None]

    def update_post_processor(self) -> None:
        """Set the template of sources, `[CLS] text <eos>`. Other beginnings and ends cannot be switched on."""
        self._add_bos_token = self._add_eos_token = False
        self._tokenizer.post_processor = self._source_template(
            *([] if self.append_mask is None else [self.append_mask])
        )

    def __setattr__(self, name, value):
        """A role takes effect at once, and so does `append_mask`."""
        super().__setattr__(name, value)
        if name == "deprecation_warnings":  # what has been warned of, which a call keeps in the cache
            vars(self).get("cache", {}).pop("warned", None)
        if name.removesuffix("_id") in (*TOKEN_NAMES, "append_mask") and "cache" in vars(self):
            self.update_post_processor()

    def add_special_tokens(self, special_tokens_dict, *args, **kwargs) -> int:
        """Give roles to tokens, new ones if need be; see `PreTrainedTokenizerFast.add_special_tokens`."""
        roles = {role: token for role, token in special_tokens_dict.items() if role in TOKEN_NAMES}
        for role, token in roles.items():
            if isinstance(token, str):
                roles[role] = AddedToken(token, lstrip=role in BLANK_ROLES, normalized=False, special=True)
        added = self.add_tokens([*roles.values()], special_tokens=True)  # first, so that the templates know its id
        return added + super().add_special_tokens({**special_tokens_dict, **roles}, *args, **kwargs)

    def _add_tokens(self, new_tokens, special_tokens=False) -> int:
        vars(self).get("cache", {}).clear()
        return super()._add_tokens(new_tokens, special_tokens)

    def __getstate__(self) -> dict:
        """Without what calls leave behind: `datasets` finds its cache by the pickled tokenizer."""
        return {**vars(self), "cache": {}}

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Number of tokens that encoding adds to a text or a pair without a blank, the appended mask token included."""
        if self._encodes_targets:
            return 1
        return super().num_special_tokens_to_add(pair)

    def _source_template(self, *blank: str):
        cls, eos = self.cls_token, self.eos_token
        between = [eos, eos] if cls == "<s>" else [self.sep_token or eos]  # RoBERTa's pairs have two
        return template_of(self._tokenizer, [cls, "$A", *blank, eos], [cls, "$A", *between, "$B", *blank, eos])

    def _piece_tokens(self) -> tuple[str, str]:
        if self.sop_token is None or self.eop_token is None:
            raise ValueError(
                f"This vocabulary has sop_token={self.sop_token!r} and eop_token={self.eop_token!r}; the pieces of Part B "
                f"need both. Load the tokenizer with sop_token={SOP!r}, eop_token={EOP!r} and resize the model's embeddings."
            )
        return self.sop_token, self.eop_token

    def __call__(
        self,
        text=None,
        text_pair=None,
        text_target=None,
        text_pair_target=None,
        *args,
        max_target_length=None,
        **kwargs,
    ) -> BatchEncoding:
        """Encode texts, and targets without [CLS] and eos but with eop; see `PreTrainedTokenizerFast.__call__`."""
        if text_target is None:
            return super().__call__(text, text_pair, None, None, *args, **kwargs)
        settings = kwargs if max_target_length is None else {**kwargs, "max_length": max_target_length}
        targets = self._view(_encodes_targets=True)(text_target, text_pair_target, None, None, *args, **settings)
        if text is None:
            return targets
        encoded = super().__call__(text, text_pair, None, None, *args, **kwargs)
        encoded["labels"] = targets["input_ids"]
        return encoded

    def apply_chat_template(self, *args, **kwargs) -> str | list | BatchEncoding:
        """Write a chat as its template says; `append_mask` puts a blank at its end. See `PreTrainedTokenizerFast`."""
        return super(GLMTokenizer, self._view(_encodes_chat=True)).apply_chat_template(*args, **kwargs)

    def _encode_plus(self, text, text_pair=None, **kwargs):
        template = with_blank = None
        if self._encodes_targets:
            eop = self._piece_tokens()[1]
            template = template_of(self._tokenizer, ["$A", eop], ["$A", "$B", eop])
        elif self.append_mask is not None and self._encodes_chat:
            kwargs["add_special_tokens"] = True
            template = template_of(self._tokenizer, ["$A", self.append_mask], ["$A", "$B", self.append_mask])
            with_blank = template_of(self._tokenizer, ["$A"], ["$A", "$B"])
        elif self.append_mask is not None:
            with_blank = self._source_template()
        backend = BackendOfOneCall(
            self._tokenizer, self._without_template, template, with_blank, self.mask_token_ids if with_blank else ()
        )
        view = self._view(_tokenizer=backend, deprecation_warnings=self.cache.setdefault("warned", {}))
        is_empty = isinstance(text, (list, tuple)) and not (text or text_pair)
        try:
            encoded = super(GLMTokenizer, view)._encode_plus(
                [""] if is_empty else text, None if is_empty else text_pair, **kwargs
            )
        except (TypeError, UnicodeEncodeError):
            backend.explain_unreadable([text, text_pair or []])
            raise
        if is_empty:
            return BatchEncoding({name: values[:0] for name, values in encoded.items()})
        if backend.truncation and not self._encodes_targets and not kwargs.get("return_overflowing_tokens"):
            ids = dict(zip(self._blank_tokens(), self.mask_token_ids, strict=True))
            backend.refuse_lost_blanks(encoded.encodings or [], ids, kwargs.get("max_length"))
        return encoded

    def _view(self, **attributes) -> "GLMTokenizer":
        """The tokenizer for one call, with other attributes; all else is shared, and nothing is set on it."""
        view = object.__new__(type(self))
        vars(view).update(vars(self), **attributes)
        return view

    def _without_template(self, split_special_tokens: bool) -> Tokenizer:
        """The backend without special tokens; one that reads those in texts as text or not."""
        if split_special_tokens not in self.cache:
            backend = copy.deepcopy(self._tokenizer)
            backend.post_processor, backend.encode_special_tokens = None, split_special_tokens
            self.cache[split_special_tokens] = backend
        return self.cache[split_special_tokens]

    def _decode(self, token_ids, skip_special_tokens=False, **kwargs):
        if skip_special_tokens and isinstance(token_ids, list):  # the backend skips only what it looks for in texts
            unknown = self.unk_token_id
            token_ids = [index for index in token_ids if index != unknown]
        return super()._decode(token_ids, skip_special_tokens=skip_special_tokens, **kwargs)

    def build_inputs_for_generation(
        self,
        inputs: Mapping,
        targets: str | Sequence[str | Sequence[str]] | None = None,
        max_gen_length: int = 512,
        padding: bool = False,
    ) -> BatchEncoding:
        """
        Lay Part B out behind encoded texts, for `generate` (no targets) or for training.

            input_ids            x1   x2   [M]  x4   [M]  S    x5   x6   S    x3        targets ["x5 x6", "x3"], or none:
            labels               -    -    -    -    -    x5   x6   E    x3   E         x1 x2 [M] x4 [M] S
            position_ids         0    1    2    3    4    2    2    2    4    4
            block_position_ids   0    0    0    0    0    1    2    3    1    2

        Args:
            inputs (`Mapping`): what the tokenizer returned for a batch: `input_ids`, `attention_mask`, both (B, T).
            targets (`str` or `Sequence`, *optional*):
                For each text what belongs into its first blank, or a list with one target for each of its first blanks;
                encoded as given, no space is put before it.
            max_gen_length (`int`, *optional*, defaults to 512): a piece is cut to this many labels, `eop` included.
            padding (`bool`, *optional*, defaults to `False`): pad Part B to `max_gen_length` rather than to the longest.

        Returns:
            `BatchEncoding`: tensors `input_ids`, `attention_mask` (1 token, 0 padding), `position_ids`,
            `block_position_ids` and, with targets, `labels` (aligned, -100 ignored), each (B, T + length of Part B).
            Without targets Part B is the lone `sop` of the first blank.
        """
        if max_gen_length < 1:
            raise ValueError(f"max_gen_length={max_gen_length} leaves no token to generate. Give 1 or more.")
        rows = self._rows(inputs, self._blank_tokens())
        if targets is None:
            return self._collate(rows, [[Blank(places[0], [], [IGNORE])] for _, _, places in rows], without="labels")
        blanks = self._answered(targets, rows, max_gen_length)
        return self._collate(rows, blanks, least=len(rows[0][1]) + max_gen_length if padding else 0)

    def build_inputs_for_multiple_choice(
        self, inputs: Mapping, choices: Sequence[Sequence[str]], max_length: int | None = None
    ) -> BatchEncoding:
        """
        Lay out all choices of each text as pieces on its first `[MASK]`, for `GLMForMultipleChoice`.

            input_ids            x1   [M]  x3   S    a    b    S    c         choices ["a b c'", "c d'"]: the last token of a
            position_ids         0    1    2    1    1    1    1    1         choice is predicted, not read; no eop
            block_position_ids   0    0    0    1    2    3    1    2
            choice_ids           a b c' | c d' -100       choice_indices   3 4 5 | 6 7 -100

        The context stands there once. A piece begins where `block_position_ids` is 1, and the model hides the pieces from
        one another.

        Args:
            inputs (`Mapping`): what the tokenizer returned for a batch: `input_ids`, `attention_mask`, both (B, T).
            choices (`Sequence[Sequence[str]]`): the choices of each text, encoded as given. Texts may differ in number.
            max_length (`int`, *optional*): error where a row with its choices is longer.

        Returns:
            `BatchEncoding`: tensors `input_ids`, `attention_mask`, `position_ids`, `block_position_ids`, each (B, T + length
            of Part B), `choice_ids` (B, C, L), the tokens of the choices, and `choice_indices` (B, C, L), the column whose
            logits predict each; both are filled up with -100.
        """
        rows = self._rows(inputs, [self.mask_token])
        if isinstance(choices, str) or len(choices) != len(rows) or any(isinstance(row, str) for row in choices):
            raise ValueError(f"choices must be a list of texts for each of the {len(rows)} rows, got {choices!r}.")
        ids, blanks, columns = [[self._text_ids(text) for text in texts] for texts in choices], [], []
        for number, ((_, mask, places), options) in enumerate(zip(rows, ids, strict=True)):
            # an empty choice is a lone sop that predicts nothing
            blanks.append([Blank(places[0], option, option or [IGNORE]) for option in options])
            starts = list(accumulate((len(blank.labels) for blank in blanks[-1]), initial=len(mask)))
            if max_length is not None and starts[-1] > max_length:
                raise ValueError(
                    f"Text {number} has {starts[-1]} tokens with its choices, more than max_length={max_length}. "
                    "Encode the texts with truncation=True and a smaller max_length."
                )
            columns.append([[*range(start, start + len(ids))] for start, ids in zip(starts, options, strict=False)])
        return self._collate(rows, blanks, without="labels", choice_ids=stack(ids), choice_indices=stack(columns))

    def _rows(self, inputs, blank_tokens):
        """Each row's text without padding, its mask, and where in the text its blanks are."""
        self._piece_tokens()
        blank_ids = self.convert_tokens_to_ids(blank_tokens)
        ids = _to_rows(inputs["input_ids"])
        mask = _to_rows(inputs["attention_mask"]) if "attention_mask" in inputs else [[1] * len(row) for row in ids]
        if len({len(row) for row in [*ids, *mask]}) > 1:
            raise ValueError(
                f"The rows have {[len(row) for row in ids]} tokens. Call the tokenizer with padding=True."
            )
        rows = []
        for number, (row, on) in enumerate(zip(ids, mask, strict=True)):
            text = [token for token, kept in zip(row, on, strict=True) if kept]
            places = [place for place, token in enumerate(text) if token in blank_ids]
            if not places:
                raise ValueError(
                    f"Text {number} has no blank to fill. Put {' or '.join(blank_tokens)} where it should be."
                )
            rows.append((text, on, places))
        return rows

    def _text_ids(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise ValueError(f"Expected a text, got {text!r}.")
        return self(text, add_special_tokens=False)["input_ids"]

    def _answered(self, targets, rows, max_gen_length) -> list[list[Blank]]:
        """The first blanks of each row, each with its target."""
        targets = [targets] if isinstance(targets, str) else targets
        if not isinstance(targets, (list, tuple)) or len(targets) != len(rows):
            raise ValueError(
                f"targets must hold one text, or one list of texts, for each of the {len(rows)} rows, got {targets!r}."
            )
        blanks = []
        for number, (texts, (_, _, places)) in enumerate(zip(targets, rows, strict=True)):
            texts = [texts] if isinstance(texts, str) else texts
            if len(texts) > len(places):
                raise ValueError(
                    f"Text {number} has {len(places)} blanks but {len(texts)} targets. Give one for each blank, in reading order."
                )
            answers = zip(places, map(self._text_ids, texts), strict=False)
            blanks.append([Blank(place, ids, [*ids, self.eop_token_id][:max_gen_length]) for place, ids in answers])
        return blanks

    def _collate(self, rows, blanks, least=0, without=None, **extra) -> BatchEncoding:
        """Each text with its padding where it was, then its Part B; all rows filled up to the same length."""
        fill = {"input_ids": self.pad_token_id, "labels": IGNORE}
        laid_out = []
        for (text, mask, _), of_row in zip(rows, blanks, strict=True):
            row = lay_out(text, of_row, sop=self.sop_token_id, eop=self.eop_token_id)
            mask = [*mask, *[1] * (len(row["input_ids"]) - len(text))]
            for name, values in row.items():
                values = iter(values)
                row[name] = [next(values) if kept else fill.get(name, 0) for kept in mask]
            laid_out.append({**row, "attention_mask": mask})
        length = max(least, *(len(row["input_ids"]) for row in laid_out))
        batch = {
            name: [row[name] + [fill.get(name, 0)] * (length - len(row[name])) for row in laid_out]
            for name in laid_out[0]
            if name != without
        }
        return BatchEncoding({**batch, **extra}, tensor_type="pt")


class GLMGPT2Tokenizer(GLMTokenizer):
    """The vocabulary of GPT-2 (glm-2b, glm-10b): vocab.json, merges.txt; `[CLS] text <|endoftext|>`."""

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "vocab_file": "vocab.json", "merges_file": "merges.txt"}


class GLMRobertaTokenizer(GLMTokenizer):
    """The vocabulary of RoBERTa (glm-roberta-large): vocab.json, merges.txt; `<s> text </s>`."""

    vocab_files_names = GLMGPT2Tokenizer.vocab_files_names


class GLMBertTokenizer(GLMTokenizer):
    """The uncased vocabulary of BERT (glm-large, glm-515m): vocab.txt; `[CLS] text [SEP]`."""

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "wordpiece_file": "vocab.txt"}


class GLMChineseTokenizer(GLMTokenizer):
    """The Chinese vocabulary (glm-large-chinese, glm-10b-chinese): cog-pretrain.model; `[CLS] text <|endoftext|>`."""

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "sentencepiece_file": "cog-pretrain.model"}


def _to_rows(values) -> list[list[int]]:
    rows = values if isinstance(values, list) else values.tolist()
    return rows if rows and isinstance(rows[0], list) else [rows]
