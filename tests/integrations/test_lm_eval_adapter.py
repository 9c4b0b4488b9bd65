# SPDX-License-Identifier: Apache-2.0
"""lm-evaluation-harness over a tiny GLM: every number is the naive twin's."""

import copy
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install '.[lm-eval]'")

import lm_eval
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
from naive_glm import naive_fill, naive_logits, naive_row

from transformers_glm.integrations.lm_eval_adapter import GLMHarness


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[2]
LAMBADA = ROOT.parent / "shared" / "data" / "lm_eval" / "lambada_test.jsonl"
CONTEXTS = [
    ("Ada Lovelace wrote the first", " program"),
    ("Ada", " wrote it for a machine"),
    ("", "Grace Hopper"),
    ("It was for a machine that was never ", "built!"),  # the space goes to the continuation
    ("Grace [MASK] a moth in the relay.", " found"),  # a cloze question
]


def requests(kind, *arguments):
    return [
        Instance(request_type=kind, doc={}, arguments=argument, idx=index) for index, argument in enumerate(arguments)
    ]


def harness(model, tokenizer, **kwargs):
    return GLMHarness(model, tokenizer=tokenizer, **kwargs)


def naive_score(model, tokenizer, part_a, piece):
    """The sum of log-probabilities of `piece` on the first blank of `part_a`, and whether it is the greedy one."""
    blank = next(index for index, token in enumerate(part_a) if token in tokenizer.mask_token_ids)
    heads = model.config.num_attention_heads
    row = naive_row(part_a, [(blank, piece[:-1])], tokenizer.sop_token_id)
    scores = naive_logits(model.state_dict(), heads, *row)[len(part_a) :].log_softmax(-1)
    return sum(float(scores[i, token]) for i, token in enumerate(piece)), scores.argmax(-1).tolist() == list(piece)


def part_a_of(tokenizer, context):
    """[CLS] context [gMASK], or [CLS] context <eos> where the context has a blank of its own."""
    ids = tokenizer(context.rstrip(), add_special_tokens=False)["input_ids"]
    return [tokenizer.cls_token_id, *ids, tokenizer.eos_token_id if "MASK]" in context else tokenizer.gmask_token_id]


