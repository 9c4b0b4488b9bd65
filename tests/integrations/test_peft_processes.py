# SPDX-License-Identifier: Apache-2.0
"""A saved adapter does in another process, on a base that is loaded there, what it did where it was saved."""

import subprocess
import sys

import pytest
import torch
from conftest import make_model
from peft import LoraConfig, get_peft_model
from peft_cases import BATCH, EVERY, METHODS, NEW, PROMPT, ROOT, TASKS, logits_of, same


WEIGHTS = {name: lambda task, method=METHODS[name]: method(task_type=task) for name in ("DoRA", "IA3")}
VIRTUAL = {name: EVERY[name] for name in ("prompt tuning", "prefix tuning", "P-tuning")}
ADAPTERS = {f"{name}, {task}": (config, task) for name, config in (WEIGHTS | VIRTUAL).items() for task in TASKS[:2]}
# the rows of two new tokens, and the table with its tied head
RESIZED = {f"resized, {way}": lambda task, way=way: LoraConfig(task_type=task, **NEW[way]) for way in NEW}
ADAPTERS |= {f"{name}, {task}": (config, task) for name, config in RESIZED.items() for task in TASKS[:2]}
LOAD = """
import sys, torch
import transformers_glm
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM
inputs = torch.load("inputs.pt", weights_only=True)
outputs = {}
for name in sys.argv[1:]:
    base = AutoModelForSeq2SeqLM.from_pretrained("base")
    if name.startswith("resized"):
        torch.manual_seed(5)
        base.resize_token_embeddings(101, mean_resizing=False)
    model = PeftModel.from_pretrained(base, name).eval()
    with torch.no_grad():
        outputs[name] = [model(**inputs["batch"]).logits, model.generate(**inputs["prompt"], max_new_tokens=6)]
torch.save(outputs, "outputs.pt")
"""


def base_of(name):
    model = make_model()
    if name.startswith("resized"):
        torch.manual_seed(5)
        model.resize_token_embeddings(101, mean_resizing=False)
    return model


def outputs_of(model):
    return [logits_of(model, **BATCH), model.generate(**PROMPT, max_new_tokens=6)]


def moved(model):
    """Weights far enough from those an adapter begins with for every one to show."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def here_and_there(tmp_path_factory):
    """What each adapter gave before it was saved, and what it gave in one new process that loads them all."""
    folder = tmp_path_factory.mktemp("adapters")
    make_model().save_pretrained(folder / "base")
    torch.save({"batch": BATCH, "prompt": PROMPT}, folder / "inputs.pt")
    here = {}
    for name, (config, task) in ADAPTERS.items():
        model = moved(get_peft_model(base_of(name), config(task)))
        model.save_pretrained(folder / name)
        here[name] = outputs_of(model)
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["HOME"] = str(folder)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *ADAPTERS], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return here, torch.load(folder / "outputs.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_gives_in_a_new_process_what_it_gave_where_it_was_saved(name, here_and_there):
    (logits, tokens), (logits_there, tokens_there) = (outputs[name] for outputs in here_and_there)
    same(logits_there, logits)
    assert tokens_there.tolist() == tokens.tolist()
    base_logits, base_tokens = outputs_of(base_of(name))
    assert (logits[:, -base_logits.shape[1] :] - base_logits).abs().max() > 0.5  # a lost adapter would show
    assert tokens.tolist() != base_tokens.tolist()
