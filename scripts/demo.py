# SPDX-License-Identifier: Apache-2.0
"""
Pretrain a small GLM before your eyes, hold it against counting, and fill blanks of text it has not seen.

    python scripts/demo.py
    python scripts/demo.py --text my.txt

Without --text it reads what every Python brings along: the language reference and the standard library's docstrings.
All it makes is under output/demo. A second run reuses what is there, or goes on where an interrupted one stopped.
"""

import argparse
import hashlib
import json
import logging
import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset
from matplotlib.figure import Figure
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainingArguments,
)

from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.blanking.pictures import draw_attention_mask, draw_positions
from transformers_glm.data.documents import hold_out, load_documents, tokenize_documents
from transformers_glm.data.python_text import python_texts, without_repetition
from transformers_glm.data.reader import TableSource
from transformers_glm.files import write_whole
from transformers_glm.infilling import fill_blanks
from transformers_glm.metrics.ngrams import Trigram, Unigram
from transformers_glm.metrics.spans import score_blanks, score_glm, text_tokens
from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.pretraining.run import pretrain
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import ModelArguments
from transformers_glm.runs.time_limit import Plan


CONFIG = Path(__file__).parents[1] / "configs" / "pretrain_demo.yaml"
OUTPUT = Path("output/demo")
SECONDS = 465  # the longest that training takes; how many steps fit is measured
HELD_OUT = 0.05  # share of the documents
SENTENCES = 6
MARKS = ".!?。！？"
WORD = re.compile(r"[a-zA-Z]{2,}|[\u4e00-\u9fff]")  # of a language without spaces, a character


