# SPDX-License-Identifier: Apache-2.0
import math
import re
from dataclasses import replace

import pytest
import torch
from naive_glm import naive_logits, naive_row

from blank_infilling_glm import IGNORE
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm.cloze.collator import DataCollatorForCloze
from transformers_glm.cloze.questions import Scoring
from transformers_glm.cloze.rows import ClozeEncoder
from transformers_glm.cloze.scoring import decide, loss_of, reproduced, scoring_head
from transformers_glm.cloze.task import ClozeTask


ROWS = [
    {"text": "Ada wrote it.", "word": "It"},
    {"text": "机器能思考吗？ A long one, longer than the first.", "word": "She"},
]
TASK = ClozeTask("{{ text }} {{ word }} was [MASK].", {"good": " good", "bad": " bad", "built": " never built"})
TWO_BLANKS = ClozeTask("{{ text }} [MASK] a hole [MASK].", {"a": [" It", " good"], "b": [" She taped", " log book"]})
OWN = ClozeTask(
    "{{ text }} {{ candidate }} [MASK] it.", candidates=["{{ word }}", "Grace Hopper"], answer=" {{ candidate }} wrote"
)


def tokens(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def naive_score(model, tokenizer, question, answers, with_eop=False):
    """One candidate alone: the sum of the log-probabilities of its tokens, blank after blank, and how many they are."""
    part_a = tokenizer(question)["input_ids"]
    places = [place for place, token in enumerate(part_a) if token == tokenizer.mask_token_id]
    pieces, total, number = [], 0.0, 0
    for place, answer in zip(places, answers, strict=True):
        span = tokens(tokenizer, answer)
        row = naive_row(part_a, [*pieces, (place, span)], tokenizer.sop_token_id)
        logits = naive_logits(model.state_dict(), model.config.num_attention_heads, *row)[-len(span) - 1 :]
        targets = [*span, tokenizer.eop_token_id] if with_eop else span
        total += sum(float(logits[step].log_softmax(-1)[token]) for step, token in enumerate(targets))
        number += len(targets)
        pieces.append((place, span))
    return total, number


def naive_scores(task, model, tokenizer, row):
    found = {}
    for (label, answers), (candidate, *_) in zip(task.answers(row).items(), task.texts_of(row).values(), strict=True):
        question = task.question(row, candidate)
        total, number = naive_score(model, tokenizer, question, answers, task.scoring.with_eop)
        found[label] = total / number if task.scoring.length_normalization else total
    return found


@pytest.mark.parametrize(
    "task", [TASK, TWO_BLANKS, OWN], ids=["one blank", "two blanks", "a question for each candidate"]
)
@pytest.mark.parametrize("with_eop", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_scores_are_those_of_the_naive_twin(text_model, tokenizer, task, side, with_eop, monkeypatch):
    monkeypatch.setattr(tokenizer, "padding_side", side)
    task = replace(task, scoring=Scoring(with_eop=with_eop))
    expected = [naive_scores(task, text_model, tokenizer, row) for row in ROWS]
    for batch_size in (1, 2):
        scores = task.scores(text_model, tokenizer, ROWS, batch_size=batch_size)
        for of_row, of_twin in zip(scores, expected, strict=True):
            assert of_row == pytest.approx(of_twin, abs=1e-3)
    best = [max(of_row, key=of_row.get) for of_row in expected]
    assert task.predict(text_model, tokenizer, ROWS) == best


def test_length_normalization_divides_by_the_tokens(text_model, tokenizer):
    task = replace(TASK, scoring=Scoring(length_normalization=True, with_eop=True))
    scores = task.scores(text_model, tokenizer, ROWS)
    assert scores[0] == pytest.approx(naive_scores(task, text_model, tokenizer, ROWS[0]), abs=1e-3)


def test_weights_add_their_logarithm(text_model, tokenizer):
    plain = TASK.scores(text_model, tokenizer, ROWS)[0]
    weighted = replace(TASK, scoring=Scoring(weights={"bad": 3.0})).scores(text_model, tokenizer, ROWS)[0]
    assert weighted == pytest.approx(plain | {"bad": plain["bad"] + math.log(3)}, abs=1e-5)


def test_pmi_subtracts_what_the_answer_is_worth_in_the_domain(text_model, tokenizer):
    task = replace(TASK, scoring=Scoring(calibration="pmi", domain="{{ word }} was [MASK]."))
    for row, scores in zip(ROWS, task.scores(text_model, tokenizer, ROWS), strict=True):
        plain = naive_scores(TASK, text_model, tokenizer, row)
        domain = naive_scores(ClozeTask("{{ word }} was [MASK].", TASK.verbalizer), text_model, tokenizer, row)
        assert scores == pytest.approx({label: plain[label] - domain[label] for label in plain}, abs=1e-3)


def test_contextual_calibration_subtracts_the_mean_probability_without_content(text_model, tokenizer):
    task = replace(TASK, scoring=Scoring(calibration="contextual", content_free=("N/A", "a")))
    empty = [naive_scores(TASK, text_model, tokenizer, {"text": text, "word": text}) for text in ("N/A", "a")]
    shares = [{label: math.exp(value) for label, value in of_text.items()} for of_text in empty]
    mean = {label: sum(one[label] / sum(one.values()) for one in shares) / 2 for label in TASK.verbalizer}
    plain = naive_scores(TASK, text_model, tokenizer, ROWS[1])
    scores = task.scores(text_model, tokenizer, ROWS)[1]
    assert scores == pytest.approx({label: plain[label] - math.log(mean[label]) for label in plain}, abs=1e-3)


def test_rows_may_have_candidates_of_their_own(text_model, tokenizer):
    task = ClozeTask(lambda row: f"{row['text']} [MASK]", lambda row: row["choices"])
    rows = [{"text": "Ada", "choices": [" a", " b", " c"]}, {"text": "Grace", "choices": [" d", " e"]}]
    scores = task.scores(text_model, tokenizer, rows)
    assert [sorted(of_row) for of_row in scores] == [[0, 1, 2], [0, 1]]
    for row, of_row in zip(rows, scores, strict=True):
        assert of_row == pytest.approx(naive_scores(task, text_model, tokenizer, row), abs=1e-3)


def test_the_collator_lays_rows_out_as_the_tokenizer_does(tokenizer):
    encoder = ClozeEncoder(replace(TASK, label_field="right"), tokenizer, 128)
    rows = [row | {"right": "bad"} for row in ROWS]
    batch = DataCollatorForCloze(tokenizer)(list(encoder.dataset(rows)))
    inputs = tokenizer([TASK.question(row) for row in rows], padding=True)
    other = tokenizer.build_inputs_for_multiple_choice(inputs, [list(TASK.verbalizer.values())] * 2)
    assert batch["choice_ids"].tolist() == other["choice_ids"].tolist()
    assert batch.pop("labels").tolist() == [1, 1]
    for name in ("input_ids", "position_ids", "block_position_ids"):
        for ours, mask, theirs, there in zip(
            batch[name], batch["attention_mask"], other[name], other["attention_mask"], strict=True
        ):
            assert ours[mask.bool()].tolist() == theirs[there.bool()].tolist()


def test_an_earlier_blank_is_read_to_its_end_and_scored_without_eop(tokenizer):
    task = ClozeTask("[MASK] b [MASK]", {"x": ["a hole", "in it"]})
    row = ClozeEncoder(task, tokenizer, 128)({})
    batch = DataCollatorForCloze(tokenizer)([row])
    first, second = tokens(tokenizer, "a hole"), tokens(tokenizer, "in it")
    length = len(tokenizer("[MASK] b [MASK]")["input_ids"])
    sop = tokenizer.sop_token_id
    assert batch["input_ids"][0, length:].tolist() == [sop, *first, sop, *second[:-1]]
    assert batch["choice_ids"][0, 0].tolist() == [*first, IGNORE, *second]
    assert batch["choice_indices"][0, 0].tolist() == [*range(length, batch["input_ids"].shape[1])]


LONG = {"text": "It is a question that the text asks of its reader. " * 6, "word": "Is a blank a hole? " * 2}


@pytest.mark.parametrize("room", [24, 40, 64])
def test_truncation_keeps_the_blank_and_the_pattern_and_says_what_it_cut(text_model, tokenizer, room, caplog):
    encoder = ClozeEncoder(replace(TASK, max_length=room), tokenizer, 128)
    (row,) = encoder.dataset([LONG])
    text = tokenizer.decode(row["input_ids"])
    assert text.endswith(" was[MASK].<|endoftext|>")
    assert row["input_ids"].count(tokenizer.mask_token_id) == 1
    longest = max(len(span) for (span,) in row["choice_ids"])
    assert room - 2 <= len(row["input_ids"]) + longest <= room
    assert re.search(r"1 of 1 rows were too long and lost \d+ tokens of 'text'", caplog.text)


def test_the_longest_field_is_cut_from_its_end(tokenizer):
    task = ClozeTask("{{ a }}|{{ b }}|{{ c }} [MASK]", {"x": "a"}, shorten=["a", "b"])
    row = {"a": "it is a hole in the text", "b": "it is", "c": "a machine that was never built"}
    whole = ClozeEncoder(task, tokenizer, 128)(row)["input_ids"]
    encoder = ClozeEncoder(replace(task, max_length=len(whole) - 3 + 1), tokenizer, 128)
    text = tokenizer.decode(encoder(row)["input_ids"], skip_special_tokens=True)
    assert text.startswith("it is a hole") and text.endswith("|it is|a machine that was never built")
    assert set(encoder.shortener.tokens) == {"a"}


def test_characters_of_several_tokens_go_whole(tokenizer):
    task = ClozeTask("{{ text }}[MASK]", {"x": "a"}, max_length=12)
    encoder = ClozeEncoder(task, tokenizer, 128)
    text = tokenizer.decode(encoder({"text": "🎉" * 20})["input_ids"], skip_special_tokens=True)
    assert text in ("🎉", "🎉🎉")


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        (TASK, {"text": "Ada"}, "Row 0: .* 'word' is undefined; the row has text"),
        (TASK, {"text": "Ada", "word": None}, r"Row 0: .* a field is empty \(None\)"),
        (ClozeTask("{{ text }}", {"a": " a"}), {"text": "Ada"}, r"Row 0: The question has 0 blanks \(\[MASK\]\)"),
        (TASK, {"text": "Ada [MASK]", "word": "It"}, "Row 0: The question has 2 blanks .* no field of the row holds"),
        (TWO_BLANKS, {"text": "[MASK]"}, "has 3 blanks .* 'a' has 2 answers"),
        (ClozeTask("{{ text }} [MASK]", {"a": " a", "b": " "}), {"text": "Ada"}, "give each label an answer"),
        (ClozeTask("[MASK]", candidates="c"), {"c": ["a", ""]}, "Row 0: .*give each label an answer"),
        (ClozeTask("[MASK]", candidates="c"), {"c": ["a", None]}, "Row 0: The candidates .* have None among them"),
        (ClozeTask("[MASK]", candidates="c"), {"c": []}, "Row 0: The candidates {} are empty"),
        (ClozeTask("[MASK]", candidates="c"), {"c": "a b"}, "Row 0: The candidates 'c' must be a list"),
        (
            ClozeTask("[MASK]", candidates="c"),
            {"d": ["a"]},
            "Row 0: 'c' is not found: 'c' is undefined; the row has d",
        ),
        (ClozeTask("[MASK]", candidates="c"), {"c": ["a", "a"]}, "Row 0: The candidates 0 and 1 are both"),
        (
            ClozeTask("[MASK]", candidates="c"),
            {"c": ["a", "b"], "label": 2},
            "Row 0: The label 2 is not among .*'0', '1'",
        ),
        (
            ClozeTask("[MASK]", candidates="c", label_is="text"),
            {"c": ["Ada", "Grace"], "label": "Bob"},
            "Row 0: The label 'Bob' is not among the candidates",
        ),
        (TASK, {"text": "Ada", "word": "It", "label": "ugly"}, "Row 0: The label 'ugly' is not among the candidates"),
        (ClozeTask("[MASK] {{ text }}", {"a": "a"}, shorten=[], max_length=8), LONG, "Row 0: .*nothing left to cut"),
        (ClozeTask("[MASK]"), {}, "no verbalizer yet"),
        (replace(TASK, scoring=Scoring(weights={"ugly": 2.0})), ROWS[0], "weights of .*ugly"),
    ],
)
def test_bad_tasks_and_rows_are_refused(task, row, words, text_model, tokenizer):
    with pytest.raises(ValueError, match=words):
        task.scores(text_model, tokenizer, [row])