def piece_of(tokenizer, context, continuation):
    spaces = context[len(context.rstrip()) :]
    return tokenizer(spaces + continuation, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_log_likelihoods_are_the_naive_twins(text_model, tokenizer, batch_size):
    answers = harness(text_model, tokenizer, batch_size=batch_size).loglikelihood(
        requests("loglikelihood", *CONTEXTS), disable_tqdm=True
    )
    for (context, continuation), (log_likelihood, is_greedy) in zip(CONTEXTS, answers, strict=True):
        part_a, piece = part_a_of(tokenizer, context), piece_of(tokenizer, context, continuation)
        expected = naive_score(text_model, tokenizer, part_a, piece)
        assert log_likelihood == pytest.approx(expected[0], abs=1e-4)
        assert is_greedy == expected[1]


def test_what_greedy_decoding_writes_is_greedy(text_model, tokenizer):
    part_a = part_a_of(tokenizer, "Ada wrote")
    with torch.no_grad():
        first = text_model(
            input_ids=torch.tensor([part_a]), decoder_input_ids=torch.tensor([[tokenizer.sop_token_id]])
        )
    continuation = tokenizer.decode(first.logits[0, 0].argmax())
    assert tokenizer(continuation, add_special_tokens=False)["input_ids"] == [int(first.logits[0, 0].argmax())]
    answers = harness(text_model, tokenizer).loglikelihood(
        requests("loglikelihood", ("Ada wrote", continuation), ("Ada wrote", continuation + "!")), disable_tqdm=True
    )
    assert [is_greedy for _, is_greedy in answers] == [True, False]


def test_a_vocabulary_without_gmask_is_asked_at_mask(text_model, tokenizer):
    plain = copy.deepcopy(tokenizer)
    plain.gmask_token = None
    model = harness(text_model, plain)
    assert model._encode_pair("Ada", " wrote")[0][-2:] == [plain.mask_token_id, plain.eos_token_id]
    assert plain.append_mask is None  # the caller's tokenizer is as it was


def test_a_long_context_is_cut_at_its_beginning(text_model, tokenizer):
    words = "the relay and the moth " * 40
    model = harness(text_model, tokenizer, max_length=20)
    part_a, piece = model._encode_pair(words, "in the log")
    full = tokenizer(words.rstrip(), add_special_tokens=False)["input_ids"]
    assert part_a == [tokenizer.cls_token_id, *full[-(18 - len(piece)) :], tokenizer.gmask_token_id]
    assert len(part_a) + len(piece) == 20
    answer = model.loglikelihood(requests("loglikelihood", (words, "in the log")), disable_tqdm=True)[0]
    assert answer[0] == pytest.approx(naive_score(text_model, tokenizer, part_a, piece)[0], abs=1e-4)


def test_what_cannot_be_scored_is_named(text_model, tokenizer):
    model = harness(text_model, tokenizer, max_length=20)
    with pytest.raises(ValueError, match="do not fit max_length=20"):
        model.loglikelihood(requests("loglikelihood", ("Ada", " wrote the log book" * 20)))
    with pytest.raises(ValueError, match="blank"):
        model.loglikelihood(requests("loglikelihood", ("[MASK]" + " the moth in the relay" * 20, " Ada")))
    with pytest.raises(ValueError, match="has no tokens"):
        model.loglikelihood(requests("loglikelihood", ("Ada", "")))
    with pytest.raises(ValueError, match="startofpiece"):
        model.loglikelihood(requests("loglikelihood", ("Ada<|startofpiece|>", " wrote")))


def test_settings_that_a_glm_has_not_are_refused(text_model, tokenizer):
    with pytest.raises(ValueError, match="auto"):
        harness(text_model, tokenizer, batch_size="auto:4")
    with pytest.raises(ValueError, match="causal"):
        harness(text_model, tokenizer, backend="causal")
    with pytest.raises(ValueError, match="stride=19"):
        harness(text_model, tokenizer, max_length=20, stride=19)


def test_windows_of_a_long_text_score_every_token_once(text_model, tokenizer):
    model = harness(text_model, tokenizer, max_length=6, stride=2)
    cls, gmask = tokenizer.cls_token_id, tokenizer.gmask_token_id
    assert list(model.windows([11, 12, 13, 14, 15, 16, 17])) == [
        ([cls, gmask], [11, 12, 13, 14]),
        ([cls, 13, 14, gmask], [15, 16]),
        ([cls, 14, 15, 16, gmask], [17]),
    ]
    assert list(model.windows([])) == []


@pytest.mark.parametrize("batch_size", [1, 4])
def test_rolling_log_likelihoods_are_the_naive_twins(text_model, tokenizer, batch_size):
    texts = ["Ada Lovelace wrote the first program. It was for a machine that was never built!", "Ada", ""]
    model = harness(text_model, tokenizer, max_length=12, batch_size=batch_size)
    assert model.stride == 6
    answers = model.loglikelihood_rolling(
        requests("loglikelihood_rolling", *((text,) for text in texts)), disable_tqdm=True
    )
    for text, answer in zip(texts, answers, strict=True):
        windows = list(model.windows(tokenizer(text, add_special_tokens=False)["input_ids"]))
        expected = [naive_score(text_model, tokenizer, part_a, piece)[0] for part_a, piece in windows]
        assert answer == pytest.approx(sum(expected), abs=1e-3)
    assert answers[2] == 0


@pytest.mark.parametrize("batch_size", [1, 3])
def test_texts_are_the_naive_twins_up_to_a_stop_string(text_model, tokenizer, batch_size):
    contexts = ["Ada", "Grace Hopper found a moth in", "Is a blank [MASK] text?"]
    ends, never = [tokenizer.eop_token_id, tokenizer.eos_token_id], [*tokenizer.mask_token_ids, tokenizer.sop_token_id]
    expected = []
    for context in contexts:
        part_a = part_a_of(tokenizer, context)
        blank = next(index for index, token in enumerate(part_a) if token in tokenizer.mask_token_ids)
        span = naive_fill(
            text_model.state_dict(), 4, part_a, [], blank, sop=never[-1], ends=ends, never=never, steps=12
        )
        expected.append(tokenizer.decode(span, skip_special_tokens=True))
    stop = expected[0][3:5]
    settings = ({"max_gen_toks": 12, "until": []}, {"max_gen_toks": 12, "until": [stop]})
    asked = [(context, setting) for context in contexts for setting in settings]
    answers = harness(text_model, tokenizer, batch_size=batch_size).generate_until(
        requests("generate_until", *asked), disable_tqdm=True
    )
    assert answers[0::2] == expected
    assert answers[1::2] == [text.split(stop)[0] for text in expected]
    assert answers[1] != answers[0]


def test_a_stop_string_ends_decoding(text_model, tokenizer, monkeypatch):
    written, generate = [], text_model.generate
    monkeypatch.setattr(text_model, "generate", lambda **kwargs: written.append(generate(**kwargs)) or written[-1])
    model = harness(text_model, tokenizer)
    (text,) = model.generate_until(requests("generate_until", ("Ada", {"max_gen_toks": 12})), disable_tqdm=True)
    model.generate_until(requests("generate_until", ("Ada", {"max_gen_toks": 12, "until": text[:2]})))
    assert written[1].shape[1] < written[0].shape[1]


# ------------------------------------------------------------------------------------------------------- whole evaluations


DOCS = (ROOT / "docs" / "evaluation-harness.md").read_text(encoding="utf-8")
LAMBADA_TASK = re.search(r"```yaml\n(.*?)```", DOCS, re.DOTALL)[1]
CLOZE_TASK = """
task: cloze_local
dataset_path: json
dataset_kwargs:
  data_files:
    test: rows.jsonl
output_type: multiple_choice
test_split: test
doc_to_text: "{{text}}"
doc_to_choice: [" found", " is", " wrote"]
doc_to_target: label
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


def write_task(folder, task, rows):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "task.yaml").write_text(re.sub(r"test: \w+\.jsonl", f"test: {folder / 'rows.jsonl'}", task))


def evaluate(folder, model, tokenizer, task):
    results = lm_eval.simple_evaluate(
        model=harness(model, tokenizer, batch_size=4),
        tasks=[task],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
    )
    return results["results"][task]


def test_lambada_runs_offline_and_is_the_naive_twins(text_model, tokenizer, tmp_path):
    if not LAMBADA.exists():
        pytest.skip("the LAMBADA test set is not there")
    rows = [json.loads(line) for line in LAMBADA.read_text().splitlines()[:6]]
    rows = [{"text": row["text"][-120:]} for row in rows]  # short enough for a position table of 128
    write_task(tmp_path, LAMBADA_TASK, rows)
    results = evaluate(tmp_path, text_model, tokenizer, "lambada_local")
    expected = []
    for row in rows:
        context, word = row["text"].rsplit(" ", 1)
        piece = piece_of(tokenizer, "", " " + word)
        expected.append(naive_score(text_model, tokenizer, part_a_of(tokenizer, context), piece))
    assert results["perplexity,none"] == pytest.approx(math.exp(-sum(score for score, _ in expected) / 6), rel=1e-4)
    assert results["acc,none"] == sum(greedy for _, greedy in expected) / 6


def test_multiple_choice_scores_the_choices_in_the_blank(text_model, tokenizer, tmp_path):
    rows = [{"text": "Grace [MASK] a moth.", "label": 0}, {"text": "Ada [MASK] the first program.", "label": 2}]
    write_task(tmp_path, CLOZE_TASK, rows)
    results = evaluate(tmp_path, text_model, tokenizer, "cloze_local")
    right = 0
    for row in rows:
        part_a = part_a_of(tokenizer, row["text"])
        scores = [
            naive_score(text_model, tokenizer, part_a, piece_of(tokenizer, "", choice))[0]
            for choice in (" found", " is", " wrote")
        ]
        right += scores.index(max(scores)) == row["label"]
    assert results["acc,none"] == right / 2


def test_the_harness_knows_the_model_by_name():
    assert get_model("glm") is GLMHarness
    assert get_model("hf").__name__ == "HFLM"


@pytest.mark.slow
def test_the_command_line_of_the_docs(text_model, tokenizer, tmp_path):
    for part in (text_model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    (tmp_path / "tasks").mkdir()
    write_task(tmp_path / "tasks", CLOZE_TASK, [{"text": "Grace [MASK] a moth.", "label": 0}])
    command = [sys.executable, "-m", "transformers_glm.integrations.lm_eval_adapter"]
    command += ["run", "--model", "glm", "--device", "cpu", "--tasks", "cloze_local", "--batch_size", "4"]
    command += ["--model_args", f"pretrained={tmp_path / 'model'}"]
    command += ["--include_path", tmp_path / "tasks", "--output_path", tmp_path / "results"]
    finished = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert finished.returncode == 0, finished.stderr
    (results,) = (tmp_path / "results").rglob("results_*.json")
    assert json.loads(results.read_text())["results"]["cloze_local"]["acc,none"] in (0, 1)
