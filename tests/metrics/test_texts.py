# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from transformers_glm.metrics.texts import check_metrics, check_units, score_texts


def score(name, prediction, *references, units="english"):
    return score_texts([name], [prediction], [list(references)], units)


def test_rouge_is_the_f_measure_of_shared_units():
    # 2 of 3 unigrams, 1 of 2 bigrams; stems are shared
    expected = {"rouge1": 200 / 3, "rouge2": 50.0, "rougeL": 200 / 3, "rougeLsum": 200 / 3}
    assert score("rouge", "the cats sat", "the cat stood") == pytest.approx(expected)
    assert score("rouge", "the cats sat", "the cat stood", units="words")["rouge1"] == pytest.approx(100 / 3)


def test_rouge_of_chinese_counts_characters():
    # four of five, the Latin word is one of them
    result = score("rouge", "用GLM填空", "用GLM填字", units="characters")
    assert result["rouge1"] == pytest.approx(75.0)
    assert score("rouge", "填空", "填空", units="english")["rouge1"] == 0  # rouge_score's own words are those of ASCII


def test_rouge_of_other_alphabets_keeps_their_letters():
    assert score("rouge", "schöne grüne Bäume", "schöne alte Bäume", units="words")["rouge1"] == pytest.approx(200 / 3)


def test_rouge_lsum_goes_sentence_by_sentence():
    result = score("rouge", "It ran. We sat.", "We sat. It ran.")
    assert (result["rougeL"], result["rougeLsum"]) == (pytest.approx(50.0), pytest.approx(100.0))


def test_the_best_reference_counts():
    assert score("rouge", "a b", "c d", "a b")["rouge1"] == pytest.approx(100.0)
    assert score("meteor", "a b", "c d", "a b")["meteor_exact_stem"] == pytest.approx(100 * (1 - 0.5 / 8))
    uneven = [["x y z w"], ["q", "a b c d"]]
    assert score_texts(["bleu"], ["x y z w", "a b c d"], uneven)["bleu"] == pytest.approx(100.0)


def test_bleu_is_the_geometric_mean_of_four_precisions():
    # 5/6 words, 3/5 pairs, 2/4 triples, 1/3 quadruples; no penalty, the lengths are equal
    result = score("bleu", "the cat sat on a mat", "the cat sat on the mat")
    assert result["bleu"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert "tok:13a" in result["bleu_signature"]


def test_bleu_of_chinese_counts_characters():
    result = score("bleu", "我们填一个空", "我们填一个空", units="characters")
    assert result["bleu"] == pytest.approx(100.0) and "tok:zh" in result["bleu_signature"]


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
    for text, units in (
        ("schöne grüne Bäume", "english"),
        ("the word 空", "english"),
        ("한국어 문장", "words"),
        ("12 %", "english"),
    ):
        check_units([text], units, "val.tsv")


def test_chrf_of_a_different_text_is_zero():
    assert score("chrf", "abc", "abc") == {"chrf": pytest.approx(100.0)}
    assert score("chrf", "xyz", "abc") == {"chrf": 0.0}


def test_meteor_matches_words_then_stems_and_punishes_broken_order():
    # precision 1, recall 3/4: 3/4 / (0.9 + 0.1 * 3/4); one chunk of three
    assert score("meteor", "the cats sat", "the cat sat down")["meteor_exact_stem"] == pytest.approx(
        100 * 0.75 / 0.975 * (1 - 0.5 / 27)
    )
    # all match, in two chunks of two
    assert score("meteor", "c d a b", "a b c d")["meteor_exact_stem"] == pytest.approx(100 * (1 - 0.5 / 8))
    assert score("meteor", "", "a b")["meteor_exact_stem"] == 0


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
