# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from transformers_glm.runs.results import write_results


METRICS = {
    "task": "titles",
    "method": "glm",
    "model": "m",
    "seed": 3,
    "rouge1": 12.5,
    "note": None,
    "command": "python x",
}


def test_a_run_leaves_metrics_predictions_and_a_line_in_the_table(tmp_path):
    write_results(tmp_path / "one", METRICS, [{"prediction": "标题"}, {"prediction": "b"}])
    write_results(tmp_path / "two", {**METRICS, "seed": 4}, iter([]))
    assert json.loads((tmp_path / "one" / "metrics.json").read_text()) == METRICS
    assert (tmp_path / "one" / "predictions.jsonl").read_text(
        encoding="utf-8"
    ) == '{"prediction": "标题"}\n{"prediction": "b"}\n'
    assert (tmp_path / "two" / "predictions.jsonl").read_text() == ""
    table = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert table == [{"output_dir": "one", **METRICS}, {"output_dir": "two", **METRICS, "seed": 4}]
    assert not list(tmp_path.rglob("*unfinished*"))


def test_a_run_in_the_working_folder_is_named_by_it_too(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    write_results(".", METRICS, [])
    assert json.loads((tmp_path / "results.jsonl").read_text())["output_dir"] == "run"


def test_a_run_that_breaks_off_leaves_what_was_there(tmp_path):
    write_results(tmp_path / "run", METRICS, [{"prediction": "whole"}])

    def breaks_off():
        yield {"prediction": "half"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(tmp_path / "run", {**METRICS, "seed": 9}, breaks_off())
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["seed"] == 3
    assert (tmp_path / "run" / "predictions.jsonl").read_text() == '{"prediction": "whole"}\n'
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("value", [[1.0], {"bleu": 1}, np.float32(1)])
def test_a_metric_that_is_no_plain_number_is_refused_by_name(value, tmp_path):
    with pytest.raises(ValueError, match="scores"):
        write_results(tmp_path, {**METRICS, "scores": value}, [])
