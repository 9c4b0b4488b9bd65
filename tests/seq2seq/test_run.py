# SPDX-License-Identifier: Apache-2.0
"""scripts/finetune_seq2seq.py from end to end, on small rows."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from transformers_glm.data.templates import Template
from transformers_glm.infilling import fill_blanks
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.seq2seq.arguments import GenerationArguments, ModelArguments, RowArguments, TrainingArguments
from transformers_glm.seq2seq.tasks import generation_settings


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[2]
SIZES = '{"hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "max_sequence_length": 48}'
WORDS = ["one", "two", "three", "four", "five", "six"]


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [{"text": f"{a} and {b}", "first": a, "other": b} for a in WORDS for b in WORDS]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def finetune(rows_file, output_dir, *more, train=True, config=("--config", SIZES)):
    flags = ["--evaluation_data", rows_file, "--evaluation_rows", "6", "--vocab_size", "300", *config]
    flags += ["--train_data", rows_file] if train else []
    flags += [
        "--source",
        "{text}",
        "--target",
        " {first}",
        "--max_target_length",
        "8",
        "--output_dir",
        str(output_dir),
    ]
    flags += ["--report_to", "none", "--disable_tqdm", "True", "--use_cpu", "--save_strategy", "no"]
    return script("finetune_seq2seq").main([*flags, *more])


def test_a_run_leaves_a_model_metrics_predictions_and_a_line(rows_file, tmp_path):
    metrics = finetune(
        rows_file, tmp_path / "run", "--max_steps", "2", "--task", "first", "--metrics", "bleu", "rouge"
    )
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    identity = [metrics[name] for name in ("task", "method", "model", "seed", "train_rows", "eval_rows", "steps")]
    assert identity == ["first", "glm", "new", 42, 36, 6, 2]
    assert {"bleu", "rouge1", "rougeL", "eval_loss", "train_loss", "parameters"} <= set(metrics)
    assert metrics["command"].startswith("transformers-glm seq2seq --evaluation_data ")
    predictions = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [row["references"] for row in predictions] == [
        [row["source"].split("]")[1].split()[0]] for row in predictions
    ]
    assert json.loads((tmp_path / "results.jsonl").read_text())["bleu"] == metrics["bleu"]
    assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").num_parameters() == metrics["parameters"]


def test_rows_keep_their_predictions_when_training_is_ordered_by_length(rows_file, tmp_path):
    wide = ("--config", SIZES.replace("}", ', "initializer_range": 0.5}'))
    flags = ("--max_steps", "1", "--learning_rate", "1e-9", "--per_device_eval_batch_size", "2")
    predictions = []
    for name, more in (("one", ()), ("other", ("--train_sampling_strategy", "group_by_length"))):
        finetune(rows_file, tmp_path / name, *flags, *more, config=wide)
        lines = (tmp_path / name / "predictions.jsonl").read_text().splitlines()
        predictions.append([json.loads(line)["prediction"] for line in lines])
    assert predictions[1] == predictions[0]
    assert len(set(predictions[0])) > 3


def test_several_texts_may_be_right(tmp_path):
    rows = [{"text": f"{word} and so on", "first": word, "answers": [{"a": word}, {"a": "else"}]} for word in WORDS]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    finetune(str(tmp_path / "rows.jsonl"), tmp_path / "run", "--max_steps", "1", "--references", "answers[*][a]")
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [line["references"] for line in lines] == [[word, "else"] for word in WORDS]


def test_rows_of_one_source_are_scored_once_and_dropped_rows_are_not_counted(tmp_path):
    rows = [{"text": f"{word} and so on", "first": first} for word in WORDS for first in (word, "else")]
    rows += [{"text": "nothing", "first": None}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ["--max_steps", "1", "--join_references", "True", "--empty_rows", "drop", "--evaluation_rows", "7"]
    metrics = finetune(str(tmp_path / "rows.jsonl"), tmp_path / "run", *flags, "--metrics", "bleu", "rouge")
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [line["references"] for line in lines] == [[word, "else"] for word in WORDS]
    assert (metrics["train_rows"], metrics["eval_rows"]) == (12, 6)
    assert metrics["evaluation_data"] == str(tmp_path / "rows.jsonl")


def test_the_metrics_are_those_of_the_predictions_that_are_written(tmp_path):
    """By the libraries themselves, for texts in Chinese and in English."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    rows = [
        {"text": f"{word} 填空", "zh": f"第{n}个空在这里", "first": f"{word} and {word}"}
        for n, word in enumerate(WORDS)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for column, units in (("zh", "characters"), ("first", "english")):
        flags = ["--max_steps", "30", "--learning_rate", "1e-2", "--target", f"{{{column}}}", "--units", units]
        metrics = finetune(
            str(tmp_path / "rows.jsonl"),
            tmp_path / units,
            *flags,
            "--metrics",
            "bleu",
            "rouge",
            "--max_target_length",
            "24",
        )
        lines = [json.loads(line) for line in (tmp_path / units / "predictions.jsonl").read_text().splitlines()]
        texts, right = [line["prediction"] for line in lines], [line["references"][0] for line in lines]
        assert right == [row[column] for row in rows]
        bleu = BLEU(tokenize="zh" if units == "characters" else "13a").corpus_score(texts, [right]).score
        assert metrics["bleu"] == pytest.approx(bleu)
        if units == "english":
            scorer = RougeScorer(["rouge1"], use_stemmer=True)
            shares = [scorer.score(one, text)["rouge1"].fmeasure for one, text in zip(right, texts, strict=True)]
            assert 0 < metrics["rouge1"] == pytest.approx(100 * sum(shares) / len(shares))


