# SPDX-License-Identifier: Apache-2.0
import json

import pytest
from test_scripts import script

from transformers_glm.runs.reports import Value, as_markdown, draw, group_runs, read_runs
from transformers_glm.runs.results import write_results


def leave_run(folder, seed, method="glm", rows=32, **metrics):
    identity = {"task": "titles", "method": method, "model": "small", "seed": seed, "train_rows": rows, "eval_rows": 9}
    write_results(folder, {**identity, **metrics, "steps": 7, "command": "python x"}, [])


@pytest.fixture
def runs(tmp_path):
    for seed, rouge in enumerate((10.0, 12.0, 17.0)):
        leave_run(tmp_path / f"glm-{seed}", seed, rouge1=rouge)
    leave_run(tmp_path / "bart", 0, method="bart", rouge1=9.0, bleu=1.5)
    return tmp_path


def test_runs_that_differ_in_their_seed_become_mean_and_deviation(runs):
    bart, glm = group_runs(read_runs([runs]))
    assert glm.key == {"task": "titles", "method": "glm", "model": "small", "train_rows": 32}
    assert glm.values == {"rouge1": Value(13.0, pytest.approx(13**0.5), 3)}  # (9 + 1 + 16) / 2
    assert bart.values == {"rouge1": Value(9.0, None, 1), "bleu": Value(1.5, None, 1)}


def test_the_table_has_a_line_for_each_group(runs):
    assert as_markdown(group_runs(read_runs([runs / "glm-0", runs / "glm-1", runs / "bart"]))) == (
        "### titles\n\n"
        "| method | model | train_rows | runs | rouge1 | bleu |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| glm | small | 32 | 2 | 11.00 ± 1.41 |  |\n"
        "| bart | small | 32 | 1 | 9.00 | 1.50 |\n"
    )


def test_the_same_seed_twice_is_refused(runs):
    leave_run(runs / "again", 0, rouge1=1.0)
    with pytest.raises(ValueError, match=r"again and .*glm-0 agree in .* and in the seed 0"):
        group_runs(read_runs([runs]))


def test_runs_on_different_data_are_no_seeds_of_each_other(tmp_path):
    for seed, data, rouge in ((0, "xsum.jsonl", 10.0), (1, "cnn.csv", 30.0), (2, "xsum.jsonl", 12.0)):
        leave_run(tmp_path / str(seed), seed, rouge1=rouge, evaluation_data=data)
    xsum, cnn = group_runs(read_runs([tmp_path]))
    assert (xsum.key["evaluation_data"], xsum.values["rouge1"].mean, cnn.values["rouge1"].mean) == (
        "xsum.jsonl",
        11.0,
        30.0,
    )


def test_what_tells_two_runs_apart_is_named(runs):
    leave_run(runs / "again", 0, rouge1=1.0, use_peft=True)
    leave_run(runs / "glm-0", 0, rouge1=1.0, use_peft=False)
    with pytest.raises(ValueError, match=r"apart with --group_by: use_peft\."):
        group_runs(read_runs([runs]))
    assert (
        len(group_runs(read_runs([runs]), ["task", "method", "use_peft"])) == 4
    )  # bart, two older ones, with and without


def test_runs_without_the_metrics_asked_for_are_left_out(runs):
    for name in ("pretraining", "demo"):  # no task, no seed
        (runs / name).mkdir()
        (runs / name / "metrics.json").write_text('{"eval_perplexity": 9.0, "eval_runtime": 1.0}')
    [bart] = group_runs(read_runs([runs]), metrics=["bleu"])
    assert bart.key["method"] == "bart" and set(bart.values) == {"bleu"}
    [lone] = group_runs(read_runs([runs / "demo"]))
    assert as_markdown([lone]).startswith("### all runs\n") and set(lone.values) == {"eval_perplexity"}


def test_counts_are_whole_numbers_and_shares_have_three_digits(tmp_path):
    for seed, accuracy in enumerate((0.9125, 0.9375)):
        leave_run(tmp_path / str(seed), seed, accuracy=accuracy, perplexity=12.3456, answered=48)
    [group] = group_runs(read_runs([tmp_path]), metrics=["accuracy", "perplexity", "answered", "eval_rows"])
    assert {name: str(value) for name, value in group.values.items()} == {
        "accuracy": "0.925 ± 0.018",  # 0.0125 * sqrt(2)
        "perplexity": "12.35 ± 0.00",
        "answered": "48",
        "eval_rows": "9",
    }
    assert set(group_runs(read_runs([tmp_path]))[0].values) == {"accuracy", "perplexity", "answered"}


def test_a_metric_of_a_run_that_diverged_is_no_number_in_the_table_either(tmp_path):
    for seed, loss in enumerate((1.0, float("nan"))):
        leave_run(tmp_path / str(seed), seed, eval_loss=loss)
    assert "| 2 | nan ± nan |" in as_markdown(group_runs(read_runs([tmp_path])))


def test_what_cannot_be_read_is_named(runs):
    with pytest.raises(ValueError, match="No run has bertscore. They have rouge1, bleu"):
        group_runs(read_runs([runs]), metrics=["bertscore"])
    (runs / "bart" / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match=r"metrics\.json is not a JSON object"):
        read_runs([runs])
    with pytest.raises(ValueError, match="no metrics.json in .*nowhere"):
        read_runs([runs / "nowhere"])


def test_bars_show_the_mean_and_its_deviation(runs):
    figure = draw(group_runs(read_runs([runs]), metrics=["rouge1"]))
    [axis] = figure.axes
    assert sorted(bar.get_height() for bar in axis.patches) == [9.0, 13.0]
    assert axis.get_title() == "titles: rouge1"


def test_lines_go_over_the_number_of_training_rows(runs):
    leave_run(runs / "more", 0, rows=64, rouge1=20.0)
    figure = draw(group_runs(read_runs([runs]), metrics=["rouge1"]))
    lines = {tuple(map(tuple, line.get_xydata())) for line in figure.axes[0].get_lines()}
    assert ((32.0, 13.0), (64.0, 20.0)) in lines


def test_the_script_writes_the_table_and_the_plot(runs, capsys):
    table = script("report").main([str(runs), "--output", str(runs / "report")])
    assert (runs / "report" / "report.md").read_text(encoding="utf-8") == table
    assert table in capsys.readouterr().out
    assert (runs / "report" / "report.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((runs / "results.jsonl").read_text().splitlines()[0])["command"] == "python x"
