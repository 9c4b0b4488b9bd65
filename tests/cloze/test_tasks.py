# SPDX-License-Identifier: Apache-2.0
"""The questions and answers of every pattern of every task, word for word."""

import re
from pathlib import Path

import pytest
import yaml
from datasets import Dataset
from transformers import HfArgumentParser, TrainingArguments

from transformers_glm.cloze.arguments import ClozeArguments, ClozeDataArguments, TaskArguments
from transformers_glm.cloze.data import task_rows
from transformers_glm.cloze.task import ClozeTask
from transformers_glm.cloze.tasks import load_task, task_names
from transformers_glm.cloze.tasks.loading import FOLDER


NLI = {"premise": "Ada wrote “it”.", "hypothesis": "It was written.", "idx": 3}
QUIZ = {"question": "What is heavy?", "choices": {"text": ["air", "iron"], "label": ["A", "B"]}, "label": "B"}
COPA = {
    "premise": "My body cast a shadow.",
    "choice1": "The sun was rising.",
    "choice2": "The grass was cut.",
    "question": "cause",
    "label": 0,
    "idx": 7,
}
WSC = {
    "text": "Mark told Pete lies , and he believed him.",
    "target": {"span1_index": 0, "span1_text": "Mark", "span2_index": 6, "span2_text": "he"},
    "label": False,
    "idx": 1,
}
RECORD = {
    "passage": {
        "text": "Chelsea beat Olimpija.\n@highlight\nKurt Zouma scored for Chelsea",
        "entities": [
            {"start": 0, "end": 6},
            {"start": 13, "end": 20},
            {"start": 34, "end": 43},
            {"start": 56, "end": 62},
        ],
    },
    "qas": [{"query": "He said @placeholder made it difficult.", "answers": [{"text": "Olimpija"}], "idx": 11}],
    "idx": 2,
}
MULTIRC = {
    "idx": 4,
    "passage": {
        "text": "Forces cause motion. ",
        "questions": [
            {
                "idx": 9,
                "question": "What causes motion?",
                "answers": [{"text": "Mass", "idx": 20, "label": 0}, {"text": "A force.", "idx": 21, "label": 1}],
            }
        ],
    },
}
WIC = {"word": "place", "sentence1": "Come to my place.", "sentence2": "No place for it.", "label": False, "idx": 0}
BOOLQ = {"passage": "GLM -- It fills blanks.", "question": "does glm fill blanks", "label": True, "idx": 5}
MARKED = "Mark told Pete lies , and *he* believed him."
PASSAGE = "Chelsea beat Olimpija.\n- Kurt Zouma scored for Chelsea"
CHOICES = {0: [" the sun was rising"], 1: [" the grass was cut"]}
ENTITIES = {0: [" Chelsea"], 1: [" Olimpija"], 2: [" Kurt Zouma"]}
TRUTH = {True: [" Yes"], False: [" No"]}
TRUE_FALSE = {True: [" true"], False: [" false"]}
RTE = {"entailment": [" Yes"], "not_entailment": [" No"]}
CB = {"entailment": [" Yes"], "contradiction": [" No"], "neutral": [" Maybe"]}
RIGHT = {1: [" Yes"], 0: [" No"]}
REVIEW = {1: [" great"], 0: [" terrible"]}
GOOD = {1: ["好"], 0: ["差"]}
SAME = {1: ["相同"], 0: ["不同"]}
OCNLI = {"entailment": ["对"], "contradiction": ["错"], "neutral": ["可能"]}
CHINESE_WSC = {
    "text": "毛豆说他很生气。",
    "target": {"span1_index": 0, "span1_text": "毛豆", "span2_index": 3, "span2_text": "他"},
    "label": "true",
}

SHADOW = '"the sun was rising" or "the grass was cut"? My body cast a shadow'
ASKED = "GLM -- It fills blanks. Question: does glm fill blanks? Answer: [MASK]."
PREVIOUS = "GLM -- It fills blanks. Based on the previous passage, does glm fill blanks? [MASK]."
FOLLOWING = "Based on the following passage does glm fill blanks? [MASK]. GLM -- It fills blanks."
FORCES, WHAT = "Forces cause motion.", "What causes motion"
PLACES = "Come to my place. No place for it."
RTE_4 = {"entailment": [" true"], "not_entailment": [" false"]}
CB_4 = {"entailment": [" true"], "contradiction": [" false"], "neutral": [" neither"]}
B_2 = {True: ["b"], False: ["2"]}