@pytest.mark.slow
def test_a_task_is_learned_and_the_saved_model_writes_what_was_scored(rows_file, tmp_path):
    flags = ["--max_steps", "150", "--learning_rate", "3e-3", "--mask", "[sMASK]", "--metrics", "rouge"]
    metrics = finetune(rows_file, tmp_path / "run", *flags, "--num_beams", "2", "--label_smoothing_factor", "0.1")
    assert metrics["rouge1"] == 100
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert tokenizer.append_mask == "[sMASK]"  # the stock tokenizer makes the source, blank and all
    inputs = tokenizer(["two and six", "five and one"], padding=True, return_tensors="pt")
    assert inputs["input_ids"][0, -2] == tokenizer.smask_token_id
    written = tokenizer.batch_decode(model.generate(**inputs), skip_special_tokens=True)
    assert [text.strip() for text in written] == ["two", "five"]
    again = finetune(
        rows_file, tmp_path / "again", "--model", str(tmp_path / "run"), *flags[4:], train=False, config=()
    )
    assert again["rouge1"] == 100 and again["train_rows"] == 0


def test_the_generation_that_was_asked_for_is_the_saved_models(rows_file, tmp_path):
    flags = ["--num_beams", "3", "--length_penalty", "0.7", "--no_repeat_ngram_size", "3", "--min_target_length", "4"]
    finetune(rows_file, tmp_path / "run", "--max_steps", "1", *flags)
    model, tokenizer = (kind.from_pretrained(tmp_path / "run") for kind in (AutoModelForSeq2SeqLM, AutoTokenizer))
    config = model.generation_config
    settings = (
        config.num_beams,
        config.length_penalty,
        config.no_repeat_ngram_size,
        config.min_length,
        config.max_length,
    )
    assert settings == (3, 0.7, 3, 5, 9)  # lengths with sop
    ends = {tokenizer.eop_token_id, tokenizer.eos_token_id}
    pieces = model.generate(**tokenizer(["one and two"] * 2, return_tensors="pt"))
    assert pieces.shape[1] <= 9 and not ends & set(pieces[:, 1:5].flatten().tolist())


