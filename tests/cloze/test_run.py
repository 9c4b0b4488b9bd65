# SPDX-License-Identifier: Apache-2.0
import json
import logging
import random
import shutil
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForSeq2SeqLM
from test_scripts import script
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from transformers_glm.cloze.tasks import load_task
from transformers_glm.hub.adapters import make_adapter_repository
from transformers_glm.hub.repository import About


SIZES = '{"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "max_sequence_length": 128}'
ANYWHERE = ("--config", SIZES, "--vocab_size", "300", "--use_cpu", "--disable_tqdm", "True", "--save_strategy", "no")
WORDS = {"1": ["good", "fine", "a charming film"], "0": ["bad", "dull", "a tedious film"]}


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def reviews(tmp_path):
    """Two tsv files of reviews, whose words tell what they are."""
    rng = random.Random(0)
    for name, number in (("train", 48), ("dev", 20)):
        labels = [str(index % 2) for index in range(number)]
        lines = [f"it is {rng.choice(WORDS[label])} , number {rng.randrange(99)}\t{label}" for label in labels]
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    return (
        "--task",
        "sst2",
        "--train_data",
        str(tmp_path / "train.tsv"),
        "--evaluation_data",
        str(tmp_path / "dev.tsv"),
    )


def run(output_dir, *flags):
    return script("finetune_cloze").main([*flags, *ANYWHERE, "--output_dir", str(output_dir)])


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("method", ["cloze", "classifier"])
def test_a_run_leaves_metrics_predictions_a_line_in_the_table_and_the_model(method, reviews, tmp_path):
    flags = (*reviews, "--method", method, "--max_steps", "2", "--train_rows", "32", "--seed", "5")
    metrics = run(tmp_path / "runs" / "one", *flags, "--eval_strategy", "steps", "--eval_steps", "1")
    folder = tmp_path / "runs" / "one"
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    expected = {"task": "sst2", "method": method, "model": "new", "seed": 5, "train_rows": 32, "eval_rows": 20}
    assert metrics.items() >= expected.items() and metrics["majority_accuracy"] == 0.5
    assert metrics["command"].startswith("transformers-glm cloze --task sst2 --train_data")
    assert read_lines(tmp_path / "runs" / "results.jsonl") == [{"output_dir": "one", **metrics}]
    lines = read_lines(folder / "predictions.jsonl")
    assert [line["id"] for line in lines] == list(range(20))
    assert sum(line["prediction"] == line["label"] for line in lines) / 20 == pytest.approx(metrics["accuracy"])
    assert all(line["prediction"] == max(line["scores"], key=line["scores"].get) for line in lines)
    auto = AutoModelForMultipleChoice if method == "cloze" else AutoModelForSequenceClassification
    model, tokenizer = auto.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    assert model.num_parameters() == metrics["parameters"]
    row = {"sentence": (tmp_path / "dev.tsv").read_text().splitlines()[1].split("\t")[0]}
    if method == "cloze":
        scores = {str(label): score for label, score in load_task("sst2").scores(model, tokenizer, [row])[0].items()}
        generating = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        assert load_task("sst2").scores(generating, tokenizer, [row])[0] == pytest.approx(
            {1: scores["1"], 0: scores["0"]}
        )
    else:
        logits = model(**tokenizer(row["sentence"], return_tensors="pt")).logits.log_softmax(-1)[0].tolist()
        scores = {model.config.id2label[index]: score for index, score in enumerate(logits)}
    assert lines[0]["scores"] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("method", ["cloze", "classifier"])
