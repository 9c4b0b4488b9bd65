# SPDX-License-Identifier: Apache-2.0
"""benchmarks/gpu.py: it runs, it says what did not fit, and it claims nothing where there is no card."""

import importlib
import re
from argparse import Namespace
from pathlib import Path

import pytest
import torch


BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def check_small_table(gpu, printed, without=()):
    for name in gpu.CANDIDATES:
        ends = "not on a CPU" if any(word in name for word in without) else r"[\d.]+ text tokens/s"
        assert len(re.findall(rf"^{re.escape(name)} +{ends}", printed, re.MULTILINE)) == len(gpu.SMALL["lengths"]), (
            name
        )
    # the first of the sizes, all of them tiny here
    assert re.search(r"^10b +[\d.]+ text tokens/s", printed, re.MULTILINE)
    assert "out of memory" not in printed
    for name in ("GLMForConditionalGeneration", "GPT2LMHeadModel"):
        for cache in gpu.CACHES:
            assert len(re.findall(rf"^{name}, {cache} +[\d.]+ tokens/s", printed, re.MULTILINE)) == 2
    assert re.search(r"a step waits for its batch [\d.]+% of the time", printed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the same on a card, below")
def test_the_small_form_fills_the_whole_table(gpu, capsys):
    gpu.main(["--small"])
    check_small_table(gpu, capsys.readouterr().out, without=["flex_attention"])


@pytest.mark.gpu
def test_the_small_form_fills_the_whole_table_on_a_card(gpu, capsys):
    gpu.main(["--small"])
    printed = capsys.readouterr().out
    check_small_table(gpu, printed)
    assert torch.cuda.get_device_name() in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card")
def test_without_a_card_every_row_says_not_measured(gpu, capsys):
    gpu.main([])
    printed = capsys.readouterr().out
    assert "tokens/s" not in printed
    rows = [line for line in printed.splitlines()[1:] if line and not line.startswith("rows of")]
    assert len(rows) == 1 + 2 * len(gpu.CANDIDATES) + 1 + 3 + 1
    assert all("not measured" in row for row in rows)


def test_sizes_that_do_not_fit_are_named_and_the_next_one_is_tried(gpu, monkeypatch):
    training = importlib.import_module("gpu_training")
    tried = []

    def train(settings, *args):
        tried.append(settings["config"]["num_layers"])
        if len(tried) < 3:
            raise torch.OutOfMemoryError
        return {"rows": 4, "tokens/s": 5.0, "peak": "peak 6.0 GB"}

    monkeypatch.setattr(training, "train_checkpointed", train)
    lines = list(training.largest_size(Namespace(small=False), torch.device("cpu"), None))
    assert tried == [48, 36, 30]  # 10B, 2B, 515M
    assert [line.split(maxsplit=1) for line in lines[1:]] == [
        ["10b", "out of memory"],
        ["2b", "out of memory"],
        ["515m", "5 text tokens/s   peak 6.0 GB, 4 rows"],
    ]
