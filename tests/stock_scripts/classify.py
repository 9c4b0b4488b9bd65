# SPDX-License-Identifier: Apache-2.0
"""A script that classifies texts or pairs of texts, in the form of `run_glue.py`. One line of it is for GLM."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import load_dataset
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

import transformers_glm  # noqa: F401


@dataclass
class ScriptArguments:
    model_name_or_path: str
    train_file: str
    validation_file: str
    max_seq_length: int = 48
    pad_to_max_length: bool = False


def load(path, labels):
    """A column of numbers is regressed; names become classes, and stay with the model."""
    names = [] if labels.features["label"].dtype == "float64" else sorted(labels.unique("label"))
    config = AutoConfig.from_pretrained(path, num_labels=len(names) or 1)
    model = AutoModelForSequenceClassification.from_pretrained(path, config=config)
    if names:
        model.config.label2id = {name: number for number, name in enumerate(names)}
        model.config.id2label = dict(enumerate(names))
    return AutoTokenizer.from_pretrained(path), model, names


def main():
    script, settings = HfArgumentParser((ScriptArguments, TrainingArguments)).parse_args_into_dataclasses()
    set_seed(settings.seed)
    files = {"train": script.train_file, "validation": script.validation_file}
    data = load_dataset("json", data_files=files, cache_dir=settings.output_dir)
    tokenizer, model, names = load(script.model_name_or_path, data["train"])
    columns = [name for name in ("sentence1", "sentence2") if name in data["train"].column_names]
    padding = "max_length" if script.pad_to_max_length else False

    def encode(rows):
        texts = [rows[name] for name in columns]
        batch = tokenizer(*texts, max_length=script.max_seq_length, truncation=True, padding=padding)
        return {**batch, "label": [names.index(label) if names else label for label in rows["label"]]}

    def compute_metrics(prediction):
        if not names:
            return {"mse": float(((prediction.predictions.squeeze() - prediction.label_ids) ** 2).mean())}
        return {"accuracy": float((np.argmax(prediction.predictions, axis=1) == prediction.label_ids).mean())}

    data = data.map(encode, batched=True)
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
        data_collator=default_data_collator if script.pad_to_max_length else DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
    )
    if settings.do_train:
        trainer.train()
        trainer.save_model()
    result = {
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "metrics": trainer.evaluate(),
        "predictions": trainer.predict(data["validation"].remove_columns("label")).predictions.tolist(),
    }
    (Path(settings.output_dir) / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