# task, pattern, row of the published file, question, answers. A mask token takes the space to its left.
PATTERNS = [
    ("copa", 0, COPA, f"{SHADOW} because [MASK].", CHOICES),
    ("copa", 0, COPA | {"question": "effect"}, f"{SHADOW}, so [MASK].", CHOICES),
    ("copa", 1, COPA, "the sun was rising or the grass was cut? My body cast a shadow because [MASK].", CHOICES),
    ("copa", 2, COPA, f"{SHADOW} [MASK] the sun was rising", {0: [" because"], 1: [" because"]}),
    ("wsc", 0, WSC, f"{MARKED} The pronoun '*he*' refers to [MASK].", {0: [" Mark"]}),
    ("wsc", 1, WSC, f"{MARKED} In the previous sentence, the pronoun '*he*' refers to [MASK].", {0: [" Mark"]}),
    (
        "wsc",
        2,
        WSC,
        f"{MARKED} Question: In the passage above, what does the pronoun '*he*' refer to? Answer: [MASK].",
        {0: [" Mark"]},
    ),
    ("record", None, RECORD, f"{PASSAGE} He said [MASK] made it difficult.", ENTITIES),
    ("rte", 0, NLI, '"It was written" ? [MASK], "Ada wrote "it"."', RTE),
    ("rte", 1, NLI, 'It was written? [MASK], Ada wrote "it".', RTE),
    ("rte", 2, NLI, '"It was written" ? [MASK]. "Ada wrote "it"."', RTE),
    ("rte", 3, NLI, 'It was written? [MASK]. Ada wrote "it".', RTE),
    ("rte", 4, NLI, 'Ada wrote "it". question: It was written True or False? answer: [MASK]', RTE_4),
    ("cb", 0, NLI, '"It was written" ? [MASK], "Ada wrote "it"."', CB),
    ("cb", 1, NLI, 'It was written? [MASK], Ada wrote "it".', CB),
    ("cb", 2, NLI, '"It was written" ? [MASK]. "Ada wrote "it"."', CB),
    ("cb", 3, NLI, 'It was written? [MASK]. Ada wrote "it".', CB),
    ("cb", 4, NLI, 'Ada wrote "it". question: It was written true, false or neither? answer: [MASK]', CB_4),
    ("boolq", 0, BOOLQ, ASKED, TRUTH),
    ("boolq", 1, BOOLQ, ASKED, TRUE_FALSE),
    ("boolq", 2, BOOLQ, PREVIOUS, TRUTH),
    ("boolq", 3, BOOLQ, PREVIOUS, TRUE_FALSE),
    ("boolq", 4, BOOLQ, FOLLOWING, TRUTH),
    ("boolq", 5, BOOLQ, FOLLOWING, TRUE_FALSE),
    ("multirc", 0, MULTIRC, "Forces cause motion. Question: What causes motion? Is it Mass? [MASK].", RIGHT),
    ("multirc", 1, MULTIRC, f'{FORCES} Question: {WHAT}? Is the correct answer "Mass"? [MASK].', RIGHT),
    (
        "multirc",
        2,
        MULTIRC,
        f'{FORCES} Based on the previous passage, {WHAT}? Is "Mass" a correct answer? [MASK].',
        RIGHT,
    ),
    ("multirc", 3, MULTIRC, "Forces cause motion What causes motion- [[MASK]]Mass", {1: [" True"], 0: [" False"]}),
    ("multirc", 4, MULTIRC, "Forces cause motion. Question: What causes motion? Mass? [MASK].", RIGHT),
    ("wic", 0, WIC, '"Come to my place." / "No place for it." Similar sense of "place"? [MASK].', TRUTH),
    ("wic", 1, WIC, f"{PLACES} Does place have the same meaning in both sentences? [MASK]", TRUTH),
    ("wic", 2, WIC, 'place . Sense (1) (a) "Come to my place." ([MASK]) "No place for it."', B_2),
    ("sst2", 0, {"sentence": "a film . "}, "a film .  It was [MASK].", REVIEW),
    ("sst2", 1, {"sentence": "a film"}, "a film All in all, it was [MASK].", REVIEW),
    ("sst2", 2, {"sentence": "a film"}, "[MASK]! a film", REVIEW),
    ("sst2", 3, {"sentence": "a film"}, "In summary, the film is [MASK]. a film", REVIEW),
    ("banking77", 0, {"text": "My card?"}, "My card? This is about [MASK].", None),
    ("banking77", 1, {"text": "My card?"}, "Topic: [MASK]. My card?", None),
    ("intents", 0, {"text": "My card?"}, "My card? This is about [MASK].", None),
    ("intents", 1, {"text": "My card?"}, "Topic: [MASK]. My card?", None),
    ("choices", 0, QUIZ, "What is heavy? [MASK]", {"A": [" air"], "B": [" iron"]}),
    ("choices", 1, QUIZ, "Question: What is heavy? Answer: [MASK]", {"A": [" air"], "B": [" iron"]}),
    ("eprstmt", 0, {"sentence": "很快"}, "很快。总之很[MASK]。", {"Positive": ["好"], "Negative": ["差"]}),
    ("eprstmt", 1, {"sentence": "很快"}, "很[MASK]！很快", {"Positive": ["好"], "Negative": ["差"]}),
    ("chnsenticorp", 0, {"text_a": "很快"}, "很快。总之很[MASK]。", GOOD),
    ("chnsenticorp", 1, {"text_a": "很快"}, "很[MASK]！很快", GOOD),
    ("tnews", 0, {"sentence": "土葬"}, "这是一条[MASK]新闻：土葬", None),
    ("tnews", 1, {"sentence": "土葬"}, "土葬。这是[MASK]新闻。", None),
    ("cluewsc", 0, CHINESE_WSC, "毛豆说他很生气。其中“他”指的是“毛豆”，[MASK]。", {True: ["对"], False: ["错"]}),
    ("cluewsc", 1, CHINESE_WSC, "毛豆说他很生气。“他”是“毛豆”吗？[MASK]。", {True: ["对"], False: ["错"]}),
    ("bustm", 0, {"sentence1": "喊我", "sentence2": "叫我"}, "“喊我”和“叫我”的意思[MASK]。", SAME),
    ("bustm", 1, {"sentence1": "喊我", "sentence2": "叫我"}, "喊我？[MASK]，叫我", SAME),
    ("ocnli", 0, {"sentence1": "他来", "sentence2": "他在"}, "“他来”，所以“他在”，[MASK]。", OCNLI),
    ("ocnli", 1, {"sentence1": "他来", "sentence2": "他在"}, "他来？[MASK]，他在", OCNLI),
]


