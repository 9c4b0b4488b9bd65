# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from transformers_glm.pretraining.arguments import PretrainingArguments
from transformers_glm.pretraining.run import load_text
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import ModelArguments


SIZES = '{"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "max_sequence_length": 48}'


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def sources(tmp_path):
    """Text of three kinds: a file of WikiText, a folder of files, and rows with a column beside the text."""
    (tmp_path / "wiki.train.tokens").write_text(" = Ada = \n Ada wrote the first program . \n")
    (tmp_path / "novels").mkdir()
    for name in ("a", "b"):
        (tmp_path / "novels" / f"{name}.txt").write_text(f"Novel {name}. It ends.")
    (tmp_path / "poems.jsonl").write_text(json.dumps({"title": "t", "text": "A poem!"}))
    return [str(tmp_path / name) for name in ("wiki.train.tokens", "novels", "poems.jsonl")]


def arguments(sources, output_dir, *more):
    flags = ["--train_data", *sources, "--output_dir", str(output_dir), "--vocab_size", "300", "--config", SIZES]
    flags += ["--report_to", "none", "--disable_tqdm", "True", "--use_cpu", "--save_strategy", "no", *more]
    return parse_arguments((ModelArguments, PretrainingArguments), flags, training="TrainingArguments")


@pytest.mark.parametrize("streaming", [[], ["--streaming"]])
def test_several_sources_are_read_one_after_the_other(streaming, sources, tmp_path):
    train, _ = load_text(arguments(sources, tmp_path, *streaming)[1], seed=0)
    texts = [row["text"].strip() for row in train]
    assert texts == ["= Ada = \n Ada wrote the first program .", "Novel a. It ends.", "Novel b. It ends.", "A poem!"]
