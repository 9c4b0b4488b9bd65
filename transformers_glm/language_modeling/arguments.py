# SPDX-License-Identifier: Apache-2.0
"""What can be set when a model is evaluated as a language model."""

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from ..files import refuse_missing
from ..runs.arguments import json_object
from ..runs.data_arguments import KNOWN_SPLIT, DataArguments


Context = Literal["bidirectional", "unidirectional"]
GENERATION = {"do_sample": True, "temperature": 0.9, "top_k": 40, "max_new_tokens": 128}


@dataclass
class Scoring:
    """
    How texts are read when they are scored: `--scoring`.

    Args:
        context (`list[str]`, *optional*):
            `"bidirectional"` (Part A holds the context), `"unidirectional"` (its first token), or both, which is the default.
        width (`int`, *optional*): tokens of a window. Defaults to the model's `max_sequence_length - 1`.
        stride (`int`, *optional*): tokens that each window scores: 256, or half the window where that is less.
        mask (`str`, *optional*): the mask token. Defaults to `[gMASK]` where there is one.
        detokenize (`bool`, *optional*, defaults to `False`): join WikiText's tokens; words are counted before.

    Raises:
        `ValueError`: a context is unknown.
    """

    context: list[str] = field(default_factory=lambda: list(get_args(Context)))
    width: int | None = None
    stride: int | None = None
    mask: str | None = None
    detokenize: bool = False

    def __post_init__(self):
        self.context = [self.context] if isinstance(self.context, str) else self.context
        unknown = sorted(set(self.context) - set(get_args(Context)))
        if unknown or not self.context:
            raise ValueError(f"--scoring: context {' '.join(unknown)}: there are {' and '.join(get_args(Context))}.")


@dataclass(kw_only=True)
class LanguageModelingArguments(DataArguments):
    """What is evaluated, and how."""

    _argument_group_name = "evaluation"

    model: str = field(metadata={"help": "Folder or Hub name of the model."})
    output_dir: str = field(metadata={"help": "Folder of metrics.json and predictions.jsonl."})
    train_data: list[str] = field(
        default_factory=list,
        metadata={"help": "Text to fit an interpolated trigram on, a baseline of the perplexity and the last words."},
    )
    evaluation_data: list[str] = field(
        default_factory=list,
        metadata={"help": "Text whose perplexity is measured: files, folders or datasets of the Hub."},
    )
    evaluation_split: str = field(default="test", metadata={"help": KNOWN_SPLIT})
    lambada_data: list[str] = field(
        default_factory=list, metadata={"help": "As --evaluation_data: texts whose last word is to be guessed."}
    )
    columns: dict | str | None = field(
        default=None,
        metadata={"help": 'Column that holds the text where it is not "text", as JSON: \'{"text": "body"}\'.'},
    )
    document: Literal["file", "line", "paragraph"] = field(
        default="file", metadata={"help": "What one document of a text file is; no window crosses its end."}
    )
    evaluation_rows: int | None = field(
        default=None,
        metadata={"help": "Measure only this many texts, the first ones, of --evaluation_data and of --lambada_data."},
    )
    scoring: dict | str | None = field(
        default=None,
        metadata={
            "help": 'How texts are read, as JSON: \'{"context": ["bidirectional"], "width": 511, "stride": 256, "mask": '
            '"[gMASK]", "detokenize": true}\'. Without it both contexts are measured.'
        },
    )
    batch_size: int = field(default=8, metadata={"help": "Windows or texts that are scored together."})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda, ..."})
    generate: int = field(default=0, metadata={"help": "Write this many texts from nothing."})
    generation: dict | str | None = field(
        default=None,
        metadata={
            "help": 'How they are sampled, as JSON: \'{"temperature": 0.9, "top_k": 40, "max_new_tokens": 128}\'.'
        },
    )
    seed: int = field(default=0, metadata={"help": "Of the sampling."})

    def __post_init__(self):
        super().__post_init__()
        refuse_missing(self.model, "--model")
        self.columns = json_object(self.columns, "--columns") or {}
        self.generation = GENERATION | (json_object(self.generation, "--generation") or {})
        scoring, known = json_object(self.scoring, "--scoring") or {}, [one.name for one in fields(Scoring)]
        if unknown := sorted(set(scoring) - set(known)):
            raise ValueError(f"--scoring names {', '.join(unknown)}: there are {', '.join(known)}.")
        self.scoring = Scoring(**scoring)
        if not (self.evaluation_data or self.lambada_data or self.generate):
            raise ValueError("Nothing to do: give --evaluation_data, --lambada_data or --generate.")
        if self.train_data and not (self.evaluation_data or self.lambada_data):
            raise ValueError(
                "--train_data is for a trigram, a baseline: give --evaluation_data or --lambada_data too."
            )