def test_rows_keep_their_scores_when_training_is_ordered_by_length(method, reviews, tmp_path):
    flags = (*reviews, "--method", method, "--max_steps", "2", "--per_device_eval_batch_size", "2")
    run(tmp_path / "one", *flags, "--train_sampling_strategy", "group_by_length")
    lines = read_lines(tmp_path / "one" / "predictions.jsonl")
    auto = AutoModelForMultipleChoice if method == "cloze" else AutoModelForSequenceClassification
    model = auto.from_pretrained(tmp_path / "one").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    texts = [line.split("\t")[0] for line in (tmp_path / "dev.tsv").read_text().splitlines()[1:]]
    if method == "cloze":
        expected = [load_task("sst2").scores(model, tokenizer, [{"sentence": text}])[0] for text in texts]
    else:
        logits = [model(**tokenizer(text, return_tensors="pt")).logits.log_softmax(-1)[0].tolist() for text in texts]
        expected = [{int(model.config.id2label[index]): score for index, score in enumerate(row)} for row in logits]
    for line, scores in zip(lines, expected, strict=True):
        assert [line["scores"][label] for label in ("0", "1")] == pytest.approx([scores[0], scores[1]], abs=1e-4)


def test_zero_shot_scores_a_model_as_it_is(reviews, tmp_path):
    run(tmp_path / "first", *reviews, "--max_steps", "1")
    model = str(tmp_path / "first")
    zero = ("--zero_shot", "--model", model)
    settings = {"calibration": "contextual", "length_normalization": True}
    metrics = run(tmp_path / "zero", *reviews, *zero, "--settings", json.dumps(settings))
    assert (metrics["train_rows"], metrics["zero_shot"], metrics["trained_parameters"]) == (0, True, 0)
    assert sorted(path.name for path in (tmp_path / "zero").iterdir()) == ["metrics.json", "predictions.jsonl"]
    task = load_task("sst2", **settings)
    sentences = [line.split("\t")[0] for line in (tmp_path / "dev.tsv").read_text().splitlines()[1:]]
    loaded = AutoModelForMultipleChoice.from_pretrained(model).eval()
    scores = task.scores(loaded, AutoTokenizer.from_pretrained(model), [{"sentence": one} for one in sentences])
    lines = read_lines(tmp_path / "zero" / "predictions.jsonl")
    for of_row, line in zip(scores, lines, strict=True):
        assert line["scores"] == pytest.approx({str(label): score for label, score in of_row.items()}, abs=1e-4)


@pytest.mark.parametrize("method", ["cloze", "classifier"])
def test_lora_trains_adapters_only_and_they_have_the_task_type_that_a_repository_needs(method, reviews, tmp_path):
    run(tmp_path / "base", *reviews, "--max_steps", "1")
    flags = (*reviews, "--model", str(tmp_path / "base"), "--method", method, "--max_steps", "2", "--lora_r", "4")
    metrics = run(tmp_path / "lora", *flags, "--learning_rate", "1e-2")
    adapters = 2 * 4 * (32 + 3 * 32)
    head = 32 * 32 + 32 + 2 * 32 + 2 if method == "classifier" else 0
    assert metrics["trained_parameters"] == adapters + head and metrics["use_peft"]
    if method == "cloze":
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lora")
        row = {"sentence": (tmp_path / "dev.tsv").read_text().splitlines()[1].split("\t")[0]}
        line = read_lines(tmp_path / "lora" / "predictions.jsonl")[0]
        for auto in (AutoModelForMultipleChoice, AutoModelForSeq2SeqLM, AutoPeftModelForSeq2SeqLM):
            model = auto.from_pretrained(tmp_path / "lora").eval()
            scores = load_task("sst2").scores(model, tokenizer, [row])[0]
            assert line["scores"] == pytest.approx({str(label): score for label, score in scores.items()}, abs=1e-4)
    make_adapter_repository(tmp_path / "lora", tmp_path / "hub", About(base_model="me/base"))
    written = json.loads((tmp_path / "hub" / "adapter_config.json").read_text())
    assert written["task_type"] == ("SEQ_2_SEQ_LM" if method == "cloze" else "SEQ_CLS")
    assert (written["r"], written["lora_alpha"], written["target_modules"]) == (4, 8, ["query_key_value"])


