# SPDX-License-Identifier: Apache-2.0
"""Several processes on one machine: scripts/pretrain.py under torchrun against one process with the same batch."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from conftest import make_model
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer


ROOT = Path(__file__).parents[2]
TIMEOUT = 600  # seconds; a process takes ten to start where the machine is busy
SIZES = {
    **{"hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "max_sequence_length": 48},
    **{"embedding_dropout_prob": 0, "attention_dropout_prob": 0, "output_dropout_prob": 0, "initializer_range": 0.25},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("distributed")
    paragraphs = (
        f"This is text number {n}. It holds {n * n} words, or less! Does it end here? Yes." for n in range(70)
    )
    (path / "text.txt").write_text("\n\n".join(paragraphs))
    return path


def launch(processes, script, *arguments, cache, **environment):
    """Run a script in this many processes; nothing of them is left when this returns."""
    torchrun = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command = [*torchrun, "--nproc_per_node", str(processes)] if processes > 1 else []
    environment = {
        **{"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        **{"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(cache)},
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        **environment,
    }
    run = subprocess.Popen(
        [sys.executable, *command, str(Path(__file__).parents[1] / script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        stdout, stderr = run.communicate(timeout=TIMEOUT)
    finally:
        if run.poll() is None:
            run.terminate()  # torchrun ends its processes
            run.wait(60)
    return subprocess.CompletedProcess(command, run.returncode, stdout, stderr)


class Run:
    """A run of tests/distributed_run.py and what it left."""

    def __init__(self, folder, name, *flags, processes=1, **environment):
        self.processes, self.environment = processes, environment
        self.output, self.records, self.cache = (folder / name / part for part in ("output", "records", "cache"))
        self.records.mkdir(parents=True)
        self.flags = [
            *("--train_data", folder / "text.txt", "--document", "paragraph", "--output_dir", self.output),
            *("--vocab_size", "300", "--config", json.dumps(SIZES), "--evaluation_documents", "13"),
            *("--learning_rate", "1e-3", "--logging_steps", "1", "--lr_scheduler_type", "constant"),
            # keys shifted by a constant change nothing: their bias has rounding for a gradient, which Adam would blow up
            *("--adam_epsilon", "1e-4"),
            *("--report_to", "none", "--disable_tqdm", "True", "--use_cpu", *flags),
        ]

    def go(self, kill=(-1, -1)):
        self.done = launch(
            *(self.processes, "distributed_run.py", self.records, *kill, *self.flags),
            cache=self.cache,
            **self.environment,
        )
        return self

    def finish(self):
        self.go()
        assert self.done.returncode == 0, self.done.stderr[-4000:]
        return self

    def rows(self):
        """The rows of each forward pass of all processes, without the empty ones; the order within is not told."""
        ranks = [(self.records / f"rank-{rank}.jsonl").read_text().splitlines() for rank in range(self.processes)]
        passes = [[sorted(row for row in json.loads(line) if len(row) > 1) for line in lines] for lines in ranks]
        return [sorted(sum(parts, [])) for parts in zip(*passes, strict=True)]

    def sharded(self):
        """How many parameters each process held a part of, for FSDP falls back to DDP without a word."""
        return [int((self.records / f"sharded-{rank}").read_text()) for rank in range(self.processes)]

    def losses(self):
        history = json.loads((self.records / "log-0.json").read_text())
        return [entry["loss"] for entry in history if "loss" in entry]

    def weights(self):
        weights = load_file(self.output / "model.safetensors")
        head = weights.pop("lm_head.weight", None)  # sharded runs write the tied head too
        assert head is None or torch.equal(head, weights["glm.word_embeddings.weight"])
        return weights

    def metrics(self):
        metrics = json.loads((self.output / "metrics.json").read_text())
        return {name: value for name, value in metrics.items() if "second" not in name and "runtime" not in name}


def check_equal(run, expected, tolerance=1e-5):
    assert run.losses() == pytest.approx(expected.losses(), rel=1e-5)
    assert run.metrics() == pytest.approx(expected.metrics(), rel=1e-5)
    ours, theirs = run.weights(), expected.weights()
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=tolerance)


def batch_of(rows, *flags):
    return ["--per_device_train_batch_size", rows, "--per_device_eval_batch_size", rows, *flags]


EPOCHS = ["--num_train_epochs", "2", "--save_strategy", "no"]  # two of 57 rows


@pytest.fixture(scope="module")
def one_process(folder):
    return Run(folder, "one", *batch_of("8", *EPOCHS)).finish()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_with_the_same_batch(folder, one_process):
    two = Run(folder, "two", *batch_of("4", *EPOCHS), processes=2).finish()
    passes = two.rows()
    # every row once an epoch, of eight passes
    assert [sum(map(len, epoch)) for epoch in (passes[:8], passes[8:])] == [57, 57] and len(passes) == 16
    assert two.rows() == one_process.rows()
    check_equal(two, one_process)
    # the first process speaks and writes for both
    assert two.done.stdout.count("eval_perplexity  ") == 1
    assert two.done.stderr.count("Training a tokenizer") == two.done.stderr.count("Saved model") == 1
    loaded = AutoModelForSeq2SeqLM.from_pretrained(two.output)
    assert len(AutoTokenizer.from_pretrained(two.output)) == loaded.config.vocab_size


@pytest.mark.slow
def test_four_processes_with_workers_and_accumulation_change_nothing(folder, one_process):
    flags = ["--gradient_accumulation_steps", "2", "--dataloader_num_workers", "2"]
    four = Run(folder, "four", *batch_of("1", *EPOCHS, *flags), processes=4).finish()
    passes = four.rows()
    pairs = zip(passes[::2], passes[1::2], strict=True)
    assert [sorted(first + second) for first, second in pairs] == one_process.rows()
    assert four.losses() == pytest.approx(one_process.losses(), rel=1e-5)
    for name, weight in one_process.weights().items():
        torch.testing.assert_close(four.weights()[name], weight, rtol=0, atol=1e-5)


STREAM = ["--streaming", "--packing", "--max_steps", "20"]  # into the third pass


@pytest.mark.slow
def test_two_processes_share_a_stream(folder):
    one = Run(folder, "stream-one", *batch_of("8", *STREAM, "--save_strategy", "no")).finish()
    two = Run(folder, "stream-two", *batch_of("4", *STREAM, "--save_strategy", "no"), processes=2).finish()
    check_equal(two, one)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags", [["--max_steps", "20"], STREAM, ["--max_steps", "20", "--fsdp"]], ids=lambda f: f[-1]
)
def test_a_killed_process_loses_nothing(folder, flags):
    name = "-".join(flags).replace("--", "")
    # steps 1 to 8 are the first epoch, so that it dies, and goes on, in the middle of the second
    flags = batch_of("4", *flags, "--save_steps", "5")
    whole = Run(folder, f"whole-{name}", *flags, processes=2).finish()
    broken = Run(folder, f"broken-{name}", *flags, processes=2).go(kill=(1, 13))
    assert broken.done.returncode != 0
    assert {path.name for path in broken.output.glob("checkpoint-*")} == {"checkpoint-5", "checkpoint-10"}
    assert not (broken.output / "model.safetensors").exists()
    assert (min(broken.sharded()) > 0) == ("--fsdp" in flags)
    broken.finish()
    expected, weights = whole.weights(), broken.weights()
    assert expected.keys() == weights.keys()
    assert all(torch.equal(expected[name], weights[name]) for name in expected)
    assert broken.metrics()["eval_loss"] == whole.metrics()["eval_loss"]
    broken.finish()
    assert "All 20 steps are done already" in broken.done.stderr
    assert broken.metrics()["eval_loss"] == pytest.approx(whole.metrics()["eval_loss"])


@pytest.mark.slow
def test_fsdp_learns_what_one_process_learns(folder, one_process):
    flags = ["--fsdp", "--fsdp_config", ROOT / "configs" / "fsdp2.json", "--activation_checkpointing"]
    two = Run(folder, "fsdp", *batch_of("4", *EPOCHS, *flags), processes=2).finish()
    check_equal(two, one_process)
    assert one_process.sharded() == [0] and min(two.sharded()) > 0


@pytest.mark.slow
@pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed")
@pytest.mark.parametrize("stage", ["2", "3"])
def test_deepspeed_learns_what_one_process_learns(folder, one_process, stage):
    flags = ["--deepspeed", ROOT / "configs" / f"deepspeed_zero{stage}.json"]
    run = Run(folder, f"zero{stage}", *batch_of("4", *EPOCHS, *flags), processes=2, DS_ACCELERATOR="cpu")
    check_equal(run.finish(), one_process)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fsdp", "tp"])
def test_a_model_sharded_by_its_plan_computes_the_same(tmp_path, how):
    make_model().save_pretrained(tmp_path / "model")
    blocks = torch.tensor([[0] * 8 + [1, 2, 3, 4]] * 2)
    places = torch.tensor([[*range(8), 3, 3, 3, 3]] * 2)
    ids = torch.randint(10, 80, (2, 12), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "position_ids": places, "block_position_ids": blocks}
    torch.save(batch | {"labels": ids.masked_fill(blocks == 0, -100)}, tmp_path / "batch.pt")
    done = launch(2, "sharded_run.py", how, tmp_path / "model", tmp_path, cache=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    for rank in range(2):
        found = json.loads((tmp_path / f"found-{rank}.json").read_text())
        assert max(found["loss"], found["logits"], found["gradients"], found["scores of choices"]) < 1e-5
        assert found["generates the same"]
        assert found["held"] == pytest.approx(0.5, abs=0.03)
        assert found["sharded"] > 0.8
    saved, original = (load_file(tmp_path / name / "model.safetensors") for name in ("saved", "model"))
    assert all(torch.equal(saved[name], original[name]) for name in original)