def prepared(task, *rows, training=False, **kwargs):
    return task_rows(task, Dataset.from_list(list(rows)), training=training, **kwargs)


@pytest.mark.parametrize(("name", "pattern", "row", "question", "answers"), PATTERNS)
def test_questions_and_answers_word_for_word(name, pattern, row, question, answers):
    task = load_task(name, pattern)
    made = prepared(task, row)[0]
    candidate = next(iter(task.texts_of(made).values()))[0] if task.verbalizer or task.candidates else None
    assert task.question(made, candidate) == question
    if answers is not None:
        assert task.answers(made) == answers


def test_every_pattern_of_every_task_is_spelled_out():
    for name in task_names():
        patterns = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()).get("patterns", {None: ""})
        assert {pattern for task, pattern, *_ in PATTERNS if task == name} == set(patterns), name


def test_the_default_patterns_and_lengths_are_those_of_the_paper():
    published = {
        "copa": (0, 256),
        "wsc": (2, 128),
        "rte": (0, 256),
        "wic": (1, 256),
        "cb": (3, 256),
        "multirc": (0, 512),
        "boolq": (4, 256),
    }
    for name, (pattern, length) in published.items():
        assert load_task(name) == load_task(name, pattern), name
        assert load_task(name).max_length == length
    assert load_task("record").max_length == 512
    assert load_task("wsc").loss == "mix" and load_task("wsc").scoring.length_normalization
    assert all(load_task(name).scoring.with_eop for name in ("copa", "wsc", "record"))


def test_copa_trains_on_both_orders():
    task = load_task("copa")
    first, swapped = prepared(task, COPA, training=True)
    assert (first["label"], swapped["label"]) == (0, 1)
    assert (
        task.question(swapped) == '"the grass was cut" or "the sun was rising"? My body cast a shadow because [MASK].'
    )
    assert task.right_answer(swapped) == 1
    assert list(task.answers(swapped).values())[1] == [" the sun was rising"]
    second = load_task("copa", 2)
    assert second.question(first, "the grass was cut").endswith("My body cast a shadow [MASK] the grass was cut")


