# SPDX-License-Identifier: Apache-2.0
"""The command seq2seq from end to end, on small rows."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from transformers_glm.commands.seq2seq import main
from transformers_glm.data.templates import Template
from transformers_glm.infilling import fill_blanks
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.model_arguments import FinetuningArguments
from transformers_glm.seq2seq.arguments import RowArguments, TaskArguments
from transformers_glm.seq2seq.tasks import generation_settings


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[2]
SIZES = '{"hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "max_sequence_length": 48}'
WORDS = ["one", "two", "three", "four", "five", "six"]


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [{"text": f"{a} and {b}", "first": a, "other": b} for a in WORDS for b in WORDS]
    path.write_text("\n".join(json.dumps({"idx": number, **row}) for number, row in enumerate(rows)))
    return str(path)


def finetune(rows_file, output_dir, *more, train=True, config=("--config", SIZES)):
    flags = ["--evaluation_data", rows_file, "--evaluation_rows", "6", "--vocab_size", "300", *config]
    flags += ["--train_data", rows_file] if train else []
    flags += ["--source", "{{ text }}", "--target", " {{ first }}", "--max_target_length", "8"]
    flags += ["--output_dir", str(output_dir), "--disable_tqdm", "True", "--use_cpu", "--save_strategy", "no"]
    return main([*flags, *more])


def predictions_of(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_leaves_a_model_metrics_predictions_and_a_line(rows_file, tmp_path):
    flags = ["--max_steps", "2", "--task", "first", "--metrics", "bleu", "rouge"]
    metrics = finetune(rows_file, tmp_path / "run", *flags)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    identity = [metrics[name] for name in ("task", "method", "model", "seed", "train_rows", "eval_rows", "steps")]
    assert identity == ["first", "glm", "new", 42, 36, 6, 2]
    assert {"bleu", "rouge1", "rougeL", "eval_loss", "train_loss", "parameters"} <= set(metrics)
    assert metrics["command"].startswith("transformers-glm seq2seq --evaluation_data ")
    predictions = predictions_of(tmp_path / "run")
    assert list(predictions[0]) == ["idx", "source", "prediction", "references"]
    assert all(row["source"].split()[0] == row["references"][0] == WORDS[row["idx"] // 6] for row in predictions)
    assert json.loads((tmp_path / "results.jsonl").read_text())["bleu"] == metrics["bleu"]
    assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").num_parameters() == metrics["parameters"]


def test_rows_keep_their_predictions_when_training_is_ordered_by_length(rows_file, tmp_path):
    wide = ("--config", SIZES.replace("}", ', "initializer_range": 0.5}'))
    flags = ("--max_steps", "1", "--learning_rate", "1e-9", "--per_device_eval_batch_size", "2")
    predictions = []
    for name, more in (("one", ()), ("other", ("--train_sampling_strategy", "group_by_length"))):
        finetune(rows_file, tmp_path / name, *flags, *more, config=wide)
        predictions.append([row["prediction"] for row in predictions_of(tmp_path / name)])
    assert predictions[1] == predictions[0]
    assert len(set(predictions[0])) > 3


def test_several_texts_may_be_right_and_the_source_is_written_uncut(tmp_path):
    rows = [{"text": f"{word} and so on", "first": word, "answers": [{"a": word}, {"a": "else"}]} for word in WORDS]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ["--max_steps", "1", "--references", "answers | map(attribute='a') | list", "--max_length", "5"]
    metrics = finetune(str(tmp_path / "rows.jsonl"), tmp_path / "run", *flags, "--source", "[MASK] {{ text }}")
    lines = predictions_of(tmp_path / "run")
    assert [line["references"] for line in lines] == [[word, "else"] for word in WORDS]
    assert [line["source"] for line in lines] == [f"[MASK] {row['text']}" for row in rows]
    assert metrics["evaluation_data"] == str(tmp_path / "rows.jsonl")


def test_two_text_files_are_source_and_target_and_two_tables_are_one(tmp_path):
    texts, tables = ([str(tmp_path / f"{name}{end}") for name in "ab"] for end in (".en", ".tsv"))
    for file in texts + tables:
        Path(file).write_text("a\tb\n1\t2\n")
    named = [f"{name}={file}" for name, file in zip(("source", "target"), texts, strict=True)]
    for given, read in ((texts, named), (named, named), (tables, tables)):
        assert list(RowArguments(train_data=given).source("train").paths) == read
    assert RowArguments(train_data=texts, data_kwargs={"path": "csv"}).source("train").paths == texts


@pytest.mark.parametrize("column, units", [("zh", "characters"), ("first", "english")])
def test_the_metrics_are_those_of_the_predictions_that_are_written(column, units, tmp_path):
    """By the libraries themselves, for texts in Chinese and in English."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    rows = [{"text": f"{a} 填空", "zh": f"第{n}个空在这里", "first": f"{a} and {a}"} for n, a in enumerate(WORDS)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ["--max_steps", "30", "--learning_rate", "1e-2", "--target", f"{{{{ {column} }}}}", "--units", units]
    flags += ["--metrics", "bleu", "rouge", "--max_target_length", "24"]
    metrics = finetune(str(tmp_path / "rows.jsonl"), tmp_path / "run", *flags)
    lines = predictions_of(tmp_path / "run")
    texts, right = [line["prediction"] for line in lines], [line["references"][0] for line in lines]
    assert right == [row[column] for row in rows] and metrics["rouge1"] > 0
    bleu = BLEU(tokenize="zh" if units == "characters" else "13a").corpus_score(texts, [right]).score
    assert metrics["bleu"] == pytest.approx(bleu)
    if units == "english":
        scorer = RougeScorer(["rouge1"], use_stemmer=True)
        shares = [scorer.score(one, text)["rouge1"].fmeasure for one, text in zip(right, texts, strict=True)]
        assert metrics["rouge1"] == pytest.approx(100 * sum(shares) / len(shares))


