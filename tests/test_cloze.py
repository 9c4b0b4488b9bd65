# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from transformers_glm.cloze import ClozeTask


ROWS = [
    {"text": "Ada wrote it.", "word": "It"},
    {"text": "机器能思考吗？ A long one, longer than the first.", "word": "She"},
]
TASK = ClozeTask("{text} {word} was [MASK].", {"good": " good", "bad": " bad", "built": " never built"})


def log_probability(model, tokenizer, question, answer):
    """One candidate by itself, token by token."""
    row = tokenizer(question)["input_ids"] + [tokenizer.sop_token_id]
    total = 0.0
    for token in tokenizer(answer, add_special_tokens=False)["input_ids"]:
        total += float(model(torch.tensor([row])).logits[0, -1].log_softmax(-1)[token])
        row = [*row, token]
    return total


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_scores_are_the_sums_of_each_candidate_alone(text_model, tokenizer, side, monkeypatch):
    monkeypatch.setattr(tokenizer, "padding_side", side)
    for row, scores in zip(ROWS, TASK.scores(text_model, tokenizer, ROWS), strict=True):
        for label, answer in TASK.verbalizer.items():
            alone = log_probability(text_model, tokenizer, TASK.question(row), answer)
            assert scores[label] == pytest.approx(alone, abs=1e-3)


def test_length_normalization_divides_by_the_tokens(text_model, tokenizer):
    plain = TASK.scores(text_model, tokenizer, ROWS)
    normalized = TASK.scores(text_model, tokenizer, ROWS, length_normalization=True)
    tokens = len(tokenizer(" never built", add_special_tokens=False)["input_ids"])
    assert normalized[0]["built"] == pytest.approx(plain[0]["built"] / tokens, rel=1e-5)


def test_rows_may_have_candidates_of_their_own(text_model, tokenizer):
    task = ClozeTask(lambda row: f"{row['text']} [MASK]", lambda row: row["choices"])
    rows = [{"text": "Ada", "choices": [" a", " b", " c"]}, {"text": "Grace", "choices": [" d", " e"]}]
    assert [sorted(of_row) for of_row in task.scores(text_model, tokenizer, rows)] == [[0, 1, 2], [0, 1]]
    predicted = task.predict(text_model, tokenizer, rows)
    assert predicted == [max(s, key=s.get) for s in task.scores(text_model, tokenizer, rows, batch_size=1)]


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        (TASK, {"text": "Ada"}, "wants 'word'; the row has"),
        (ClozeTask("{text}", {"a": " a"}), {"text": "Ada"}, "MASK"),
        (ClozeTask("{text} [MASK]", {"a": " a", "b": " "}), {"text": "Ada"}, "give each label an answer"),
    ],
)
def test_bad_tasks_are_refused(task, row, words, text_model, tokenizer):
    with pytest.raises(ValueError, match=words):
        task.scores(text_model, tokenizer, [row])
