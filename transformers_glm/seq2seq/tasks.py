# SPDX-License-Identifier: Apache-2.0
"""The two ways to learn to write texts: a source with its target, and a text whose words are blanked."""

import itertools
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from datasets import Dataset
from peft import PeftModel
from transformers import (
    DataCollatorForSeq2Seq,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
)

from ..blanking.collator import DataCollatorForBlankInfilling
from ..data.templates import template
from ..infilling import fill_blanks
from ..metrics.texts import check_units, score_texts
from .arguments import TaskArguments
from .rows import Row, Seq2SeqEncoder, SourceText, naming_row, plain_ids, references_of, stripped
from .text_infilling import Blanked, blank_words, lay_out_blanked, row_rng


Scores = dict[str, float | str]
EVALUATION_SEED = 0  # the same rows and blanks are scored in every run
# unless --generation says otherwise; all are set, so that none remains of the task that a checkpoint was trained for before
GREEDY = {"do_sample": False, "num_beams": 1, "length_penalty": None, "no_repeat_ngram_size": None}
GREEDY |= {"min_length": None, "min_new_tokens": None}
# settings of GenerationConfig that the run makes itself
OF_THE_RUN = ("max_length", "max_new_tokens", "decoder_start_token_id", "pad_token_id", "eos_token_id")
OF_THE_RUN += ("num_return_sequences",)


def length_budget(args: TaskArguments, longest: int) -> int:
    """The most tokens of a source, after both budgets were compared with the model's tables of `longest + 1` rows."""
    source = args.max_length or longest
    if source > longest + 1:
        raise ValueError(
            f"--max_length {source} is more than the model's position table of {longest + 1} rows. Give {longest + 1} at most, "
            "or a model with a greater max_sequence_length."
        )
    if not 2 <= args.max_target_length <= longest:
        raise ValueError(
            f"--max_target_length {args.max_target_length}: a target has 2 tokens at least (one and its end) and, by the model's "
            f"table of block positions, {longest} at most."
        )
    return source


def generation_settings(args: TaskArguments) -> dict[str, Any]:
    """
    What `generate` is told, except for the greatest length: greedy search unless `--generation` says otherwise.

    Raises:
        `ValueError`: a setting that GenerationConfig does not have, that the run has from elsewhere, or that leaves no room.
    """
    settings, known = GREEDY | args.generation, vars(GenerationConfig())
    if unknown := [name for name in settings if name not in known]:
        close = [match for name in unknown for match in get_close_matches(name, known, n=1)]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"--generation names {', '.join(unknown)}, which GenerationConfig does not have.{hint}")
    if taken := [name for name in settings if name in OF_THE_RUN]:
        raise ValueError(
            f"--generation has {', '.join(taken)}, which the run sets: the greatest length is --max_target_length, ids are the "
            "tokenizer's, and a row has one text. Leave it out."
        )
    if not (isinstance(settings["num_beams"], int) and settings["num_beams"] >= 1):
        raise ValueError(f"--generation has num_beams {settings['num_beams']!r}: a whole number, one beam at least.")
    if (settings.get("min_new_tokens") or 0) >= args.max_target_length:
        raise ValueError(
            f"--generation has min_new_tokens {settings['min_new_tokens']}, which leaves no room below --max_target_length "
            f"{args.max_target_length}."
        )
    return settings


class PairTask:
    """A source with a blank, and the target that belongs into it."""

    def __init__(self, args: TaskArguments, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int = 0):
        self.args, self.tokenizer = args, tokenizer
        self.encoder = Seq2SeqEncoder(args, tokenizer, max_length)
        # saved with the tokenizer: where the blank stands at the end, tokenizer(text) is then a source
        tokenizer.append_mask = self.encoder.mask if self.encoder.blank_is_last else None
        tokenizer.init_kwargs["append_mask"] = tokenizer.append_mask

    def prepare(self, model: PreTrainedModel) -> None:
        """Make the model generate as is asked for, here and where it is loaded again."""
        # a new one: that of a checkpoint may be of another task
        model.generation_config = GenerationConfig(
            **generation_settings(self.args),
            max_length=self.args.max_target_length + 1,  # with sop
            decoder_start_token_id=self.tokenizer.sop_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=[self.tokenizer.eop_token_id, self.tokenizer.eos_token_id],
        )

    def collator(self, model: PreTrainedModel) -> Callable:
        """What makes batches: two streams."""
        return DataCollatorForSeq2Seq(self.tokenizer, model=model)

    def training_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Sources and targets to train on."""
        return Dataset.from_list(self.encoder.encode(rows, where))

    def evaluation_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Sources and targets to score on; what is known of each row is kept beside them."""
        encoded, self.known = self.encoder.encode(rows, where), []
        for number, row in enumerate(map(stripped, rows), 1):
            with naming_row(where, number):
                accepted = references_of(row, self.args.target, self.args.references)
                source = template(self.args.source).write(row)
            self.known.append((_number_of(row) | {"source": source}, accepted))
        check_units(itertools.chain.from_iterable(accepted for _, accepted in self.known), self.args.units, where)
        return Dataset.from_list(encoded)

    def evaluate(self, trainer: Seq2SeqTrainer, dataset: Dataset) -> tuple[Scores, list[dict[str, Any]]]:
        """Generate for each source; the scores, and what was generated beside what was to be."""
        predicted = trainer.predict(dataset, metric_key_prefix="eval")
        ids = np.where(predicted.predictions < 0, self.tokenizer.pad_token_id, predicted.predictions)
        texts = [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]
        scores = score_texts(self.args.metrics, texts, [accepted for _, accepted in self.known], self.args.units)
        rows = [
            {**known, "prediction": text, "references": accepted}
            for (known, accepted), text in zip(self.known, texts, strict=True)
        ]
        return {"eval_rows": len(rows), "eval_loss": predicted.metrics["eval_loss"], **scores}, rows


