# SPDX-License-Identifier: Apache-2.0
"""The two ways to learn to write texts: a source with its target, and a text whose words are blanked."""

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from peft import PeftModel
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, Seq2SeqTrainer

from ..data.task_rows import Row
from ..data.templates import Template
from ..infilling import fill_blanks
from ..metrics.texts import check_units, score_texts
from .arguments import GenerationArguments, RowArguments
from .references import references_of
from .rows import Seq2SeqEncoder
from .text_infilling import blank_words, lay_out_blanked, row_rng, shorten_texts


logger = logging.getLogger(__name__)

Scores = dict[str, float | str]
EVALUATION_SEED = 0  # the same rows and blanks are scored in every run


def length_budget(args: RowArguments, longest: int, is_glm: bool) -> int:
    """
    The most tokens of a source, after both budgets were held against the position table.

    Args:
        args ([`RowArguments`]): has the budgets.
        longest (`int`): the model's `max_sequence_length`.
        is_glm (`bool`): GLM's tables hold one row more.
    """
    rows = longest + is_glm
    source = args.max_source_length or longest
    if source > rows:
        raise ValueError(
            f"--max_source_length {source} is more than the model's position table of {rows} rows. Give {rows} at most, or a "
            "model with a greater max_sequence_length."
        )
    if not 2 <= args.max_target_length <= longest:
        raise ValueError(
            f"--max_target_length {args.max_target_length}: a target has 2 tokens at least (one and its end) and, by the model's "
            f"table of block positions, {longest} at most."
        )
    return source


def generation_settings(generation: GenerationArguments) -> dict[str, Any]:
    """What `generate` is told, but for the greatest length."""
    return {
        "do_sample": False,
        "num_beams": generation.num_beams,
        "length_penalty": generation.length_penalty if generation.num_beams > 1 else None,
        # a piece's lengths count its sop, as those of every decoder count its first token
        "min_length": generation.min_target_length + 1 if generation.min_target_length else 0,
        "no_repeat_ngram_size": generation.no_repeat_ngram_size or None,
    }


class PairTask:
    """A source with a blank, and the target that belongs into it."""

    def __init__(
        self,
        args: RowArguments,
        generation: GenerationArguments,
        tokenizer: PreTrainedTokenizerBase,
        max_source_length: int,
        is_glm: bool = True,
        seed: int = 0,
    ):
        self.args, self.generation, self.tokenizer = args, generation, tokenizer
        self.encoder = Seq2SeqEncoder(
            tokenizer,
            Template(args.source),
            Template(args.target),
            args.mask if is_glm else None,
            max_source_length=max_source_length,
            max_target_length=args.max_target_length,
            keep=args.keep,
            long_targets=args.long_targets,
            empty=args.empty_rows,
        )
        # saved with the tokenizer: what a template without a blank makes is then tokenizer(text)
        tokenizer.append_mask = args.mask if is_glm and not self.encoder.source.has_blank else None
        tokenizer.init_kwargs["append_mask"] = tokenizer.append_mask

    def prepare(self, model: PreTrainedModel) -> None:
        """Make the model generate as is asked for, here and where it is loaded again."""
        # a new one: that of a checkpoint may be of another task
        model.generation_config = GenerationConfig(
            **generation_settings(self.generation),
            max_length=self.args.max_target_length + 1,
            decoder_start_token_id=self.tokenizer.sop_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=[self.tokenizer.eop_token_id, self.tokenizer.eos_token_id],
        )

    def training_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Sources and targets to train on."""
        return Dataset.from_list(self.encoder.encode_all(rows, where)[1])

    def evaluation_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Sources and targets to score on; the rows are kept for their references."""
        self.rows, encoded = self.encoder.encode_all(rows, where)
        target, column = self.encoder.target, self.args.references
        self.accepted = [references_of(row, target, column, f"{where}, row {n}") for n, row in enumerate(self.rows, 1)]
        check_units(itertools.chain.from_iterable(self.accepted), self.args.units, where)
        return Dataset.from_list(encoded)

    def evaluate(self, trainer: Seq2SeqTrainer, dataset: Dataset) -> tuple[Scores, list[dict[str, Any]]]:
        """Generate for each source; the scores, and what was generated beside what was to be."""
        predicted = trainer.predict(dataset, metric_key_prefix="eval")
        ids = np.where(predicted.predictions < 0, self.tokenizer.pad_token_id, predicted.predictions)
        texts = [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]
        scores = score_texts(self.args.metrics, texts, self.accepted, self.args.units)
        sources = self.tokenizer.batch_decode(dataset["input_ids"][:])
        rows = [
            {"source": source, "prediction": text, "references": accepted}
            for source, text, accepted in zip(sources, texts, self.accepted, strict=True)
        ]
        counts = {"eval_rows": len(rows), "eval_loss": predicted.metrics["eval_loss"]}
        return {**counts, **scores}, rows