def test_data_of_another_form_takes_options_alone(tmp_path):
    rows = [
        {"query": f"my {word} is lost", "wanted": f"lost_{word}"}
        for word in ("card", "phone", "pin")
        for _ in range(8)
    ]
    (tmp_path / "a.json").write_text(json.dumps({"data": rows}))
    flags = (
        "--task",
        "intents",
        "--train_data",
        str(tmp_path / "a.json"),
        "--evaluation_data",
        str(tmp_path / "a.json"),
    )
    flags += ("--data_kwargs", '{"field": "data"}', "--columns", '{"text": "query", "category": "wanted"}')
    flags += ("--rows_per_label", "2")
    metrics = run(tmp_path / "run", *flags, "--pattern", "{{ text }}: [MASK]!", "--max_steps", "1")
    assert metrics["train_rows"] == 6 and metrics["pattern"] == "{{ text }}: [MASK]!"
    line = read_lines(tmp_path / "run" / "predictions.jsonl")[0]
    assert set(line["scores"]) == {"lost_card", "lost_phone", "lost_pin"} and line["label"] == "lost_card"

    (tmp_path / "b.csv").write_text("pos|it is good\nneg|it is bad\n" * 4)
    flags = ("--task", "sst2", "--train_data", str(tmp_path / "b.csv"), "--evaluation_data", str(tmp_path / "b.csv"))
    flags += ("--data_kwargs", '{"sep": "|", "names": ["mood", "review"]}')
    flags += ("--columns", '{"sentence": "review", "label": "mood"}')
    metrics = run(tmp_path / "mapped", *flags, "--label_map", '{"pos": "1", "neg": "0"}', "--max_steps", "1")
    assert metrics["eval_rows"] == 8
    verbalizer = '{"pos": " good", "neg": " bad"}'
    settings = '{"metrics": ["f1"], "name": "moods", "pattern": 2}'
    metrics = run(tmp_path / "own", *flags, "--verbalizer", verbalizer, "--settings", settings, "--max_steps", "1")
    assert (metrics["task"], metrics["pattern"]) == ("moods", "[MASK]! {{ sentence }}")
    assert "f1" in metrics and "accuracy" not in metrics
    assert set(read_lines(tmp_path / "own" / "predictions.jsonl")[0]["scores"]) == {"pos", "neg"}
    run(tmp_path / "named", *flags, "--verbalizer", "{}", "--max_steps", "1")
    assert set(read_lines(tmp_path / "named" / "predictions.jsonl")[0]["scores"]) == {"pos", "neg"}


