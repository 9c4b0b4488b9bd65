# SPDX-License-Identifier: Apache-2.0
"""A saved adapter does in another process, on a base that is loaded there, what it did where it was saved."""

import subprocess
import sys

import pytest
import torch
from conftest import make_config, make_model
from peft import LoraConfig, get_peft_model
from peft_cases import BATCH, EVERY, METHODS, NEW, PROMPT, ROOT, TASKS, logits_of, same

from modeling_glm import GLMForSequenceClassification


WEIGHTS = {name: lambda task, method=METHODS[name]: method(task_type=task) for name in ("DoRA", "IA3")}
VIRTUAL = {name: EVERY[name] for name in ("prompt tuning", "prefix tuning", "P-tuning")}
ADAPTERS = {f"{name}, {task}": (config, task) for name, config in (WEIGHTS | VIRTUAL).items() for task in TASKS[:2]}
# the rows of two new tokens, and the table with its tied head
RESIZED = {f"resized, {way}": lambda task, way=way: LoraConfig(task_type=task, **NEW[way]) for way in NEW}
ADAPTERS |= {f"{name}, {task}": (config, task) for name, config in RESIZED.items() for task in TASKS[:2]}
# with its own head, which is saved whole
ADAPTERS |= {"LoRA, SEQ_CLS": (lambda task: LoraConfig(task_type=task), "SEQ_CLS")}
LOAD = """
import sys, torch
import peft, transformers_glm
from transformers import AutoModelForSeq2SeqLM
inputs = torch.load("inputs.pt", weights_only=True)
auto = {"CAUSAL_LM": "CausalLM", "SEQ_2_SEQ_LM": "Seq2SeqLM", "SEQ_CLS": "SequenceClassification"}
outputs = {}
for name in sys.argv[1:]:
    task = name.split(", ")[-1]
    if name.startswith("resized"):
        base = AutoModelForSeq2SeqLM.from_pretrained("base")
        torch.manual_seed(5)
        base.resize_token_embeddings(101, mean_resizing=False)
        model = peft.PeftModel.from_pretrained(base, name).eval()
    else:
        settings = {"num_labels": 3} if task == "SEQ_CLS" else {}
        model = getattr(peft, f"AutoPeftModelFor{auto[task]}").from_pretrained(name, **settings).eval()
    with torch.no_grad():
        outputs[name] = [model(**inputs["prompt" if task == "SEQ_CLS" else "batch"]).logits]
    if task != "SEQ_CLS":
        outputs[name].append(model.generate(**inputs["prompt"], max_new_tokens=6))
torch.save(outputs, "outputs.pt")
"""


def base_of(name):
    if name.endswith("SEQ_CLS"):
        torch.manual_seed(0)
        return GLMForSequenceClassification(make_config(num_labels=3)).eval()
    model = make_model()
    if name.startswith("resized"):
        torch.manual_seed(5)
        model.resize_token_embeddings(101, mean_resizing=False)
    return model


def outputs_of(model, name):
    if name.endswith("SEQ_CLS"):
        return [logits_of(model, **PROMPT)]
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
    torch.save({"batch": BATCH, "prompt": PROMPT}, folder / "inputs.pt")
    here = {}
    for name, (config, task) in ADAPTERS.items():
        base = base_of(name)
        base.name_or_path = "classifier" if task == "SEQ_CLS" else "base"  # as the other process finds it
        if not name.startswith("resized"):
            base.save_pretrained(folder / base.name_or_path)
        model = moved(get_peft_model(base, config(task)))
        model.save_pretrained(folder / name)
        here[name] = outputs_of(model, name)
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
    (logits, *tokens), (logits_there, *tokens_there) = (outputs[name] for outputs in here_and_there)
    same(logits_there, logits)
    assert [one.tolist() for one in tokens_there] == [one.tolist() for one in tokens]
    base_logits, *base_tokens = outputs_of(base_of(name), name)
    assert (logits[:, -base_logits.shape[1] :] - base_logits).abs().max() > 0.5  # a lost adapter would show
    assert tokens == [] or tokens[0].tolist() != base_tokens[0].tolist()
