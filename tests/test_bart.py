# SPDX-License-Identifier: Apache-2.0
"""benchmarks/bart.py: a BART of the same sizes is trained on the rows without their blanks, and scored as a run of the script is."""

import importlib.util
import json
from pathlib import Path


def test_a_bart_of_the_same_size_is_the_baseline(tmp_path, monkeypatch):
    path = Path(__file__).parents[1] / "benchmarks" / "bart.py"
    spec = importlib.util.spec_from_file_location("bart", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"source": f"{word} and so on", "target": word}) for word in "abcdef"))
    sources = []
    blank = module.without_blank
    monkeypatch.setattr(module, "without_blank", lambda row, masks: sources.append(blank(row, masks)) or sources[-1])
    sizes = '{"hidden_size": 32, "num_layers": 3, "num_attention_heads": 2, "max_sequence_length": 48}'
    flags = ["--config", sizes, "--vocab_size", "300", "--max_steps", "1", "--max_target_length", "8", "--use_cpu"]
    flags += ["--source", "[sMASK] {{ source }}", "--max_length", "5", "--metrics", "bleu", "--save_strategy", "no"]
    files = [
        "--train_data",
        str(rows),
        "--evaluation_data",
        str(rows),
        "--output_dir",
        str(tmp_path / "runs" / "bart"),
    ]
    module.main([*flags, *files, "--disable_tqdm", "True"])
    metrics = json.loads((tmp_path / "runs" / "bart" / "metrics.json").read_text())
    assert (metrics["method"], metrics["train_rows"], metrics["eval_rows"]) == ("bart", 6, 6) and "bleu" in metrics
    lines = (tmp_path / "runs" / "bart" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["references"] for line in lines] == [[word] for word in "abcdef"]
    assert {len(row["input_ids"]) for row in sources} == {5}  # as long as those of a GLM, whose blank is one of them