@pytest.mark.parametrize(
    ("verbalizer", "settings", "words"),
    [
        ({"x": "a[CLS]"}, {}, "label 'x' holds the special token"),
        ({"x": "a<|endofpiece|>"}, {}, "label 'x' holds the special token"),
        ({"x": " never built"}, {"single_token": True}, r"label 'x' is \d tokens, .* wants a single one"),
        ({"x": "a", "y": ["a", "b"]}, {}, "The question has 1 blanks"),
        ({True: "a", "true": "b"}, {}, "names a label twice"),
        ({"x": "a", "y": "a"}, {}, "The candidates 'x' and 'y' are both"),
    ],
)
def test_unexpected_verbalizers_are_refused_by_name(verbalizer, settings, words, text_model, tokenizer):
    with pytest.raises(ValueError, match=words):
        ClozeTask("[MASK]", verbalizer, **settings).scores(text_model, tokenizer, [{}])


def test_answers_that_a_vocabulary_cannot_write_or_tell_apart_are_refused(tokenizer, monkeypatch):
    written = {"?": [tokenizer.unk_token_id], "Yes": [50], "yes": [50], "": []}
    monkeypatch.setattr(
        type(tokenizer),
        "__call__",
        lambda self, texts, **_: {"input_ids": [written[text.strip("_")] for text in texts]},
    )
    for verbalizer, words in (
        ({"x": "Yes", "y": "?"}, "of label 'y' has unknown tokens"),
        ({"x": "Yes", "y": "yes"}, "labels 'x' and 'y', .* are the same tokens"),
        ({"x": "_"}, "label 'x' has no tokens"),
    ):
        with pytest.raises(ValueError, match=words):
            ClozeEncoder(ClozeTask("[MASK]", verbalizer), tokenizer, 128)