class InfillingTask:
    """A text whose words are blanked; all its blanks are filled, from left to right."""

    def __init__(self, args: TaskArguments, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int = 0):
        wrong = [ratio for ratio in args.blank_ratios if not 0 < ratio <= 1]
        if wrong or not args.blank_ratios:
            raise ValueError(f"--blank_ratios {wrong}: give shares of the words, above 0 and at most 1.")
        self.args, self.tokenizer, self.seed = args, tokenizer, seed
        self.source = SourceText(tokenizer, args.source, max_length, args.keep)

    def prepare(self, model: PreTrainedModel) -> None:
        """Leave the model's settings as they are: they are passed with each call that fills blanks."""

    def collator(self, model: PreTrainedModel) -> Callable:
        """What makes batches: rows that are laid out already are padded."""
        return DataCollatorForBlankInfilling(self.tokenizer)

    def training_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Each text blanked once, by a ratio of its own."""
        blanked = []
        for number, text in enumerate(self._texts(rows, where)):
            rng = row_rng(self.seed, number, 0.0)
            blanked.append(blank_words(text, rng.choice(self.args.blank_ratios), rng, self.args.units))
        return self._laid_out(blanked, where)

    def evaluation_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Each text blanked once by every ratio."""
        self.numbers, self.texts = [_number_of(row) for row in rows], self._texts(rows, where)
        self.blanked = {
            ratio: [
                blank_words(text, ratio, row_rng(EVALUATION_SEED, number, ratio), self.args.units)
                for number, text in enumerate(self.texts)
            ]
            for ratio in self.args.blank_ratios
        }
        return self._laid_out([blanked for of_ratio in self.blanked.values() for blanked in of_ratio], where)

    def evaluate(self, trainer: Seq2SeqTrainer, dataset: Dataset) -> tuple[Scores, list[dict[str, Any]]]:
        """Fill all blanks; the scores of the whole texts by ratio, `bleu_10` for 0.1, and each filled text."""
        scores, rows = {"eval_rows": len(self.texts), "eval_loss": trainer.evaluate()["eval_loss"]}, []
        model = trainer.accelerator.unwrap_model(trainer.model)
        model = model.get_base_model() if isinstance(model, PeftModel) else model
        model.eval()
        for ratio, blanked in self.blanked.items():
            filled = fill_blanks(
                model,
                self.tokenizer,
                [row.text for row in blanked],
                batch_size=trainer.args.per_device_eval_batch_size,
                max_new_tokens=self.args.max_target_length,
                **generation_settings(self.args),
            )
            texts = [row.text for row in filled]
            of_ratio = score_texts(self.args.metrics, texts, [[text] for text in self.texts], self.args.units)
            scores |= {
                f"{name}_{100 * ratio:g}": value for name, value in of_ratio.items() if isinstance(value, float)
            }
            for number, row, done, text in zip(self.numbers, blanked, filled, self.texts, strict=True):
                made = {"source": row.text, "prediction": done.text, "pieces": done.pieces, "references": [text]}
                rows.append({**number, "ratio": ratio, **made})
        return scores, rows

    def _texts(self, rows: Sequence[Row], where: str) -> list[str]:
        texts = []
        for number, row in enumerate(map(stripped, rows), 1):
            with naming_row(where, number):
                texts.append("".join(part.text for part in self.source.fit(row, self._length_of)).strip())
                if special := [token for token in self.tokenizer.all_special_tokens if token in texts[-1]]:
                    raise ValueError(f"The text has {', '.join(special)} in it, which is a token of the model.")
        self.source.report(len(texts), where)
        check_units(texts, self.args.units, where)
        return texts

    def _length_of(self, parts) -> int:
        return len(plain_ids("".join(part.text for part in parts), self.tokenizer)) + 2  # [CLS] and eos

    def _laid_out(self, blanked: Sequence[Blanked], where: str) -> Dataset:
        rows = [lay_out_blanked(row, self.tokenizer) for row in blanked]
        longest = max(max(row["block_position_ids"]) for row in rows)
        if longest > self.args.max_target_length:
            raise ValueError(
                f"{where}: a run of blanked words has {longest} tokens with its end, more than --max_target_length "
                f"{self.args.max_target_length}. Raise it, or blank less with --blank_ratios."
            )
        return Dataset.from_list(rows)


def _number_of(row: Row) -> dict[str, Any]:
    """What tells a row from others, where it has a field for it."""
    return {name: row[name] for name in ("id", "idx") if row.get(name) is not None}
