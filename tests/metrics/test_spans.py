# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import EvalPrediction

from blank_infilling_glm import blank_out, lay_out
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.metrics import metric
from transformers_glm.metrics.base import Scored
from transformers_glm.metrics.ngrams import score_left_to_right
from transformers_glm.metrics.spans import SpanMetrics, blanked_places, reduce_logits, score_rows, text_tokens


SOP, EOP, MASK = 93, 94, 90


@pytest.mark.parametrize("name", ["span_accuracy", "span_perplexity"])
def test_nothing_to_score_is_an_error(name):
    with pytest.raises(ValueError, match="Every label is -100"):
        metric(name).compute(predictions=[1], references=[-100])


def test_two_numbers_are_left_of_each_distribution():
    logits = torch.log(torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]]))
    tokens, log_probabilities = reduce_logits(logits, torch.tensor([[-100, 2, 2]]))
    assert tokens.tolist() == [[0, 1, 2]]
    assert log_probabilities.exp().tolist() == [[1.0, pytest.approx(0.3), pytest.approx(0.5)]]


def test_batches_add_up_to_what_all_logits_at_once_give():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 5, 11), torch.randint(0, 11, (6, 5))
    labels[:, ::2] = -100
    chosen, expected = logits[labels != -100], labels[labels != -100]
    metrics = SpanMetrics()
    for start, is_last in ((0, False), (4, True), (0, False), (4, True)):  # a result begins anew
        rows = slice(start, start + 4)
        reduced = reduce_logits(logits[rows], labels[rows])
        result = metrics(EvalPrediction(predictions=reduced, label_ids=labels[rows]), compute_result=is_last)
        assert result == {} if not is_last else result["tokens"] == 12
    assert result["accuracy"] == pytest.approx((chosen.argmax(-1) == expected).float().mean().item())
    assert result["perplexity"] == pytest.approx(torch.nn.functional.cross_entropy(chosen, expected).exp().item())


@given(st.sets(st.integers(0, 19), min_size=1, max_size=10), st.randoms())
def test_blanked_places_are_those_the_spans_were_taken_from(starts, rng):
    cuts = sorted({*starts, 20})
    spans = [(a, rng.randint(a + 1, b)) for a, b in zip(cuts, cuts[1:], strict=False)]
    rng.shuffle(spans)
    text = list(range(20))
    example = lay_out(*blank_out(text, spans, MASK), sop=SOP, eop=EOP)
    assert blanked_places(example) == [place for start, end in spans for place in range(start, end)]
    labels = [label for label in example["labels"] if label not in (-100, EOP)]
    assert [text[place] for place in blanked_places(example)] == labels


class FromTheLeft:
    """Knows one context."""

    def distribution(self, context):
        return np.array([0.0, 0.5, 0.125, 0.375]) if context == (1, 2) else np.array([0.0, 0.1, 0.8, 0.1])


def test_a_baseline_sees_the_true_tokens_even_where_they_are_blanked():
    row = [1, 2, 1, 3, 2]
    example = lay_out(*blank_out(row, [(2, 4)], 0), sop=4, eop=5)
    [scores] = score_left_to_right(FromTheLeft(), [row], [blanked_places(example)])
    # 1 after 1 2 has 0.5 and is the likeliest; 3 after 2 1 has 0.1 and is not
    assert scores.log_probabilities == pytest.approx([math.log(0.5), math.log(0.1)])
    assert scores.perplexity == pytest.approx(1 / math.sqrt(0.5 * 0.1))
    assert (scores.accuracy, scores.tokens) == (0.5, 2)


def test_a_glm_is_scored_on_the_tokens_of_the_text_alone(tokenizer, text_model):
    collator = DataCollatorForBlankInfilling(tokenizer)
    rows = [tokenizer(text)["input_ids"] for text in ("Ada wrote the first program.", "A moth in the relay.")]
    examples = [collator.blank({"input_ids": row}) for row in rows]
    tokens = text_tokens(tokenizer)
    alone, together = (
        Scored.together(score_rows(text_model, examples, tokenizer.pad_token_id, batch_size, tokens))
        for batch_size in (1, 2)
    )
    expected, hits = [], []
    for row, example in zip(rows, examples, strict=True):
        inputs = {name: torch.tensor([example[name]]) for name in example if name != "labels"}
        logits = text_model(**inputs).logits[0]
        labels = [(place, label) for place, label in enumerate(example["labels"]) if label in tokens]
        assert [label for _, label in labels] == [row[p] for p in blanked_places(example) if row[p] in tokens]
        for place, label in labels:
            chances = logits[place, tokens].softmax(-1)
            expected.append(chances[tokens.index(label)].log().item())
            hits.append(tokens[int(chances.argmax())] == label)
    assert alone.tokens == len(expected)
    assert alone.accuracy == pytest.approx(np.mean(hits))
    assert alone.perplexity == pytest.approx(math.exp(-np.mean(expected)), rel=1e-4)
    assert alone.hits == together.hits
    assert alone.log_probabilities == pytest.approx(together.log_probabilities, rel=1e-4)
