# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from transformers_glm.metrics.texts import check_metrics, check_units, score_texts


BY_HAND = {
    # 2 of 3 unigrams, 1 of 2 bigrams; stems are shared
    "rouge is the F-measure of shared units": (
        *("rouge", "english", "the cats sat", ["the cat stood"]),
        {"rouge1": 200 / 3, "rouge2": 50, "rougeL": 200 / 3, "rougeLsum": 200 / 3},
    ),
    "words have no stems": ("rouge", "words", "the cats sat", ["the cat stood"], {"rouge1": 100 / 3}),
    # four of five, the Latin word is one of them
    "rouge of Chinese counts characters": ("rouge", "characters", "用GLM填空", ["用GLM填字"], {"rouge1": 75}),
    "rouge_score's own words are those of ASCII": ("rouge", "english", "填空", ["填空"], {"rouge1": 0}),
    "other alphabets keep their letters": (
        *("rouge", "words", "schöne grüne Bäume", ["schöne alte Bäume"]),
        {"rouge1": 200 / 3},
    ),
    "rougeLsum goes sentence by sentence": (
        *("rouge", "english", "It ran. We sat.", ["We sat. It ran."]),
        {"rougeL": 50, "rougeLsum": 100},
    ),
    "the best reference counts": ("rouge", "english", "a b", ["c d", "a b"], {"rouge1": 100}),
    "and for meteor": ("meteor", "english", "a b", ["c d", "a b"], {"meteor_exact_stem": 100 * (1 - 0.5 / 8)}),
    # 5/6 words, 3/5 pairs, 2/4 triples, 1/3 quadruples; no penalty, the lengths are equal
    "bleu is the geometric mean of four precisions": (
        *("bleu", "english", "the cat sat on a mat", ["the cat sat on the mat"]),
        {"bleu": 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25},
    ),
    "bleu of Chinese counts characters": ("bleu", "characters", "我们填一个空", ["我们填一个空"], {"bleu": 100}),
    "chrf of the same text": ("chrf", "english", "abc", ["abc"], {"chrf": 100}),
    "chrf of another text": ("chrf", "english", "xyz", ["abc"], {"chrf": 0}),
    # precision 1, recall 3/4: 3/4 / (0.9 + 0.1 * 3/4); one chunk of three
    "meteor matches words, then stems": (
        *("meteor", "english", "the cats sat", ["the cat sat down"]),
        {"meteor_exact_stem": 100 * 0.75 / 0.975 * (1 - 0.5 / 27)},
    ),
    # all match, in two chunks of two
    "meteor punishes broken order": (
        *("meteor", "english", "c d a b", ["a b c d"]),
        {"meteor_exact_stem": 100 * (1 - 0.5 / 8)},
    ),
    "meteor of nothing": ("meteor", "english", "", ["a b"], {"meteor_exact_stem": 0}),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_each_metric_is_what_it_is_by_hand(case):
    name, units, prediction, references, expected = BY_HAND[case]
    scores = score_texts([name], [prediction], [references], units)
    assert {key: scores[key] for key in expected} == pytest.approx(expected)
    if name == "bleu":
        assert f"tok:{'zh' if units == 'characters' else '13a'}" in scores["bleu_signature"]


def test_texts_may_have_more_references_than_others():
    uneven = [["x y z w"], ["q", "a b c d"]]
    assert score_texts(["bleu"], ["x y z w", "a b c d"], uneven)["bleu"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    "text, units, remedy",
    [
        ("我们填一个空", "english", "characters"),
        ("我们 GLM 填空", "words", "characters"),
        ("空欄を埋める", "words", "characters"),
        ("мама мыла раму", "english", "words"),
    ],
)
def test_units_that_the_references_are_not_of_are_refused(text, units, remedy):
    """ROUGE of these would be 0 or of whole sentences, whatever is generated."""
    with pytest.raises(ValueError, match=f"val.tsv: --units {units}.*Give --units {remedy}"):
        check_units([text], units, "val.tsv")
    check_units([text], remedy, "val.tsv")


def test_units_of_other_texts_are_free():
    for text in ("schöne grüne Bäume", "the word 空", "12 %"):
        check_units([text], "english", "val.tsv")
    check_units(["한국어 문장"], "words", "val.tsv")


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="bertscore"):
        check_metrics(["rouge", "bertscore"])


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(ImportError, match=r"Bleu needs sacrebleu.*transformers-glm\[eval\]"):
        check_metrics(["bleu", "meteor"])


def test_the_metrics_load_offline(tmp_path):
    code = (
        "from transformers_glm.metrics.texts import TEXT_METRICS, score_texts\n"
        "print(sorted(score_texts(list(TEXT_METRICS), ['a b'], [['a b']])))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "meteor_exact_stem" in done.stdout and "chrf" in done.stdout, done.stderr
