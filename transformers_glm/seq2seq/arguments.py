# SPDX-License-Identifier: Apache-2.0
"""What can be set when a model is fine-tuned to write texts: model, rows, templates, generation, training."""

from dataclasses import dataclass, field
from typing import Literal

from transformers import Seq2SeqTrainingArguments

from ..runs.arguments import json_object
from ..runs.model_arguments import ModelArguments as PretrainingModelArguments


@dataclass
class ModelArguments(PretrainingModelArguments):
    """Which model and which tokenizer; a new one is made from --config, as in pretraining."""

    method: Literal["glm", "bart"] = field(
        default="glm",
        metadata={"help": "glm, or as a baseline a new BART with the width, heads and number of layers of --config."},
    )
    use_peft: bool = field(default=False, metadata={"help": "Train LoRA adapters in place of the whole model."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the adapters; their alpha is twice as much."})


@dataclass
class RowArguments:
    """Which rows, and what of them is the source and the target."""

    task: str = field(
        default="seq2seq",
        metadata={
            "help": "Name of the task in the results. infilling blanks words of the source's text and fills them."
        },
    )
    train_data: list[str] | None = field(
        default=None,
        metadata={"help": "Files (jsonl, json, csv, tsv, parquet, txt), two parallel ones, or a Hub dataset."},
    )
    data_name: str | None = field(default=None, metadata={"help": "Configuration of a Hub dataset."})
    train_split: str = field(default="train", metadata={"help": "Split of a Hub dataset to train on."})
    evaluation_data: list[str] | None = field(default=None, metadata={"help": "As train_data, to be scored."})
    evaluation_split: str = field(default="validation", metadata={"help": "Split of a Hub dataset to score."})
    train_rows: int | None = field(default=None, metadata={"help": "Train on so many rows, drawn with the seed."})
    evaluation_rows: int | None = field(
        default=None, metadata={"help": "Score so many rows, the same ones for each seed."}
    )
    columns: list[str] | None = field(
        default=None,
        metadata={"help": "Names of the columns of tsv, csv and txt files without a header, or of parallel files."},
    )
    rows_at: str | None = field(
        default=None,
        metadata={"help": "Key of the list of rows in an object: data, or data.paragraphs.qas; * is any key."},
    )
    empty_rows: Literal["error", "drop"] = field(
        default="error", metadata={"help": "What to do with rows whose source or target is empty."}
    )
    turns: str | None = field(
        default=None,
        metadata={
            "help": "Column with the turns of a dialogue; templates then have {history}, {speaker}, {response}."
        },
    )
    speaker_key: str = field(
        default="speaker", metadata={"help": "Key of the speaker where turns are objects; empty if they have none."}
    )
    text_key: str = field(default="text", metadata={"help": "Key of what is said where turns are objects."})
    respond_as: str | None = field(default=None, metadata={"help": "Only turns of this speaker are targets."})
    turn_separator: str | None = field(
        default=None, metadata={"help": "What stands between the turns where they are one text, such as __eou__."}
    )
    source: str = field(
        default="{source}",
        metadata={"help": "Template of the source, [MASK] where the target goes (else at its end)."},
    )
    target: str = field(
        default=" {target}",
        metadata={"help": "Template of the target; with a space in front, as byte-level vocabularies begin a word."},
    )
    references: str | None = field(
        default=None,
        metadata={
            "help": "Column with the text, or the list of texts (answers[*][text]), to score against. Else the target."
        },
    )
    join_references: bool = field(
        default=False, metadata={"help": "Score rows with the same source once, against the targets of them all."}
    )
    mask: Literal["[MASK]", "[sMASK]", "[gMASK]"] = field(
        default="[MASK]", metadata={"help": "The mask token that stands in the blank."}
    )
    max_source_length: int | None = field(
        default=None, metadata={"help": "The most tokens of a source. Defaults to the model's max_sequence_length."}
    )
    max_target_length: int = field(
        default=128,
        metadata={"help": "The most tokens of a target and of what is generated; of one piece in infilling."},
    )
    keep: str = field(
        default="left",
        metadata={
            "help": "What stays of a column that is too long: left, right, or the part round the text of this column."
        },
    )
    long_targets: Literal["cut", "error"] = field(
        default="cut", metadata={"help": "What to do with too long targets."}
    )
    blank_ratios: list[float] = field(
        default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5],
        metadata={
            "help": "Infilling: shares of the words that are blanked. Training draws one a text, each is scored."
        },
    )
    pretrain_data: list[str] | None = field(
        default=None, metadata={"help": "Text whose blanks are learned beside the task, as train_data of pretrain.py."}
    )
    pretrain_share: float = field(
        default=0.2, metadata={"help": "Share of the training rows that are of pretrain_data."}
    )
    pretrain_column: str = field(default="text", metadata={"help": "Column of pretrain_data that holds the text."})
    pretrain_document: Literal["file", "line", "paragraph"] = field(
        default="file", metadata={"help": "What one document of a text file of pretrain_data is."}
    )
    pretrain_mixture: dict | str | None = field(
        default=None, metadata={"help": "Shares of the levels of its blanks, as mixture of pretrain.py."}
    )
    metrics: list[str] = field(
        default_factory=lambda: ["rouge", "bleu", "chrf"], metadata={"help": "Of rouge, bleu, chrf, meteor."}
    )
    units: Literal["english", "words", "characters"] = field(
        default="english",
        metadata={"help": "What metrics compare: English words, words of other languages, or characters (Chinese)."},
    )

    def __post_init__(self):
        self.pretrain_mixture = json_object(self.pretrain_mixture, "--pretrain_mixture")


@dataclass
class GenerationArguments:
    """How texts are generated; max_target_length is their greatest length."""

    num_beams: int = field(default=1, metadata={"help": "Beams; 1 is greedy."})
    length_penalty: float = field(
        default=1.0, metadata={"help": "Power of the length that a beam's score is divided by."}
    )
    no_repeat_ngram_size: int = field(
        default=0, metadata={"help": "N-grams of this size occur once; 0 lets all repeat."}
    )
    min_target_length: int = field(default=0, metadata={"help": "The least number of tokens before the end."})


@dataclass
class TrainingArguments(Seq2SeqTrainingArguments):
    """The stock training arguments, with progress in TensorBoard."""

    report_to: None | str | list[str] = field(
        default="tensorboard", metadata={"help": "Where losses are reported: tensorboard, all, none, ..."}
    )
    max_seconds: float | None = field(
        default=None,
        metadata={
            "help": "Train for this time at most: a step is measured first, and the schedule made for the steps that fit."
        },
    )