def test_prediction_and_label_are_texts_where_labels_are(tmp_path):
    rows = [{"question": f"What is {n}?", "options": ["one", "two"], "right": "two"} for n in range(4)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    data = str(tmp_path / "a.json")
    flags = ("--task", "choices", "--train_data", data, "--evaluation_data", data, "--candidates", "options")
    settings = '{"label_field": "right", "label_is": "text"}'
    metrics = run(tmp_path / "run", *flags, "--settings", settings, "--max_steps", "1")
    lines = read_lines(tmp_path / "run" / "predictions.jsonl")
    assert {line["label"] for line in lines} == {"two"} and {line["prediction"] for line in lines} <= {"one", "two"}
    assert metrics["accuracy"] == sum(line["prediction"] == line["label"] for line in lines) / 4


def test_rows_without_labels_get_predictions_and_no_metrics(reviews, tmp_path):
    (tmp_path / "dev.tsv").write_text("sentence\nit is good\nit is bad\n")
    metrics = run(tmp_path / "run", *reviews, "--max_steps", "1")
    assert "accuracy" not in metrics and metrics["eval_rows"] == 2
    assert [line["label"] for line in read_lines(tmp_path / "run" / "predictions.jsonl")] == [None, None]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--zero_shot",), "give --model"),
        (("--zero_shot", "--method", "classifier", "--model", "x"), "cannot be scored zero-shot"),
        (("--settings", '{"label_field": "mood"}'), "Row 0 of the training data has no label .*'mood'"),
        (("--columns", '{"sentence": "text"}'), "has no column text. Its columns: sentence, label"),
        (
            ("--columns", '{"sentense": "sentence"}'),
            "--columns names sentense, which the task sst2 does not read. Its fields: sentence, label, idx.",
        ),
        (("--task", "nope", "--evaluation_data", ""), "There is no task 'nope'"),
        (("--train_rows", "4", "--rows_per_label", "2"), "exclude each other"),
        (("--label_map", '{"1": "good"}'), "labels that the task sst2 has no answer for: 'good'"),
        (("--pattern", "{{ sentence }}"), "Row 0: The question has 0 blanks"),
        (("--settings", "[1]"), "must be a JSON object"),
        (("--settings", '{"loss": "none"}'), "loss='none' is not known. Choose one of cross_entropy"),
        (("--settings", '{"max_length": "big"}'), "--settings: max_length: 'big' is not a whole number of 1 or more"),
        (("--settings", '{"metric": ["f1"]}'), "--settings: a task has no metric. It has .*metrics"),
        (("--verbalizer", '{"1": null, "0": " bad"}'), "verbalizer, '1': None is not a text"),
        (("--candidates", "a", "b"), "give one expression, choices, or templates with fields"),
        (("--pattern", "{sentence} [MASK]"), "{sentence} in single braces"),
        (("--evaluation_data", "nowhere.tsv"), "nowhere.tsv does not exist"),
    ],
)
def test_bad_settings_are_refused_before_training(flags, words, reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers_glm.cloze.run.train_from_checkpoint", lambda *_: 1 / 0)
    with pytest.raises(ValueError, match=words):
        run(tmp_path / "run", *reviews, *flags)


QUIZ = [{"question": f"What is {n}?", "options": [f"one {n}", f"two {n}"], "right": n % 2} for n in range(8)]


BAD_EVALUATIONS = [
    ({"right": 2}, {}, "Row 5: The label 2 is not among the candidates"),
    ({"question": None}, {}, r"Row 5: The template .* a field is empty \(None\)"),
    ({"options": ["one", " "]}, {}, "Row 5: The candidates .* are empty"),
    ({"options": ["one", "one"]}, {}, "Row 5: The candidates 0 and 1 are both"),
    ({}, {"metrics": ["acuracy"]}, "No metric is called 'acuracy'"),
    ({}, {"metrics": ["multirc"]}, "wants a field 'group' in each row; row 0 has none"),
]
BAD_QUESTIONS = [  # which the classifier does not ask
    ({"question": "a [MASK]"}, {}, "Row 5: The question has 2 blanks"),
    ({}, {"calibration": "pmi", "domain": "{{ subject }} [MASK]"}, "Row 0: The template .* 'subject' is undefined"),
]


@pytest.mark.parametrize(
    ("method", "wrong", "settings", "words"),
    [
        *(("cloze", *one) for one in BAD_EVALUATIONS + BAD_QUESTIONS),
        *(("classifier", *one) for one in BAD_EVALUATIONS),
    ],
)
def test_what_is_wrong_with_the_evaluation_is_refused_before_training(
    method, wrong, settings, words, tmp_path, monkeypatch
):
    monkeypatch.setattr("transformers_glm.cloze.run.train_from_checkpoint", lambda *_: 1 / 0)
    (tmp_path / "train.json").write_text(json.dumps(QUIZ))
    (tmp_path / "dev.json").write_text(json.dumps([*QUIZ[:5], QUIZ[5] | wrong, *QUIZ[6:]]))
    flags = ("--task", "sst2", "--pattern", "{{ question }} [MASK]", "--candidates", "options", "--settings")
    flags += (json.dumps({"label_field": "right", **settings}),)
    data = ("--train_data", str(tmp_path / "train.json"), "--evaluation_data", str(tmp_path / "dev.json"))
    with pytest.raises(ValueError, match=words):
        run(tmp_path / "run", *flags, *data, "--method", method)


def test_the_results_of_a_finished_run_are_not_overwritten(reviews, tmp_path):
    folder = tmp_path / "run"
    run(folder, *reviews, "--max_steps", "1")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for flags in ((), ("--seed", "1"), ("--zero_shot", "--model", str(folder))):
        with pytest.raises(
            ValueError, match="run holds the results of a finished run .* Give another --output_dir, or"
        ):
            run(folder, *reviews, "--max_steps", "1", *flags)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len(read_lines(tmp_path / "results.jsonl")) == 1


def test_an_interrupted_run_goes_on_and_one_of_other_settings_is_refused(reviews, tmp_path, caplog):
    def run_saving(*more):
        saving = ("--max_steps", "2", "--save_strategy", "steps", "--save_steps", "1")
        flags = [*ANYWHERE, *reviews, *saving, "--output_dir", str(tmp_path / "broken"), *more]
        return script("finetune_cloze").main(flags)

    run_saving()
    lines = (tmp_path / "broken" / "predictions.jsonl").read_text()
    for name in ("metrics.json", "predictions.jsonl", "model.safetensors"):  # as if it had ended at step 1
        (tmp_path / "broken" / name).unlink()
    shutil.rmtree(tmp_path / "broken" / "checkpoint-2")
    with pytest.raises(ValueError, match=r"broken holds a run of other settings.*: pattern: None and '1'"):
        run_saving("--pattern", "1")
    with caplog.at_level(logging.WARNING):
        run_saving()
    assert "Resuming from" in caplog.text and "checkpoint-1" in caplog.text
    assert (tmp_path / "broken" / "predictions.jsonl").read_text() == lines


NESTED = {
    "copa": {
        "premise": "It rains.",
        "choice1": "I am wet.",
        "choice2": "I sing.",
        "question": "effect",
        "label": 0,
        "idx": 0,
    },
    "wsc": {
        "text": "Ada met Bob and he sang.",
        "target": {"span1_text": "Bob", "span1_index": 2, "span2_text": "he", "span2_index": 4},
        "candidates": ["Ada", "the park"],
        "label": True,
        "idx": 0,
    },
    "record": {
        "passage": {"text": "Ada met Bob.", "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 10}]},
        "qas": [{"query": "@placeholder met him.", "answers": [{"text": "Ada"}], "idx": 0}],
        "idx": 0,
    },
    "multirc": {
        "passage": {
            "text": "Ada met Bob.",
            "questions": [
                {"question": "Who?", "idx": 0, "answers": [{"text": "Ada", "idx": n, "label": n % 2} for n in (0, 1)]}
            ],
        },
        "idx": 0,
    },
}


@pytest.mark.parametrize("method", ["cloze", "classifier"])
@pytest.mark.parametrize("name", [*NESTED, "wsc alone", "copa 2"])
def test_tasks_whose_rows_have_candidates_run_from_end_to_end(name, method, tmp_path):
    task, *alone = name.split()
    row = {field: value for field, value in NESTED[task].items() if not alone or field != "candidates"}
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 4)
    data = str(tmp_path / "rows.jsonl")
    flags = ("--task", task, "--train_data", data, "--evaluation_data", data, "--method", method, "--max_steps", "2")
    flags += ("--pattern", "2") if alone == ["2"] else ()
    metrics = run(tmp_path / "run", *flags, "--eval_strategy", "steps", "--eval_steps", "1")
    found = {"record": {"exact_match", "f1"}, "multirc": {"f1_a", "exact_match"}}.get(task, {"accuracy"})
    assert found <= set(metrics)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cloze", "classifier"])
def test_both_methods_learn_32_reviews_by_heart(method, tmp_path):
    data = Path(__file__).parents[3] / "shared" / "data" / "cls" / "sst2" / "train.tsv"
    if not data.is_file():
        pytest.skip("the real data are not here")
    lines = data.read_text().splitlines()
    few = tmp_path / "few.tsv"
    few.write_text("\n".join([lines[0], *random.Random(0).sample(lines[1:], 32)]) + "\n")
    flags = ("--task", "sst2", "--train_data", str(few), "--evaluation_data", str(few), "--method", method)
    sizes = json.loads(SIZES) | {"initializer_range": 0.06, "hidden_size": 64}
    dropout = dict.fromkeys(("embedding_dropout_prob", "attention_dropout_prob", "output_dropout_prob"), 0.0)
    training = ("--max_steps", "80", "--learning_rate", "2e-3", "--per_device_train_batch_size", "16")
    torch.manual_seed(0)
    metrics = script("finetune_cloze").main(
        [*flags, *ANYWHERE, *training, "--config", json.dumps(sizes | dropout), "--output_dir", str(tmp_path / "run")]
    )
    assert metrics["accuracy"] == 1.0