def test_a_row_has_the_room_of_the_task_or_the_model(tokenizer, caplog):
    for of_task, of_model, room in ((None, 64, 64), (32, 64, 32), (64, 32, 32)):
        assert ClozeEncoder(replace(TASK, max_length=of_task), tokenizer, of_model).max_length == room
    assert "max_length is 32, the length of the model, instead of 64" in caplog.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"calibration": "zero"}, "calibration='zero'"),
        ({"calibration": "pmi"}, "give it as `domain`"),
        ({"weights": {"a": 0.0}}, "weight of label 'a' is 0.0"),
        ({"content_free": ()}, "content_free is empty"),
    ],
)
def test_bad_scoring_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Scoring(**settings)


def test_label_names_can_be_the_answers():
    task = ClozeTask("{{ text }} [MASK]", answer=" {{ candidate }}").with_labels(
        ["lost_card", "age limit", "lost_card"]
    )
    assert task.answers({}) == {"age limit": [" age limit"], "lost_card": [" lost card"]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("generative", (2.0 + 3.0) / 2),
        ("mix", (2.0 + 3.0) / 2 + (math.log(1 + math.exp(1)) + math.log(1 + math.exp(-2))) / 2),
        ("hinge", (2.0 + 0.0) / 2),
    ],
)
def test_losses_by_hand(name, expected):
    scores = torch.tensor([[-2.0, -1.0, -math.inf], [-5.0, -3.0, -math.inf]])
    labels = torch.tensor([0, 1])
    assert float(loss_of(name)({"logits": scores}, labels)) == pytest.approx(expected)
    assert float(loss_of(name)({"logits": scores}, labels, num_items_in_batch=4)) == pytest.approx(expected / 2)


