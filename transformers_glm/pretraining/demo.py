# SPDX-License-Identifier: Apache-2.0
"""
Pretrain a small GLM before your eyes, compare it with n-gram counts, and fill blanks of text it has not seen.

    python scripts/demo.py
    python scripts/demo.py --text my.txt

Without --text it reads what every Python brings along: the language reference and the standard library's docstrings.
All it makes is under output/demo. A second run reuses what is there, or goes on where an interrupted one stopped.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from matplotlib.figure import Figure
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainingArguments,
)

from ..blanking.collator import DataCollatorForBlankInfilling
from ..blanking.pictures import draw as draw_batch
from ..data.documents import hold_out, load_documents, tokenize_documents
from ..data.python_text import python_texts, without_repetition
from ..data.reader import TableSource
from ..files import write_whole
from ..infilling import fill_blanks
from ..metrics.base import Scored
from ..metrics.ngrams import Trigram, Unigram, score_left_to_right
from ..metrics.spans import blanked_places, score_rows, text_tokens
from ..runs.arguments import parse_arguments
from ..runs.configs import find_config
from ..runs.model_arguments import ModelArguments
from ..runs.time_limit import Plan
from .arguments import PretrainingArguments
from .run import pretrain


OUTPUT = Path("output/demo")
SECONDS = 465  # the longest that training takes; how many steps fit is measured
HELD_OUT = 0.05  # share of the documents
SENTENCES = 6
MARKS = ".!?。！？"
WORD = re.compile(r"[a-zA-Z]{2,}|[\u4e00-\u9fff]")  # of a language without spaces, a character


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Train, or take what an earlier run trained, then score it, fill blanks and draw pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", help="a text file, its paragraphs apart by blank lines")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the longest that training may take")
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="flags of scripts/pretrain.py")
    options = parser.parse_args(arguments)
    if options.text is None:
        documents = python_texts()
    else:
        source = TableSource([options.text], document="paragraph")
        documents = list(without_repetition(load_documents(source)["text"]))
    config, settings = find_config("pretrain_demo"), ["--max_seconds", str(options.seconds), *options.settings]
    # a folder for this text and these settings
    digest = hashlib.sha256("\0".join([config.read_text(), *settings, *documents]).encode()).hexdigest()[:8]
    folder = OUTPUT / f"run-{digest}"
    train_set, held_out = hold_out(Dataset.from_dict({"text": documents}), max(1, round(HELD_OUT * len(documents))))
    print(f"{len(train_set)} documents to train on, {len(held_out)} held out. All files are in {OUTPUT}.")
    flags = [str(config), "--train_data", str(folder / "train.parquet"), "--output_dir", str(folder), *settings]
    dataclasses = (ModelArguments, PretrainingArguments)
    model_args, data_args, training_args = parse_arguments(
        dataclasses, flags, training="TrainingArguments", report_to="tensorboard"
    )
    trained = folder / "trained.json"
    if trained.exists():
        print(f"Reusing the model in {folder}. Delete the folder to train again.")
    else:
        with write_whole(folder / "train.parquet") as unfinished:
            train_set.to_parquet(unfinished)
        trained.write_text(json.dumps(train(model_args, data_args, training_args)))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    for file in (*folder.glob("*config.json"), folder / "tokenizer.json", folder / "model.safetensors"):
        with write_whole(OUTPUT / file.name) as unfinished:  # the README's commands look for it here
            shutil.copyfile(file, unfinished)
    length = data_args.max_length or model.config.max_sequence_length
    rows = (tokenize_documents(text, tokenizer, length)["input_ids"] for text in (train_set, held_out))
    metrics = score(model, tokenizer, *rows) | json.loads(trained.read_text())
    draw(metrics["loss_history"], held_out["text"][0][:60], tokenizer)
    report(metrics)
    print_fillings(model, tokenizer, held_out["text"])
    with write_whole(OUTPUT / "metrics.json") as unfinished:
        unfinished.write_text(json.dumps({k: v for k, v in metrics.items() if k != "loss_history"}, indent=2) + "\n")
    print(f"metrics.json, loss.png, attention_mask.png and positions.png are in {OUTPUT}.")
    return metrics


def train(
    model_args: ModelArguments, data_args: PretrainingArguments, training_args: TrainingArguments
) -> dict[str, Any]:
    """Train a tokenizer and a GLM, as many steps as the time has room for, and as the configuration has at most."""
    training_args.include_num_input_tokens_seen = "non_padding"  # a flag can only count the padding too
    print(f"Training for {data_args.max_seconds / 60:.1f} minutes at most.")
    trainer, metrics = pretrain(model_args, data_args, training_args)
    plan, history = Plan.load(training_args.output_dir), trainer.state.log_history
    return {
        "processor": plan.processor,
        "seconds_per_step_measured": plan.seconds_per_step,
        "steps_chosen": plan.steps,
        "steps": trainer.state.global_step,
        "train_seconds": metrics["train_runtime"],
        "tokens_per_second": [e["train_tokens_per_second"] for e in history if "train_tokens_per_second" in e][-1],
        "loss_history": [(entry["step"], entry["loss"]) for entry in history if "loss" in entry],
    }


def score(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, trained: Sequence[list[int]], rows: Sequence[list[int]]
) -> dict[str, float]:
    """The GLM, and a unigram and a trigram of the rows it was trained on, on the same blanks of held-out rows."""
    rows = [row for row in rows if len(row) >= 8]  # the last row of a document can be too short for a blank
    collator = DataCollatorForBlankInfilling(tokenizer, seed=0)  # 15 % of the tokens, in spans of 3 on average
    examples = [collator.blank({"input_ids": row}) for row in rows]
    tokens = text_tokens(tokenizer)
    of_text = set(tokens)
    places = [
        [place for place in blanked_places(example) if row[place] in of_text]
        for row, example in zip(rows, examples, strict=True)
    ]
    scores = {"": Scored.together(score_rows(model, examples, tokenizer.pad_token_id, 64, tokens))}
    for name, baseline in (("unigram_", Unigram), ("trigram_", Trigram)):
        fitted = baseline(trained, tokens, len(tokenizer))
        scores[name] = Scored.together(score_left_to_right(fitted, rows, places))
    metrics = {f"{name}{kind}": getattr(scores[name], kind) for kind in ("perplexity", "accuracy") for name in scores}
    return metrics | {"blanked_tokens": scores[""].tokens, "parameters": model.num_parameters()}


def report(metrics: Mapping[str, Any]) -> None:
    """Print the comparison, and say plainly whether the trigram is beaten."""
    print(f"\n{metrics['blanked_tokens']} blanked tokens of held-out text   accuracy   perplexity")
    for name, label in (("unigram_", "unigram"), ("trigram_", "trigram, true left context"), ("", "GLM")):
        print(f"{label:36}{metrics[name + 'accuracy']:>10.3f}{metrics[name + 'perplexity']:>13.1f}")
    ahead = ["accuracy"] * (metrics["accuracy"] > metrics["trigram_accuracy"])
    ahead += ["perplexity"] * (metrics["perplexity"] < metrics["trigram_perplexity"])
    print(f"The GLM is ahead of the trigram in {' and '.join(ahead) or 'neither: the goal is not reached'}.\n")


def print_fillings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, documents: Sequence[str]) -> None:
    """Fill one to three blanks, in the place of words, in each of six held-out sentences."""
    rng, fits = random.Random(0), model.config.max_sequence_length - 8
    sentences = [
        sentence
        for document in documents
        for sentence in re.split(rf"(?<=[{MARKS}])\s+|\n|(?<=[。！？])", document)
        if sentence[-1:] in MARKS
        and len(WORD.findall(sentence)) > 4
        and len(tokenizer(sentence, verbose=False)["input_ids"]) < fits
    ]
    for number, sentence in enumerate(rng.sample(sentences, min(SENTENCES, len(sentences)))):
        words, blanked = [word.span() for word in WORD.finditer(sentence)], sentence
        for start, end in sorted(rng.sample(words, 1 + number % 3), reverse=True):
            blanked = f"{blanked[:start]}[MASK]{blanked[end:]}"
        filled = fill_blanks(model, tokenizer, blanked, max_new_tokens=16)
        print(f"text    {sentence}\nblanks  {blanked}\nfilled  {filled.text}\n")


def draw(history: Sequence[tuple[int, float]], text: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """The loss curve, and the attention mask and the two positions of a short text."""
    axes = Figure(layout="constrained").subplots()
    axes.plot(*zip(*history, strict=True))
    axes.set(xlabel="step", ylabel="loss per predicted token", title="Pretraining")
    batch = DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.3)([{"input_ids": tokenizer(text)["input_ids"]}])
    axes.figure.savefig(OUTPUT / "loss.png", dpi=130)
    for name in ("attention_mask", "positions"):
        draw_batch(batch, tokenizer, pictures=[name]).savefig(OUTPUT / f"{name}.png", dpi=130)