def test_wsc_groups_the_wrong_candidates_by_nine_and_trains_on_true_rows():
    task = load_task("wsc")
    names = [f"n{index}" for index in range(11)]
    row = WSC | {"label": True, "candidates": [*names, "Mark"]}
    first, last = (made["choices"] for made in prepared(task, row, training=True))
    assert first == ["Mark", *names[:9]]
    assert last == ["Mark", "n9", "n10", *names[:7]]
    assert prepared(task, WSC, training=True) == []
    (evaluated,) = prepared(task, row)
    assert evaluated["choices"] == ["Mark", *names] and task.right_answer(evaluated) == 0


@pytest.mark.parametrize("index", [5, 7])
def test_wsc_finds_a_pronoun_one_word_off(index):
    row = WSC | {"target": WSC["target"] | {"span2_index": index}}
    assert prepared(load_task("wsc"), row)[0]["marked"] == MARKED


def test_record_trains_on_the_right_entity_and_at_most_nine_wrong_ones():
    task = load_task("record")
    text = " ".join(f"E{index:02}" for index in range(20))
    entities = [{"start": 4 * index, "end": 4 * index + 2} for index in range(20)]
    row = RECORD | {"passage": {"text": text, "entities": entities}}
    row["qas"] = [row["qas"][0] | {"answers": [{"text": "E03"}, {"text": "E07"}]}]
    made = prepared(task, row, training=True)
    assert [one["entities"][0] for one in made] == ["E03", "E07"]
    assert all(len(set(one["entities"])) == 10 and task.right_answer(one) == 0 for one in made)
    assert not any({"E03", "E07"} & set(one["entities"][1:]) for one in made)
    assert made == prepared(task, row, training=True)
    (evaluated,) = prepared(task, row)
    assert len(evaluated["entities"]) == 20 and evaluated["answers"] == ["E03", "E07"]


def test_multirc_makes_a_row_of_each_answer_in_the_group_of_its_question():
    made = prepared(load_task("multirc"), MULTIRC)
    assert [(one["idx"], one["group"], one["label"]) for one in made] == [("4-9-20", "4-9", 0), ("4-9-21", "4-9", 1)]


def test_rows_of_the_hub_are_read_as_those_of_the_files():
    multirc = {
        "paragraph": "Forces cause motion. ",
        "question": "What causes motion?",
        "answer": "Mass",
        "idx": {"paragraph": 4, "question": 9, "answer": 20},
        "label": 0,
    }
    ours, of_file = prepared(load_task("multirc"), multirc)[0], prepared(load_task("multirc"), MULTIRC)[0]
    assert {name: ours[name] for name in of_file} == of_file
    record = {
        "passage": RECORD["passage"]["text"],
        "query": RECORD["qas"][0]["query"],
        "entities": ["Chelsea", "Olimpija", "Kurt Zouma"],
        "answers": ["Olimpija"],
        "idx": 11,
    }
    assert prepared(load_task("record"), record) == prepared(load_task("record"), RECORD)
    wsc = {name: value for name, value in WSC.items() if name != "target"} | WSC["target"]
    assert prepared(load_task("wsc"), wsc)[0]["marked"] == MARKED


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("copa", COPA | {"question": "why"}, "Row 0: question is 'why'. It is cause or effect"),
        ("copa", {"premise": "a", "question": "cause"}, "Row 0: It has no field 'choice1'"),
        ("wsc", WSC | {"target": WSC["target"] | {"span2_index": 1}}, "Row 0: The pronoun 'he' is not word 1"),
        ("record", RECORD | {"qas": [{"query": "no", "answers": [], "idx": 1}]}, "Row 0: .* has no @placeholder"),
    ],
)
def test_rows_that_cannot_be_prepared_are_named(name, row, words):
    with pytest.raises(ValueError, match=words):
        prepared(load_task(name), row)


def test_an_answer_that_is_no_entity_is_refused():
    row = RECORD | {"qas": [RECORD["qas"][0] | {"answers": [{"text": "Ajax"}]}]}
    with pytest.raises(ValueError, match="Row 0: The answer 'Ajax' is not among the candidates"):
        prepared(load_task("record"), row, training=True)


