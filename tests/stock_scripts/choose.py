# SPDX-License-Identifier: Apache-2.0
"""A script that chooses one of four endings, in the form of `run_swag.py`. One line of it is for GLM."""

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from datasets import load_dataset
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoTokenizer,
    DataCollatorForMultipleChoice,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

import transformers_glm  # noqa: F401


ENDINGS = [f"ending{number}" for number in range(4)]


@dataclass
class ScriptArguments:
    model_name_or_path: str
    train_file: str
    validation_file: str
    max_seq_length: int = 48
    pad_to_max_length: bool = False


def compute_metrics(prediction):
    return {"accuracy": float((np.argmax(prediction.predictions, axis=1) == prediction.label_ids).mean())}


def main():
    script, settings = HfArgumentParser((ScriptArguments, TrainingArguments)).parse_args_into_dataclasses()
    set_seed(settings.seed)
    files = {"train": script.train_file, "validation": script.validation_file}
    data = load_dataset("json", data_files=files, cache_dir=settings.output_dir)
    config = AutoConfig.from_pretrained(script.model_name_or_path)
    tokenizer = AutoTokenizer.from_pretrained(script.model_name_or_path)
    model = AutoModelForMultipleChoice.from_pretrained(script.model_name_or_path, config=config)
    padding = "max_length" if script.pad_to_max_length else False

    def encode(rows):
        first = chain.from_iterable([context] * 4 for context in rows["sent1"])
        second = chain.from_iterable(
            [f"{header} {rows[ending][row]}" for ending in ENDINGS] for row, header in enumerate(rows["sent2"])
        )
        batch = tokenizer(
            list(first), list(second), max_length=script.max_seq_length, truncation=True, padding=padding
        )
        return {name: [flat[row : row + 4] for row in range(0, len(flat), 4)] for name, flat in batch.items()}

    data = data.map(encode, batched=True)
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
        data_collator=default_data_collator if script.pad_to_max_length else DataCollatorForMultipleChoice(tokenizer),
        compute_metrics=compute_metrics,
    )
    if settings.do_train:
        trainer.train()
        trainer.save_model()
    result = {
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "metrics": trainer.evaluate(),
        "predictions": trainer.predict(data["validation"]).predictions.tolist(),
    }
    (Path(settings.output_dir) / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