@pytest.mark.parametrize("task", [TASK, OWN], ids=["one question", "a question for each candidate"])
def test_a_loss_of_right_answers_is_trained_without_the_wrong_ones(task, text_model, tokenizer):
    model = GLMForMultipleChoice(text_model.config).eval()
    model.load_state_dict(text_model.state_dict(), strict=False)
    task = replace(task, loss="generative")
    labels = ["built", "good"] if task.labels else [1, 0]
    rows = [{**row, "label": label} for row, label in zip(ROWS, labels, strict=True)]
    encoder, collator = ClozeEncoder(task, tokenizer, 64), DataCollatorForCloze(tokenizer)
    losses, sizes = [], []
    for dataset in (encoder.dataset(rows), encoder.training_dataset(rows)):
        batch = collator(dataset.to_list())
        right = batch.pop("labels")
        losses.append(float(loss_of("generative")({"logits": model(**batch).logits}, right).detach()))
        sizes.append(batch["input_ids"].numel())
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert sizes[1] < sizes[0]
    plain = ClozeEncoder(replace(task, loss="mix"), tokenizer, 64)
    assert plain.training_dataset(rows).to_list() == plain.dataset(rows).to_list()


def test_a_first_candidate_is_decided_by_the_others_or_by_what_the_model_writes():
    task = ClozeTask("[MASK]", candidates="c", decision="first")
    assert decide(task, {0: -1.0, 1: -2.0}) == "true"
    assert decide(task, {0: -3.0, 1: -2.0}) == "false"
    assert [decide(task, {0: -3.0}, written) for written in (True, False)] == ["true", "false"]