def test_a_task_of_ones_own_takes_a_few_lines(tmp_path):
    path = tmp_path / "mood.yaml"
    path.write_text("pattern: 'I feel [MASK]: {{ text }}'\nverbalizer: {happy: ' good', sad: ' bad'}\n")
    task = load_task(str(path), length_normalization=True, label_field="mood")
    assert task.name == "mood" and task.question({"text": "hm"}) == "I feel [MASK]: hm"
    assert task.scoring.length_normalization and task.label_field == "mood"
    assert load_task("sst2", "Was {{ sentence }} [MASK]?").question({"sentence": "it"}) == "Was it [MASK]?"
    own = load_task("sst2", candidates="options", answer=" {{ candidate }}")
    assert own.verbalizer is None and own.answers({"options": ["a", "b"]}) == {0: [" a"], 1: [" b"]}


MOOD = "pattern: '[MASK]'\nverbalizer: {a: b}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", "holds list. A task is settings"),
        ("a: [", "cannot be read: .*line 1"),
        ("pattern: !!python/object:os.system x", "cannot be read: .*python/object"),
        ("pattern: a\npattern: b", "cannot be read: 'pattern' occurs twice"),
        (MOOD + "verbaliser: {a: b}", "a task has no verbaliser. It has patterns, pattern, verbalizer"),
        ("verbalizer: {a: b}", "needs a pattern"),
        ("pattern: 5", r"has no pattern 5. Its patterns: \[\]"),
        ("pattern: [a]", r"pattern: \['a'\] is not a text, or the number of one of its patterns"),
        ("pattern: 0\npatterns: 5", "patterns: 5 is not a mapping. Write one line `label: value` for each"),
        ("pattern: 0\npatterns: {a: b}", "patterns are numbered, 0: ..., but one is called 'a'"),
        ("pattern: 0\npatterns: {0: 5}", "patterns, 0: 5 is not a text, or settings"),
        ("pattern: 0\npatterns: {0: {pattern: a, losss: b}}", "pattern 0: a task has no losss"),
        ("pattern: a\nverbalizer: 5", "verbalizer: 5 is not a mapping"),
        ("pattern: a\nverbalizer: {a: }", "verbalizer, 'a': None is not a text, ' glad', .* stands in quotes"),
        ("pattern: a\nverbalizer: {a: true}", "verbalizer, 'a': True is not a text"),
        ("pattern: a\nverbalizer: {a: [b, 5]}", r"verbalizer, 'a': \['b', 5\] is not a text"),
        ("pattern: a\nverbalizer: {~: b}", "verbalizer: the label None is neither text nor a number"),
        ("pattern: a\ncandidates: 5", "candidates: 5 is not an expression"),
        (MOOD + "weights: {0: x}", "weights, 0: 'x' is not a number greater than 0"),
        (MOOD + "weights: {a: 0}", "weights, 'a': 0 is not a number greater than 0"),
        (MOOD + "prepare: 5", "prepare: 5 is not a text"),
        (MOOD + "prepare: nowhere:at_all", "prepare: nowhere:at_all: there is no recipe 'nowhere'"),
        (MOOD + "prepare: nowhere.py:rows", "prepare: nowhere.py:rows: there is no file"),
        (MOOD + "max_length: big", "max_length: 'big' is not a whole number of 1 or more"),
        (MOOD + "max_length: true", "max_length: True is not a whole number"),
        (MOOD + "single_token: yes", "single_token: 'yes' is not true or false"),
        (MOOD + "metrics: accuracy", "metrics: 'accuracy' is not a list of texts"),
        (MOOD + "answer:", "answer: None is not a text"),
        (MOOD + "loss: none", "loss='none' is not known. Choose one of"),
        (MOOD + "candidates: c", "not both"),
        (MOOD + "answer: '{candidate}'", "{candidate} in single braces"),
    ],
)
def test_bad_task_files_are_refused_with_the_file_the_setting_and_its_value(text, words, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)bad(\.yaml|).*{words}"):
        load_task(str(path))


def test_yes_no_on_off_and_dates_are_texts_and_true_and_false_are_not(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "pattern: '[MASK]'\nverbalizer: {yes: no, on: off, Y: n, 2020-01-01: d, true: t}\nsingle_token: true"
    )
    task = load_task(str(path))
    assert task.verbalizer == {"yes": "no", "on": "off", "Y": "n", "2020-01-01": "d", True: "t"}
    assert task.single_token is True


