# SPDX-License-Identifier: Apache-2.0
"""scripts/evaluate_lm.py from end to end, on a small model."""

import gzip
import importlib.util
import json
import math
from pathlib import Path

import pytest

from transformers_glm.language_modeling import scoring
from transformers_glm.metrics.ngrams import Trigram
from transformers_glm.metrics.spans import text_tokens


ROOT = Path(__file__).parents[2]
TEXT = "Grace Hopper found a moth in the relay; she taped it into the log book, and smiled."


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def evaluate(tokenizer, text_model, tmp_path):
    text_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    spec = importlib.util.spec_from_file_location("evaluate_lm", ROOT / "scripts" / "evaluate_lm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    flags = ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "run")]
    return lambda *more: module.main([*flags, *map(str, more)])


@pytest.mark.parametrize(("flags", "width", "stride"), [([], 127, 63), (["--scoring", '{"width": 24}'], 24, 12)])
def test_half_of_a_window_is_context_unless_told_otherwise(evaluate, tmp_path, flags, width, stride):
    (tmp_path / "text.txt").write_text(f"{TEXT}\n")
    metrics = evaluate("--evaluation_data", tmp_path / "text.txt", *flags)
    assert (metrics["width"], metrics["stride"]) == (width, stride)
    with pytest.raises(ValueError, match=f"stride {width} is not between 0 and the window's width {width}"):
        scoring = json.dumps({"width": width, "stride": width})
        evaluate("--evaluation_data", tmp_path / "text.txt", "--scoring", scoring)


def test_all_is_measured_and_written(evaluate, tokenizer, text_model, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(f"{TEXT}\n{TEXT} It is.\n")
    (tmp_path / "last.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in (TEXT, "a blank", "a hole")))
    metrics = evaluate(
        *("--evaluation_data", tmp_path / "text.txt", "--document", "line", "--scoring", '{"width": 24, "stride": 8}'),
        *("--lambada_data", tmp_path / "last.jsonl", "--evaluation_rows", 2),
        *("--generate", 2, "--generation", '{"max_new_tokens": 4}'),
        *("--train_data", tmp_path / "text.txt"),
    )
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    identity = [metrics[name] for name in ("task", "method", "seed", "eval_rows", "lambada_rows", "generated")]
    assert identity == ["language_modeling", "glm", 0, 2, 2, 2]
    settings = {"width": 24, "stride": 8, "mask": tokenizer.gmask_token_id}
    for context, name in (("bidirectional", "bi"), ("unidirectional", "uni")):
        expected = scoring.perplexities(
            scoring.score_texts(text_model, tokenizer, [TEXT, f"{TEXT} It is."], context=context, **settings)
        )
        assert metrics[f"perplexity_{name}"] == pytest.approx(expected["perplexity"], rel=1e-5)
        assert metrics[f"word_perplexity_{name}"] == pytest.approx(expected["word_perplexity"], rel=1e-5)
    assert metrics["tokens"] == expected["tokens"] and metrics["words"] == expected["words"] == 2 * 17 + 2 - 2
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert kinds == ["perplexity"] * 4 + ["last word"] * 4 + ["generated"] * 2
    guessed = [
        row for row in map(json.loads, (tmp_path / "run" / "predictions.jsonl").open()) if row["kind"] == "last word"
    ]
    right = sum(row["correct"] for row in guessed if row["context"] == "bidirectional")
    assert metrics["lambada_accuracy_bi"] == 100 * right / 2
    assert "perplexity_uni" in capsys.readouterr().out


def test_texts_without_spaces_are_measured_by_characters(evaluate, tmp_path, caplog):
    (tmp_path / "zh.txt").write_text("我们填一个空。\n" * 3, encoding="utf-8")
    metrics = evaluate("--evaluation_data", tmp_path / "zh.txt", "--document", "line")
    assert metrics["eval_rows"] == 3 and metrics["evaluation_data"] == str(tmp_path / "zh.txt")
    assert metrics["bits_per_character_bi"] > 0 and not {"words", "word_perplexity_bi"} & set(metrics)
    assert "no spaces between words" in caplog.text


def test_the_published_forms_of_lambada_are_the_same_texts(evaluate, tmp_path):
    texts = [TEXT, "a blank", "a hole"]
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (tmp_path / "en.jsonl").write_text(lines)
    (tmp_path / "en.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "plain.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "en.csv").write_text("text,domain\n" + "".join(f'"{text}",x\n' for text in texts))
    found = []
    for name in ("en.jsonl", "en.jsonl.gz", "plain.txt", "en.csv"):
        evaluate("--lambada_data", tmp_path / name)
        found.append((tmp_path / "run" / "predictions.jsonl").read_text())
    assert len(set(found)) == 1 and found[0].count('"answer": "hole"') == 2


def test_the_same_seed_writes_the_same_texts(evaluate, tmp_path):
    texts = []
    for seed in (1, 1, 2):
        evaluate("--generate", 2, "--generation", '{"max_new_tokens": 8}', "--seed", seed)
        texts.append((tmp_path / "run" / "predictions.jsonl").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_the_trigram_is_scored_on_the_same_tokens(tokenizer):
    [tokens] = tokenizer([TEXT], add_special_tokens=False)["input_ids"]
    model = Trigram([tokens], text_tokens(tokenizer), len(tokenizer))
    cost = 0.0
    for place in range(1, len(tokens)):
        before = (tokens[place - 2] if place > 1 else -1, tokens[place - 1])
        cost -= math.log(model.distribution(before)[tokens[place]])
    expected = math.exp(cost / (len(tokens) - 1))
    again = scoring.fit_trigram([TEXT], tokenizer)
    scores = scoring.score_texts(again, tokenizer, [TEXT])
    assert scoring.perplexities(scores)["perplexity"] == pytest.approx(expected)


def test_the_trigram_guesses_the_last_word_from_the_two_tokens_before_each_of_its_own(tokenizer):
    """ "log book" is learnt and "log in" is not; a word of several tokens is right only as a whole."""
    trigram = scoring.fit_trigram(["the log book", "the log book", "the log in"], tokenizer)
    known, unknown, beyond = "of the log book", "of the log in", "of the log bookmoth"
    before, word, more = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("of the log", " book", " bookmoth")
    )
    assert more[: len(word)] == word and len(more) > len(word)
    cost, context = 0.0, before[-2:]
    for token in word:
        cost += math.log(trigram.distribution(tuple(context))[token])
        context = [context[1], token]
    guesses = scoring.score_last_words(trigram, tokenizer, [known, unknown, beyond])
    assert [guess["correct"] for guess in guesses] == [True, False, False]
    assert scoring.last_word_metrics(guesses[:1]) == {"accuracy": 100.0, "perplexity": pytest.approx(math.exp(-cost))}


def test_the_last_words_alone_have_a_trigram_too(evaluate, tmp_path):
    (tmp_path / "text.txt").write_text(f"{TEXT}\n")
    (tmp_path / "last.jsonl").write_text(json.dumps({"text": TEXT}))
    metrics = evaluate("--lambada_data", tmp_path / "last.jsonl", "--train_data", tmp_path / "text.txt")
    assert metrics["lambada_accuracy_trigram"] == 100.0
    assert metrics["lambada_perplexity_trigram"] < metrics["lambada_perplexity_bi"]
    assert "perplexity_trigram" not in metrics


@pytest.mark.parametrize(
    "flags, match",
    [
        ([], "Nothing to do"),
        (
            ["--generate", "1", "--scoring", '{"context": "both"}'],
            "context both: there are bidirectional and unidirectional",
        ),
        (
            ["--generate", "1", "--scoring", '{"widht": 9}'],
            "--scoring names widht: there are context, width, stride, mask",
        ),
        (
            ["--generate", "1", "--train_data", "x"],
            "--train_data is for a trigram, a baseline: give --evaluation_data",
        ),
        (["--generate", "1", "--scoring", '{"mask": "[xMASK]"}'], r"mask \[xMASK\]: the tokenizer has"),
        (
            ["--lambada_data", "{rows}", "--columns", '{"text": "passage"}'],
            "no column 'passage'. Its columns: text, n",
        ),
        (["--lambada_data", "{rows}", "--columns", '{"text": "n"}'], "rows.jsonl holds no document with text"),
        (["--lambada_data", "{rows}", "--columns", '{"text": "word"}'], "Text 1 has no word before its last one"),
    ],
)
def test_what_cannot_be_done_is_refused(evaluate, flags, match, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a b", "n": null, "word": "a"}')
    with pytest.raises(ValueError, match=match):
        evaluate(*(str(tmp_path / "rows.jsonl") if flag == "{rows}" else flag for flag in flags))
