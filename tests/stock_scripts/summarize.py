# SPDX-License-Identifier: Apache-2.0
"""A script for T5 and BART, in the form of the examples of Transformers. It knows nothing of GLM."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import load_dataset
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    HfArgumentParser,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)


@dataclass
class ScriptArguments:
    model_name_or_path: str
    train_file: str
    test_file: str
    max_source_length: int = 64
    max_target_length: int = 32
    pad_to_max_length: bool = False


def main():
    script, settings = HfArgumentParser((ScriptArguments, Seq2SeqTrainingArguments)).parse_args_into_dataclasses()
    tokenizer = AutoTokenizer.from_pretrained(script.model_name_or_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(script.model_name_or_path)
    if model.config.max_position_embeddings < script.max_source_length:
        model.resize_position_embeddings(script.max_source_length)
    padding = "max_length" if script.pad_to_max_length else False

    def encode(rows):
        batch = tokenizer(rows["source"], max_length=script.max_source_length, truncation=True, padding=padding)
        labels = tokenizer(text_target=rows["target"], max_length=script.max_target_length, truncation=True)
        return {**batch, "labels": labels["input_ids"]}

    files = {"train": script.train_file, "test": script.test_file}
    data = load_dataset("json", data_files=files, cache_dir=settings.output_dir)
    data = data.map(encode, batched=True, remove_columns=["source", "target"])

    def compute_metrics(prediction):
        tokens = np.where(prediction.predictions != -100, prediction.predictions, tokenizer.pad_token_id)
        return {"length": float((tokens != tokenizer.pad_token_id).sum(-1).mean())}

    trainer = Seq2SeqTrainer(
        model=model,
        args=settings,
        train_dataset=data["train"],
        eval_dataset=data["test"],
        processing_class=tokenizer,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        compute_metrics=compute_metrics,
    )
    if settings.do_train:
        trainer.train(resume_from_checkpoint=settings.resume_from_checkpoint)
        trainer.save_model()
        trainer.save_state()
    prediction = trainer.predict(data["test"])
    tokens, labels = (
        np.where(ids != -100, ids, tokenizer.pad_token_id) for ids in (prediction.predictions, prediction.label_ids)
    )
    result = {
        "labels": tokenizer.batch_decode(labels, skip_special_tokens=True),
        "texts": tokenizer.batch_decode(tokens, skip_special_tokens=True),
        "metrics": prediction.metrics,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "source": tokenizer.decode(data["train"][0]["input_ids"]),
        "best": trainer.state.best_model_checkpoint,
    }
    (Path(settings.output_dir) / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
