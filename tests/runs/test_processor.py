# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from transformers_glm.runs import processor


def warnings(monkeypatch, caplog, tmp_path, slowdown, bf16):
    monkeypatch.setattr(processor, "bf16_slowdown", lambda: slowdown)
    with caplog.at_level(logging.WARNING):
        processor.warn_of_slow_bf16(TrainingArguments(str(tmp_path), use_cpu=True, bf16=bf16, report_to="none"))
    return caplog.text


def test_a_processor_without_bf16_is_told_with_what_was_measured(monkeypatch, caplog, tmp_path):
    text = warnings(monkeypatch, caplog, tmp_path, 117.4, bf16=True)
    assert "takes 117 times as long" in text and processor.processor_name() in text and "Give --bf16 False" in text


def test_nothing_is_told_where_bf16_is_fast_or_off(monkeypatch, caplog, tmp_path):
    assert not warnings(monkeypatch, caplog, tmp_path, 0.5, bf16=True)
    assert not warnings(monkeypatch, caplog, tmp_path, 117.4, bf16=False)


def test_the_slowdown_is_that_of_products(monkeypatch):
    """Of a bf16 that is made slow by hand, the factor is found."""
    seconds = {torch.bfloat16: 3.0, torch.float32: 0.5}
    monkeypatch.setattr(processor, "_seconds", seconds.get)
    assert processor.bf16_slowdown() == 6.0


def test_products_are_timed_without_the_first_one(monkeypatch):
    seconds = iter([100, 5, 4, 6])
    monkeypatch.setattr(
        processor.timeit, "repeat", lambda product, number, repeat: [next(seconds) for _ in range(repeat)]
    )
    assert processor._seconds(torch.bfloat16) == 4


@pytest.mark.parametrize("information", ["/proc/cpuinfo", "nowhere"])
def test_the_processor_has_a_name(information, monkeypatch):
    monkeypatch.setattr(processor, "INFORMATION", Path(information))
    name = processor.processor_name()
    assert torch.backends.cpu.get_cpu_capability() in name and f"{torch.get_num_threads()} threads" in name
    assert not name.startswith(",")