@pytest.mark.slow
def test_a_task_is_learned_and_the_saved_model_writes_what_was_scored(rows_file, tmp_path):
    flags = ["--max_steps", "150", "--learning_rate", "3e-3", "--metrics", "rouge", "--source", "{{ text }} [sMASK]"]
    flags += ["--generation", '{"num_beams": 2}']
    metrics = finetune(rows_file, tmp_path / "run", *flags, "--label_smoothing_factor", "0.1")
    assert metrics["rouge1"] == 100
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert tokenizer.append_mask == "[sMASK]"  # the stock tokenizer makes the source, blank and all
    inputs = tokenizer(["two and six", "five and one"], padding=True, return_tensors="pt")
    assert inputs["input_ids"][0, -2] == tokenizer.smask_token_id
    written = tokenizer.batch_decode(model.generate(**inputs), skip_special_tokens=True)
    assert [text.strip() for text in written] == ["two", "five"]
    again = ["--model", str(tmp_path / "run"), *flags[4:]]
    for name, more in (("named", ["--train_rows", "0"]), ("without", [])):
        scored = finetune(rows_file, tmp_path / name, *again, *more, train=bool(more), config=())
        assert scored["rouge1"] == 100 and scored["train_rows"] == 0 and "steps" not in scored


def test_the_generation_that_was_asked_for_is_the_saved_models(rows_file, tmp_path):
    asked = {"num_beams": 3, "length_penalty": 0.7, "no_repeat_ngram_size": 3, "min_new_tokens": 4}
    finetune(rows_file, tmp_path / "run", "--max_steps", "1", "--generation", json.dumps(asked))
    model, tokenizer = (kind.from_pretrained(tmp_path / "run") for kind in (AutoModelForSeq2SeqLM, AutoTokenizer))
    config = model.generation_config
    assert {name: getattr(config, name) for name in asked} == asked and config.max_length == 9  # with sop
    assert set(asked) <= set(generation_settings(TaskArguments()))  # which another task of this model says anew
    ends = {tokenizer.eop_token_id, tokenizer.eos_token_id}
    pieces = model.generate(**tokenizer(["one and two"] * 2, return_tensors="pt"))
    assert pieces.shape[1] <= 9 and not ends & set(pieces[:, 1:5].flatten().tolist())