class InfillingTask:
    """A text whose words are blanked; all its blanks are filled, from left to right."""

    def __init__(
        self,
        args: RowArguments,
        generation: GenerationArguments,
        tokenizer: PreTrainedTokenizerBase,
        max_source_length: int,
        is_glm: bool = True,
        seed: int = 0,
    ):
        wrong = [ratio for ratio in args.blank_ratios if not 0 < ratio <= 1]
        if wrong or not args.blank_ratios:
            raise ValueError(f"--blank_ratios {wrong}: give shares of the words, above 0 and at most 1.")
        self.args, self.generation, self.tokenizer, self.seed = args, generation, tokenizer, seed
        self.max_source_length, self.template = max_source_length, Template(args.source)

    def prepare(self, model: PreTrainedModel) -> None:
        """Leave the model's generation as it is: what fills blanks is told each time."""

    def training_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Each text blanked once, by a ratio of its own."""
        blanked = []
        for number, text in enumerate(self._texts(rows, where)):
            rng = row_rng(self.seed, number, 0.0)
            blanked.append(self._blank(text, rng.choice(self.args.blank_ratios), rng))
        return self._laid_out(blanked, where)

    def evaluation_set(self, rows: Sequence[Row], where: str) -> Dataset:
        """Each text blanked once by every ratio."""
        self.texts = self._texts(rows, where)
        self.blanked = {
            ratio: [self._blank(text, ratio, row_rng(EVALUATION_SEED, n, ratio)) for n, text in enumerate(self.texts)]
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
                **generation_settings(self.generation),
            )
            texts = [row.text for row in filled]
            of_ratio = score_texts(self.args.metrics, texts, [[text] for text in self.texts], self.args.units)
            scores |= {
                f"{name}_{100 * ratio:g}": value for name, value in of_ratio.items() if isinstance(value, float)
            }
            rows += [
                {
                    "ratio": ratio,
                    "source": row.text,
                    "prediction": done.text,
                    "pieces": done.pieces,
                    "references": [text],
                }
                for row, done, text in zip(blanked, filled, self.texts, strict=True)
            ]
        return scores, rows

    def _texts(self, rows: Sequence[Row], where: str) -> list[str]:
        texts = [self.template.text_of(row, f"{where}, row {n}") for n, row in enumerate(rows, 1)]
        if self.args.empty_rows == "drop":
            kept = [text for text in texts if text.strip()]
            if len(kept) < len(texts):
                logger.warning("%s: %d rows without text were dropped.", where, len(texts) - len(kept))
            texts = kept
        check_units(texts, self.args.units, where)
        return shorten_texts(texts, self.tokenizer, self.max_source_length, where)

    def _blank(self, text, ratio, rng):
        return blank_words(text, ratio, rng, self.args.mask, self.args.units)

    def _laid_out(self, blanked, where: str) -> Dataset:
        rows = [lay_out_blanked(row, self.tokenizer) for row in blanked]
        for row in rows:
            longest = max(row["block_position_ids"])
            if longest > self.args.max_target_length:
                raise ValueError(
                    f"{where}: a run of blanked words has {longest} tokens with its end, more than --max_target_length "
                    f"{self.args.max_target_length}. Raise it, or blank less with --blank_ratios."
                )
        return Dataset.from_list(rows)