class Run(NamedTuple):
    """The text of a run, its folder and the settings of its training."""

    train: Dataset
    held_out: Dataset
    folder: Path
    arguments: tuple[ModelArguments, PretrainingArguments, TrainingArguments]


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Train, or take what an earlier run trained, then score it, fill blanks and draw pictures."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", help="a text file, its paragraphs apart by blank lines")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest that training may take")
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="flags of scripts/pretrain.py")
    options = parser.parse_args(arguments)
    run = prepare(options.text, ["--max_seconds", str(options.seconds), *options.settings])
    trained = run.folder / "trained.json"
    if trained.exists():
        print(f"Reusing the model in {run.folder}. Delete the folder to train again.")
    else:
        trained.write_text(json.dumps(train(run)))
    tokenizer = AutoTokenizer.from_pretrained(run.folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(run.folder).eval()
    publish(run.folder)
    metrics = score(run, model, tokenizer) | json.loads(trained.read_text())
    draw(run, tokenizer)
    report(metrics)
    print_fillings(model, tokenizer, run.held_out["text"])
    save_metrics(metrics)
    return metrics


def publish(folder: Path) -> None:
    """Put the model and the tokenizer of the run into `output/demo`, where the README's commands look for them."""
    for name in (
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        with write_whole(OUTPUT / name) as unfinished:
            shutil.copyfile(folder / name, unfinished)


def prepare(text: str | None, settings: Sequence[str]) -> Run:
    """Text for training and text held out from it, in the folder that belongs to this text and these settings."""
    if text is None:
        documents = python_texts()
    else:
        documents = list(without_repetition(load_documents(TableSource([text], document="paragraph"))["text"]))
    digest = hashlib.sha256("\0".join([CONFIG.read_text(), *settings, *documents]).encode()).hexdigest()[:8]
    folder = OUTPUT / f"run-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    number = max(1, round(HELD_OUT * len(documents)))
    train_set, held_out = hold_out(Dataset.from_dict({"text": documents}), number)
    train_file = folder / "train.parquet"
    if not train_file.exists():
        train_set.to_parquet(train_file)
    print(f"{len(train_set)} documents to train on, {len(held_out)} held out. All files are in {OUTPUT}.")
    flags = [str(CONFIG), "--train_data", str(train_file), "--output_dir", str(folder), *settings]
    arguments = parse_arguments(
        (ModelArguments, PretrainingArguments), flags, training="TrainingArguments", report_to="tensorboard"
    )
    arguments[2].include_num_input_tokens_seen = "non_padding"  # a flag can only count the padding too
    return Run(train_set, held_out, folder, arguments)


def train(run: Run) -> dict[str, Any]:
    """Train a tokenizer and a GLM, as many steps as the time has room for, and as the configuration has at most."""
    print(f"Training for {run.arguments[1].max_seconds / 60:.1f} minutes at most.")
    trainer, metrics = pretrain(*run.arguments)
    history = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    speeds = [
        entry["train_tokens_per_second"] for entry in trainer.state.log_history if "train_tokens_per_second" in entry
    ]
    plan = Plan.load(run.folder)
    return {
        "processor": plan.processor,
        "seconds_per_step_measured": plan.seconds_per_step,
        "steps_chosen": plan.steps,
        "steps": trainer.state.global_step,
        "train_seconds": metrics["train_runtime"],
        "tokens_per_second": speeds[-1],
        "loss_history": history,
    }


def score(run: Run, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
    """The GLM, a unigram and a trigram on the same blanks of the held-out text."""
    length = run.arguments[1].max_length or model.config.max_sequence_length
    rows, held_out = (tokenize_documents(text, tokenizer, length)["input_ids"] for text in (run.train, run.held_out))
    held_out = [row for row in held_out if len(row) >= 8]  # the last row of a document can be too short for a blank
    collator = DataCollatorForBlankInfilling(tokenizer, seed=0)  # 15 % of the tokens, in spans of 3 on average
    examples = [collator.blank({"input_ids": row}) for row in held_out]
    tokens = text_tokens(tokenizer)
    scores = {"": score_glm(model, collator, examples, tokens)}
    for name, baseline in (("unigram_", Unigram), ("trigram_", Trigram)):
        fitted = baseline(rows, tokens, len(tokenizer))
        scores[name] = score_blanks(fitted, held_out, examples, tokens)
    metrics = {f"{name}{kind}": getattr(scores[name], kind) for kind in ("perplexity", "accuracy") for name in scores}
    return metrics | {"blanked_tokens": scores[""].tokens, "parameters": model.num_parameters()}


def report(metrics: dict[str, Any]) -> None:
    """Print the comparison, and say plainly whether the trigram is beaten."""
    print(f"\n{metrics['blanked_tokens']} blanked tokens of held-out text   accuracy   perplexity")
    for name, label in (("unigram_", "unigram"), ("trigram_", "trigram, true left context"), ("", "GLM")):
        print(f"{label:36}{metrics[name + 'accuracy']:>10.3f}{metrics[name + 'perplexity']:>13.1f}")
    won = {
        "accuracy": metrics["accuracy"] > metrics["trigram_accuracy"],
        "perplexity": metrics["perplexity"] < metrics["trigram_perplexity"],
    }
    ahead = " and ".join(kind for kind in won if won[kind])
    print(f"The GLM is ahead of the trigram in {ahead or 'neither: the goal is not reached'}.\n")


def print_fillings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, documents: Sequence[str]) -> None:
    """Fill one to three blanks in each of six held-out sentences."""
    rng = random.Random(0)
    fits = model.config.max_sequence_length - 8
    sentences = [
        sentence
        for document in documents
        for sentence in re.split(rf"(?<=[{MARKS}])\s+|\n|(?<=[。！？])", document)
        if sentence[-1:] in MARKS and len(WORD.findall(sentence)) > 4 and len(tokenizer(sentence)["input_ids"]) < fits
    ]
    for number, sentence in enumerate(rng.sample(sentences, min(SENTENCES, len(sentences)))):
        blanked = blank_words(sentence, 1 + number % 3, rng)
        filled = fill_blanks(model, tokenizer, blanked, max_new_tokens=16)
        print(f"text    {sentence}\nblanks  {blanked}\nfilled  {filled.text}\n")


def blank_words(sentence: str, number: int, rng: random.Random) -> str:
    """Put `[MASK]` in the place of `number` words."""
    for start, end in sorted(rng.sample([word.span() for word in WORD.finditer(sentence)], number), reverse=True):
        sentence = f"{sentence[:start]}[MASK]{sentence[end:]}"
    return sentence


def draw(run: Run, tokenizer: PreTrainedTokenizerFast) -> None:
    """The loss curve, and the attention mask and the two positions of a short text."""
    history = json.loads((run.folder / "trained.json").read_text())["loss_history"]
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*history, strict=True))
    axes.set(xlabel="step", ylabel="loss per predicted token", title="Pretraining")
    figure.savefig(OUTPUT / "loss.png", dpi=130)
    text = run.held_out["text"][0][:60]
    batch = DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.3)([{"input_ids": tokenizer(text)["input_ids"]}])
    draw_attention_mask(batch, tokenizer).figure.savefig(OUTPUT / "attention_mask.png", dpi=130)
    draw_positions(batch, tokenizer).figure.savefig(OUTPUT / "positions.png", dpi=130)


def save_metrics(metrics: dict[str, Any]) -> None:
    """Write `metrics.json` under another name, then move it."""
    with write_whole(OUTPUT / "metrics.json") as unfinished:
        unfinished.write_text(json.dumps({k: v for k, v in metrics.items() if k != "loss_history"}, indent=2) + "\n")
    print(f"metrics.json, loss.png, attention_mask.png and positions.png are in {OUTPUT}.")


if __name__ == "__main__":
    from transformers_glm.commands.command_line import run

    run(main)