def test_the_function_of_a_task_may_stand_in_a_file_beside_it(tmp_path):
    (tmp_path / "mood.py").write_text("def rows(row, training):\n    return [{'text': row['a'] + str(training)}]")
    (tmp_path / "mood.yaml").write_text("pattern: '{{ text }} [MASK]'\nverbalizer: {a: b}\nprepare: mood.py:rows")
    task = load_task(str(tmp_path / "mood.yaml"))
    assert [task.question(row) for row in prepared(task, {"a": "x"}, training=True)] == ["xTrue [MASK]"]


def test_unknown_tasks_and_patterns_are_refused():
    with pytest.raises(ValueError, match="There is no task 'glue'.*banking77"):
        load_task("glue")
    with pytest.raises(ValueError, match=r"Task rte has no pattern 9. Its patterns: \[0, 1, 2, 3, 4\]"):
        load_task("rte", 9)


def test_every_real_label_has_an_answer():
    data = Path(__file__).parents[3] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("the real data are not here")
    from transformers_glm.cloze.labels import check_labels
    from transformers_glm.data.reader import TableSource, load_table

    files = {
        **{
            name.lower(): f"superglue/{name}/val.jsonl"
            for name in ("CB", "RTE", "WSC", "WiC", "BoolQ", "COPA", "MultiRC")
        },
        "record": "fewglue/ReCoRD/dev32.jsonl",
        "sst2": "cls/sst2/dev.tsv",
        "banking77": "cls/banking77/test.csv",
        "chnsenticorp": "cls/chnsenticorp/dev_clean.tsv",
        **{name: f"fewclue/{name}/test_public.json" for name in ("eprstmt", "tnews", "cluewsc", "bustm", "ocnli")},
    }
    assert set(files) == set(task_names()) - {"intents", "choices"}
    for name, file in files.items():
        task = load_task(name)
        rows = task_rows(task, load_table(TableSource([str(data / file)])), training=False)
        assert check_labels(task, rows, file, required=True)
        for row in rows[:50]:
            assert task.right_answer(row) is not None and "[MASK]" in task.question(row, "x")


DOCUMENT = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")


def test_the_document_lists_every_task_with_its_patterns_and_metrics():
    table = DOCUMENT[DOCUMENT.index("## The tasks") :]
    listed = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            names, _, patterns, metrics = (cell.strip() for cell in line.strip("|").split("|"))
            listed |= {name.strip("` "): (patterns, metrics.split(", ")) for name in names.split(",")}
    assert sorted(listed) == task_names()
    outputs = {"multirc": ["f1_a", "exact_match"], "record": ["exact_match", "f1"]}
    for name, (patterns, metrics) in listed.items():
        task = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        many = task.get("patterns")
        assert patterns == (f"0-{max(many)} ({task['pattern']})" if many else "one"), name
        assert metrics == outputs.get(name, load_task(name).metrics if task.get("metrics") else ["accuracy"]), name


def test_every_flag_of_the_document_is_known():
    dataclasses = (ClozeArguments, TaskArguments, ClozeDataArguments, TrainingArguments)
    known = {option for action in HfArgumentParser(dataclasses)._actions for option in action.option_strings}
    assert set(re.findall(r"--\w+", DOCUMENT)) <= {*known, "--metrics"}  # which is a flag of the report
    named = set(ClozeTask.setting_names())
    in_table = DOCUMENT[DOCUMENT.index("| setting | meaning |") : DOCUMENT.index("All candidates of a row")]
    cells = [line.split("|")[1] for line in in_table.splitlines() if line.startswith("| `")]
    settings = {name for cell in cells for name in re.findall(r"`(\w+)[`:]", cell)}
    assert settings - {"patterns"} == named - {"name", "decision", "content_free", "domain", "label_is"}


def test_the_tasks_of_the_document_work_as_written(text_model, tokenizer, tmp_path):
    (tmp_path / "mood.yaml").write_text(re.search(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)[1])
    mood = load_task(str(tmp_path / "mood.yaml"))
    assert mood.question({"text": "It rains."}) == "It rains. I am [MASK]."
    assert mood.answers({}) == {"happy": [" glad"], "sad": [" unhappy"]}
    python = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    lines = [line for line in python.splitlines() if "from_pretrained" not in line]
    names = {"model": text_model, "tokenizer": tokenizer}
    exec("\n".join(lines), names)
    assert names["cb"].scoring.length_normalization and names["mood"].verbalizer == mood.verbalizer
