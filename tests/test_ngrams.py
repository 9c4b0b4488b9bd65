# SPDX-License-Identifier: Apache-2.0
"""benchmarks/ngrams.py: the baseline is fitted on the training rows, and scored on the others as a run of the script is."""

import importlib.util
import json
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]


@pytest.fixture
def ngrams():
    spec = importlib.util.spec_from_file_location("ngrams", ROOT / "benchmarks" / "ngrams.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_rows(path, rows):
    path.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))


def test_what_was_seen_in_training_decides(ngrams, tmp_path):
    write_rows(
        tmp_path / "train.tsv", [("a good film", 1), ("good fun", 1), ("a dull film", 0), ("dull, and long", 0)]
    )
    write_rows(tmp_path / "eval.tsv", [("a good plot", 1), ("a dull plot", 0), ("dull jokes", 1)])
    flags = ["--train_data", tmp_path / "train.tsv", "--evaluation_data", tmp_path / "eval.tsv"]
    ngrams.main(["--task", "sst2", *map(str, flags), "--output_dir", str(tmp_path / "runs" / "sst2-ngrams")])
    metrics = json.loads((tmp_path / "runs" / "sst2-ngrams" / "metrics.json").read_text())
    assert metrics["method"] == "n-grams" and metrics["train_rows"] == 4
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    lines = (tmp_path / "runs" / "sst2-ngrams" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == ["1", "0", "0"]
    assert json.loads((tmp_path / "runs" / "results.jsonl").read_text())["task"] == "sst2"


def test_rows_with_candidates_of_their_own_have_no_classes(ngrams, tmp_path):
    row = {"premise": "It rained.", "choice1": "wet", "choice2": "dry", "question": "effect", "label": 0, "idx": 0}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    flags = [
        "--train_data",
        tmp_path / "rows.jsonl",
        "--evaluation_data",
        tmp_path / "rows.jsonl",
        "--output_dir",
        tmp_path,
    ]
    with pytest.raises(SystemExit, match="candidates of their own"):
        ngrams.main(["--task", "copa", *map(str, flags)])