def test_equal_seeds_give_equal_models_and_other_seeds_others(rows_file, tmp_path):
    flags = ["--max_steps", "2", "--train_rows", "12", "--pretrain_data", rows_file, "--pretrain_share", "0.5"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        finetune(rows_file, tmp_path / name, *flags, "--seed", seed)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_adapters_are_trained_and_saved_alone(rows_file, tmp_path):
    finetune(rows_file, tmp_path / "whole", "--max_steps", "1")
    flags = ["--model", str(tmp_path / "whole"), "--use_peft", "--lora_rank", "2", "--max_steps", "2"]
    metrics = finetune(rows_file, tmp_path / "lora", *flags, "--learning_rate", "0.05", config=())
    assert metrics["method"] == "glm-lora"
    assert not (tmp_path / "lora" / "model.safetensors").exists()
    adapters = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert all("query_key_value.lora_" in name for name in adapters) and any(bool(a.any()) for a in adapters.values())


def test_words_are_blanked_and_all_blanks_filled(rows_file, tmp_path):
    flags = ["--task", "infilling", "--blank_ratios", "0.3", "0.7", "--metrics", "bleu", "--max_steps", "2"]
    metrics = finetune(rows_file, tmp_path / "run", *flags)
    assert {"bleu_30", "bleu_70", "eval_loss"} <= set(metrics)
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [row["ratio"] for row in rows] == [0.3] * 6 + [0.7] * 6
    assert all(len(row["pieces"]) == row["source"].count("[MASK]") > 0 for row in rows)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").eval()
    assert fill_blanks(model, tokenizer, rows[-1]["source"], max_new_tokens=8).text == rows[-1]["prediction"]


def test_adapters_learn_to_fill_blanks_beside_pretraining_text(rows_file, tmp_path):
    finetune(rows_file, tmp_path / "whole", "--max_steps", "1")
    flags = ["--task", "infilling", "--model", str(tmp_path / "whole"), "--use_peft", "--max_steps", "3"]
    flags += ["--pretrain_data", rows_file, "--pretrain_share", "0.5", "--blank_ratios", "0.4", "--metrics", "bleu"]
    metrics = finetune(rows_file, tmp_path / "run", *flags, config=())
    assert metrics["method"] == "glm-lora" and "bleu_40" in metrics


def test_a_bart_of_the_same_size_is_the_baseline(rows_file, tmp_path):
    metrics = finetune(
        rows_file, tmp_path / "run", "--method", "bart", "--max_steps", "2", "--source", "{text} [MASK]"
    )
    assert metrics["method"] == "bart"
    sources = [
        json.loads(line)["source"] for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    ]
    assert not any("MASK" in source for source in sources)
    config = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").generation_config
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert config.decoder_start_token_id == tokenizer.sop_token_id
    assert config.eos_token_id == [tokenizer.eop_token_id, tokenizer.eos_token_id]


@pytest.mark.parametrize(
    "flags, match",
    [
        (["--max_source_length", "50"], r"--max_source_length 50 is more than the model's position table of 49 rows"),
        (["--max_target_length", "49"], r"--max_target_length 49: .* 48 at most"),
        (["--min_target_length", "8"], r"--min_target_length 8 leaves no room below --max_target_length 8"),
        (["--num_beams", "0"], "--num_beams 0: one beam at least"),
        (["--use_peft"], "--use_peft adapts a trained model"),
        (["--method", "bart", "--use_peft", "--model", "x"], "A baseline has no blanks"),
        (["--metrics", "bertscore"], "No metric is called 'bertscore'"),
        (["--source", "{txt}"], r"has? no 'txt'; its columns are first, other, text"),
        (["--pretrain_mixture", '{"token": 0.5}', "--pretrain_data", "x"], "mixture"),
        (["--train_rows", "37"], "37 rows were asked for, there are 36"),
        (["--references", "nothing"], r"rows\.jsonl, row 1 has no 'nothing'"),
        (["--task", "infilling", "--blank_ratios", "10"], r"--blank_ratios \[10.0\]: give shares"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(flags, match, rows_file, tmp_path):
    with pytest.raises(ValueError, match=match):
        finetune(rows_file, tmp_path / "run", *flags)
    assert not (tmp_path / "run" / "model.safetensors").exists()


DATACLASSES = (ModelArguments, RowArguments, GenerationArguments, TrainingArguments)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("seq2seq_*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_a_run(path, tmp_path):
    anywhere = ["--use_cpu", "--bf16", "False", "--report_to", "none"]
    _, rows, generation, training = parse_arguments(DATACLASSES, [str(path), *anywhere])
    assert training.output_dir == f"output/{path.stem}"
    assert rows.task == "infilling" or Template(rows.target).columns
    assert Template(rows.source).columns
    assert generation_settings(generation)["num_beams"] == generation.num_beams >= 1


#                      source, target, least, beams, penalty, n-gram, epochs, rate     (of the original's recipes)
PUBLISHED = {
    "cnn_dm": (608, 160, 55, 5, 0.7, 3, 15, 3e-5),
    "xsum": (608, 60, 10, 6, 1.0, 3, 6, 1e-5),
    "gigaword": (192, 32, 0, 5, 0.6, 3, 10, 3e-5),
    "squad_qg": (464, 48, 0, 5, 0.7, 0, 10, 2e-5),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_recipes_have_the_papers_settings(name):
    flags = ["--use_cpu", "--bf16", "False", "--report_to", "none"]
    _, rows, generation, training = parse_arguments(
        DATACLASSES, [str(ROOT / "configs" / f"seq2seq_{name}.yaml"), *flags]
    )
    lengths = (rows.max_source_length, rows.max_target_length, generation.min_target_length)
    beams = (generation.num_beams, generation.length_penalty, generation.no_repeat_ngram_size)
    assert (*lengths, *beams, training.num_train_epochs, training.learning_rate) == PUBLISHED[name]
    assert (training.label_smoothing_factor, training.weight_decay, training.warmup_steps) == (0.1, 0.1, 0.06)