def test_what_the_model_would_write_is_recognized(text_model, tokenizer):
    question = "Ada wrote [MASK]."
    inputs = tokenizer(question, return_tensors="pt")
    text_model.generation_config.max_new_tokens = 12
    found = []
    for seed in range(8):  # models that stop after few tokens, whose text is tokenized as it was written
        torch.manual_seed(seed)
        with torch.no_grad():
            text_model.glm.word_embeddings.weight[tokenizer.eop_token_id] *= 1.5
        piece = text_model.generate(**inputs)[0].tolist()[1:]
        text = tokenizer.decode(piece[:-1], skip_special_tokens=True)
        if piece[-1] == tokenizer.eop_token_id and text.strip() and tokens(tokenizer, text) == piece[:-1]:
            found.append(text)
            rows = [{"c": [text]}, {"c": [text + " not"]}]
            task = ClozeTask(question, candidates="c", decision="first")
            assert reproduced(task, text_model, tokenizer, rows) == [True, False]
    assert found  # a model that stopped, else nothing was compared


def test_a_scorer_shares_the_weights_of_the_model(text_model):
    head = scoring_head(text_model)
    assert isinstance(head, GLMForMultipleChoice) and head.glm is text_model.glm
    assert scoring_head(head) is head


@pytest.mark.parametrize("value", [None, ["a", "b"], {"text": "a"}])
def test_a_field_that_holds_no_text_is_refused_with_and_without_its_punctuation(value):
    for pattern in ("{{ words }}", "{{ words | plain }}"):
        with pytest.raises(ValueError, match="cannot be written: a field (is empty|holds .* or join them)"):
            ClozeTask(pattern).question({"words": value})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pattern": "{hypothesis!p} [MASK], {{ premise }}"}, r"{hypothesis!p} in single braces.*{{ name \| plain }}"),
        ({"pattern": "[MASK] {target[span1_text]}"}, r"single braces.*{{ target.name }}"),
        ({"pattern": "[MASK]", "domain": "{keyword:、} [MASK]"}, "{keyword:、} in single braces"),
        ({"pattern": "[MASK]", "answer": " {candidate}"}, "{candidate} in single braces"),
        ({"pattern": "[MASK]", "texts": ["{a}"]}, "{a} in single braces"),
        ({"pattern": "[MASK]", "candidates": ["{choice1}", "{choice2}"]}, "{choice1} in single braces"),
        ({"pattern": "{{ text"}, "The template '{{ text' cannot be read"),
        ({"pattern": "{{ text.__class__ }} [MASK]", "candidates": "a b"}, "cannot be read"),
    ],
)
def test_templates_of_the_old_language_and_broken_ones_are_refused(settings, words):
    scoring = Scoring(domain=settings.pop("domain", None))
    with pytest.raises(ValueError, match=words):
        ClozeTask(**settings, scoring=scoring)


def test_braces_that_are_no_field_of_the_old_language_stand_for_themselves():
    task = ClozeTask("""{"text": "{{ text }}", {1, 2}, {{ '{name}' }}} [MASK]""")
    assert task.question({"text": "a"}) == """{"text": "a", {1, 2}, {name}} [MASK]"""


def test_candidates_are_known_by_their_own_labels_or_by_their_numbers():
    numbered = {"choices": ["air", "iron"]}
    columns = {"choices": {"text": ["air", "iron"], "label": ["1", "2"]}}
    pairs = {"choices": [{"text": "air", "label": "1"}, {"text": "iron", "label": "2"}]}
    task = ClozeTask("[MASK]", candidates="choices")
    assert [task.right_answer(row | {"label": "1"}) for row in (numbered, columns, pairs)] == [1, 0, 0]
    assert task.texts_of(columns) == task.texts_of(pairs) == {"1": ["air"], "2": ["iron"]}
    nested = ClozeTask("[MASK]", candidates="question.choices")
    assert nested.right_answer({"question": pairs, "label": "2"}) == 1
    for choices, words in (
        ({"text": ["a"], "label": ["A", "B"]}, "must be a list, or their text and label"),
        ([{"text": "a", "label": "A"}, {"text": "b", "label": "A"}], "have a label twice: .'A', 'A'."),
    ):
        with pytest.raises(ValueError, match=words):
            task.texts_of({"choices": choices})