def test_equal_seeds_give_equal_models_and_other_seeds_others(rows_file, tmp_path):
    flags = ["--max_steps", "2", "--train_rows", "12"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        finetune(rows_file, tmp_path / name, *flags, "--seed", seed)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("task", ["seq2seq", "infilling"])
def test_adapters_are_trained_and_saved_alone(task, rows_file, tmp_path):
    finetune(rows_file, tmp_path / "whole", "--max_steps", "1")
    flags = ["--model", str(tmp_path / "whole"), "--lora_r", "2", "--max_steps", "2", "--learning_rate", "0.05"]
    flags += ["--task", task, "--blank_ratios", "0.4", "--metrics", "bleu"]
    metrics = finetune(rows_file, tmp_path / "lora", *flags, config=())
    assert metrics["method"] == "glm-lora" and {"bleu", "bleu_40"} & set(metrics)
    assert not (tmp_path / "lora" / "model.safetensors").exists()
    adapters = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert all("query_key_value.lora_" in name for name in adapters) and any(bool(a.any()) for a in adapters.values())


def test_words_are_blanked_and_all_blanks_filled(rows_file, tmp_path):
    flags = ["--task", "infilling", "--blank_ratios", "0.3", "0.7", "--metrics", "bleu", "--max_steps", "2"]
    metrics = finetune(rows_file, tmp_path / "run", *flags)
    assert {"bleu_30", "bleu_70", "eval_loss"} <= set(metrics)
    rows = predictions_of(tmp_path / "run")
    assert [row["ratio"] for row in rows] == [0.3] * 6 + [0.7] * 6
    assert all(len(row["pieces"]) == row["source"].count("[MASK]") > 0 for row in rows)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").eval()
    assert fill_blanks(model, tokenizer, rows[-1]["source"], max_new_tokens=8).text == rows[-1]["prediction"]


@pytest.mark.parametrize(
    "flags, match",
    [
        (["--max_length", "50"], r"--max_length 50 is more than the model's position table of 49 rows"),
        (["--max_target_length", "49"], r"--max_target_length 49: .* 48 at most"),
        (["--generation", '{"min_new_tokens": 8}'], "min_new_tokens 8, .* no room below --max_target_length 8"),
        (["--generation", '{"num_beams": 0}'], "num_beams 0: a whole number, one beam at least"),
        (["--generation", '{"beams": 4}'], "names beams, which .* does not have. Did you mean num_beams"),
        (["--generation", '{"max_new_tokens": 4}'], "has max_new_tokens, which the run sets"),
        (["--generation", "4"], "--generation '4' must be a JSON object"),
        (["--lora_r", "4"], "--lora_r adapts a trained model"),
        (["--metrics", "bertscore"], "No metric is called 'bertscore'"),
        (["--source", "{{ txt }}"], r"rows\.jsonl, row 1: .*'txt' is undefined; the row has first, idx, other, text"),
        (["--train_rows", "37"], "37 rows were asked for, there are 36"),
        (["--train_rows", "0"], "with --train_rows 0.* there is a --model to be scored"),
        (["--references", "nothing"], r"rows\.jsonl, row 1: 'nothing' is not found"),
        (["--task", "infilling", "--blank_ratios", "10"], r"--blank_ratios \[10.0\]: give shares"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(flags, match, rows_file, tmp_path):
    with pytest.raises(ValueError, match=match):
        finetune(rows_file, tmp_path / "run", *flags)
    assert not (tmp_path / "run" / "model.safetensors").exists()


DATACLASSES = (FinetuningArguments, RowArguments, TaskArguments)
#                      source, target, least, beams, penalty, n-gram, epochs, rate     (of the original's recipes)
PUBLISHED = {
    "seq2seq_cnn_dm": (608, 160, 55, 5, 0.7, 3, 15, 3e-5),
    "seq2seq_xsum": (608, 60, 10, 6, 1.0, 3, 6, 1e-5),
    "seq2seq_gigaword": (192, 32, 0, 5, 0.6, 3, 10, 3e-5),
    "seq2seq_squad_qg": (464, 48, 0, 5, 0.7, 0, 10, 2e-5),
}


def test_there_are_25_flags():
    fields = [part.__dataclass_fields__ for part in DATACLASSES]
    assert sum(map(len, fields)) == len(set().union(*fields)) == 25


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs").glob("seq2seq_*.yaml")))
def test_every_config_is_a_run_and_the_papers_have_its_settings(name):
    flags = ["--use_cpu", "--bf16", "False"]
    _, rows, task, training = parse_arguments(DATACLASSES, [name, *flags], training="Seq2SeqTrainingArguments")
    assert training.output_dir == f"output/{name}" and rows.has_training
    assert task.task == "infilling" or Template(task.target).fields
    assert Template(task.source).fields and Template(task.source).blanks == (task.task != "infilling")
    found = {"length_penalty": 1.0, "no_repeat_ngram_size": 0, "min_new_tokens": 0, **task.generation}
    beams = (found.get("num_beams"), found["length_penalty"], found["no_repeat_ngram_size"])
    settings = (task.max_length, task.max_target_length, found["min_new_tokens"], *beams)
    settings += (training.num_train_epochs, training.learning_rate)
    assert settings == PUBLISHED.get(name, settings) and generation_settings(task)["num_beams"] >= 1
    assert (training.label_smoothing_factor, training.weight_decay, training.warmup_steps) == (0.1, 0.1, 0.06)
