# SPDX-License-Identifier: Apache-2.0
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blank_infilling_glm import blank_out, lay_out
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.metrics.span_scores import blanked_places, score_glm, score_left_to_right, text_tokens


SOP, EOP, MASK = 93, 94, 90


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
    scores = score_left_to_right(FromTheLeft(), [row], [example], tokens=[1, 2, 3])
    # 1 after 1 2 has 0.5 and is the likeliest; 3 after 2 1 has 0.1 and is not
    assert scores == (0.5, pytest.approx(1 / math.sqrt(0.5 * 0.1)), 2)


def test_a_glm_is_scored_on_the_tokens_of_the_text_alone(tokenizer, tiny_model):
    tiny_model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    collator = DataCollatorForBlankInfilling(tokenizer)
    rows = [tokenizer(text)["input_ids"] for text in ("Ada wrote the first program.", "A moth in the relay.")]
    examples = [collator.blank({"input_ids": row}) for row in rows]
    tokens = text_tokens(tokenizer)
    scores = score_glm(tiny_model, collator, examples, tokens, batch_size=1)
    expected, hits = [], []
    for example in examples:
        inputs = {name: torch.tensor([example[name]]) for name in example if name != "labels"}
        logits = tiny_model(**inputs).logits[0]
        for place, label in enumerate(example["labels"]):
            if label in tokens:
                chances = logits[place, tokens].softmax(-1)
                expected.append(chances[tokens.index(label)].log().item())
                hits.append(tokens[int(chances.argmax())] == label)
    assert scores.tokens == len(expected)
    assert scores.accuracy == pytest.approx(np.mean(hits))
    assert scores.perplexity == pytest.approx(math.exp(-np.mean(expected)), rel=1e-4)
    assert scores == pytest.approx(score_glm(tiny_model, collator, examples, tokens, batch_size=2), rel=1e-4)


def test_all_models_are_scored_on_the_same_tokens(tokenizer, tiny_model):
    tiny_model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    collator, tokens = DataCollatorForBlankInfilling(tokenizer), text_tokens(tokenizer)
    rng = random.Random(0)
    rows = [[tokenizer.cls_token_id, *rng.choices(tokens, k=30), tokenizer.eos_token_id] for _ in range(5)]
    examples = [collator.blank({"input_ids": row}) for row in rows]

    class Even:
        def distribution(self, context):
            return np.full(len(tokenizer), 1 / len(tokenizer))

    left = score_left_to_right(Even(), rows, examples, tokens)
    assert left.tokens == score_glm(tiny_model, collator, examples, tokens).tokens
    assert left.perplexity == pytest.approx(len(tokenizer))
