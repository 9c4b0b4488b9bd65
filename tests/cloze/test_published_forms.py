# SPDX-License-Identifier: Apache-2.0
"""The table of published forms in docs/tasks.md: its flags read small files of these forms."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from transformers_glm.cloze.arguments import ClozeArguments, ClozeDataArguments, TaskArguments
from transformers_glm.cloze.data import load_data
from transformers_glm.runs.arguments import parse_arguments


DOCUMENT = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
TABLE = DOCUMENT[DOCUMENT.index("| form | flags |") : DOCUMENT.index("Where labels count from 1")]
# a bar in a cell of a table stands behind a backslash
FLAGS = {
    form: flags.replace(r"\|", "|") for form, flags in re.findall(r"^\| ([^|`]+) \| `(.+)` \|$", TABLE, re.MULTILINE)
}


def jsonl(*rows):
    return "".join(json.dumps(row) + "\r\n" for row in rows)


def quoted(*rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


PAIR = {"sentence1": "It rains.", "sentence2": "It pours."}
ARC = [
    {"question": "What is heavy?", "choices": {"text": ["air", "iron"], "label": labels}} for labels in ("AB", "12")
]
ARC = [row | {"choices": row["choices"] | {"label": list(row["choices"]["label"])}} for row in ARC]
STEM = [
    {"question": {"stem": "What is heavy?", "choices": [{"text": "air", "label": a}, {"text": "iron", "label": b}]}}
    for a, b in ("AB", "12")
]
CLINC = {"train": [["my pin", "pin"], ["my card", "card"]], "val": [["his pin", "pin"], ["his card", "card"]]}
MASSIVE = [
    {"utt": f"{place} {part}", "intent": f"go_{place}", "partition": part}
    for part in ("train", "dev")
    for place in ("home", "out")
]
SWAG = [["", "startphrase", "ending0", "ending1", "ending2", "ending3", "label"]]

# form: (file's name, its text, the first question, the first row's right answer, the labels of two rows)
FORMS = {
    "MNLI tsv, SNLI jsonl": (
        "a.jsonl",
        jsonl(*(PAIR | {"gold_label": label} for label in ("neutral", "-", "entailment"))),
        "It pours? [MASK]. It rains.",
        " Maybe",
        ["neutral", "entailment"],
    ),
    "MRPC": (
        "a.tsv",
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t2\t3\t" No\tYes\r\n0\t4\t5\ta\t"b"\r\n\r\n',
        '" No [MASK], Yes',
        " Yes",
        ["1", "0"],
    ),
    "RTE as numbers": (
        "a.jsonl",
        jsonl(*({"premise": "It pours.", "hypothesis": "It rains.", "label": label} for label in (1, 0))),
        '"It rains" ? [MASK], "It pours."',
        " No",
        ["not_entailment", "entailment"],
    ),
    "BoolQ of the Hub": (
        "a.jsonl",
        jsonl(*({"passage": "It pours.", "question": "is it wet", "answer": answer} for answer in (True, False))),
        "Based on the following passage is it wet? [MASK]. It pours.",
        " Yes",
        ["true", "false"],
    ),
    "CoLA": (
        "a.tsv",
        "gj04\t1\t\tThey drank.\ngj04\t0\t*\tDrank they.\n",
        "They drank. Is this English? [MASK]",
        " yes",
        ["1", "0"],
    ),
    "AG News csv": (
        "a.csv",
        quoted(("3", "Oil", "It\\rose"), ("2", "Cup", 'a "win"')),
        "[MASK] news: Oil It\\rose",
        " Business",
        ["3", "2"],
    ),
    "Yelp polarity csv": (
        "a.csv",
        quoted(("2", 'so "good",\n\nreally'), ("1", "bad")),
        'so "good",\n\nreally It was [MASK].',
        " great",
        ["1", "0"],
    ),
    "TREC": (
        "a.label",
        "ENTY:other What is a café ?\nHUM:ind Who ?\n".encode("latin-1"),
        "What is a café ? This is about [MASK].",
        " ENTY",
        ["ENTY", "HUM"],
    ),
    "CLINC150": ("a.json", json.dumps(CLINC), "his pin This is about [MASK].", " pin", ["pin", "card"]),
    "MASSIVE": ("a.jsonl", jsonl(*MASSIVE), "home dev This is about [MASK].", " go home", ["go_home", "go_out"]),
    "HellaSwag": (
        "a.jsonl",
        jsonl(*({"ctx": "He", "endings": ["ran", "sat"], "label": label, "ind": 4} for label in "10")),
        "He [MASK]",
        " sat",
        ["1", "0"],
    ),
    "ARC, OpenBookQA, CommonsenseQA of the Hub": (
        "a.jsonl",
        jsonl(ARC[0] | {"answerKey": "B"}, ARC[1] | {"answerKey": "1"}),
        "What is heavy? [MASK]",
        " iron",
        ["B", "1"],
    ),
    "the same as first published": (
        "a.jsonl",
        jsonl(STEM[0] | {"answerKey": "B"}, STEM[1] | {"answerKey": "1"}),
        "What is heavy? [MASK]",
        " iron",
        ["B", "1"],
    ),
    "RACE": (
        "a.jsonl",
        jsonl(*({"article": "A.", "question": "B?", "options": ["c", "d"], "answer": answer} for answer in "BA")),
        "A. B? [MASK]",
        " d",
        ["1", "0"],
    ),
    "PIQA": (
        "train.jsonl",
        jsonl(*2 * [{"goal": "Boil", "sol1": "cool", "sol2": "heat"}]),
        "Boil [MASK]",
        " heat",
        ["1", "0"],
    ),
    "WinoGrande": (
        "a.jsonl",
        jsonl(*({"sentence": "_ won.", "option1": "Ada", "option2": "Bob", "answer": answer} for answer in "21")),
        "_ won. Here _ is [MASK].",
        " Bob",
        ["1", "0"],
    ),
    "SWAG csv": (
        "a.csv",
        quoted(*SWAG, (0, "He", "a", "b", "c", "d", 2), (1, "She", "a", "b", "c", "d", 0)),
        "He [MASK]",
        " c",
        ["2", "0"],
    ),
    "LCQMC tsv": (
        "a.tsv",
        'text_a\ttext_b\tlabel\n甲"\t乙\t1\n丙\t丁\t0\n',
        '“甲"”和“乙”的意思[MASK]。',
        "相同",
        ["1", "0"],
    ),
    "waimai_10k csv": (
        "a.csv",
        "label,review\r\n1,很快\r\n0,太慢\r\n",
        "很快。总之很[MASK]。",
        "好",
        ["Positive", "Negative"],
    ),
    "iflytek": (
        "a.json",
        jsonl(*({"label": "1", "label_des": name, "sentence": "应用"} for name in ("打车", "地图"))),
        "这是一条[MASK]新闻：应用",
        "打车",
        ["打车", "地图"],
    ),
    "THUCNews": ("a.txt", "\ufeff体育\t意外\n娱乐\t电影\n", "这是一条[MASK]新闻：意外", "体育", ["体育", "娱乐"]),
    "CLUE csl": (
        "a.json",
        jsonl(*({"id": 1, "abst": "摘要。", "keyword": ["甲", "乙"], "label": label} for label in "10")),
        "摘要。关键词：甲、乙，[MASK]",
        "对",
        ["1", "0"],
    ),
}


def test_every_published_form_of_the_document_is_shown_here():
    assert list(FLAGS) == list(FORMS)
    assert len(FLAGS) == len(TABLE.splitlines()) - 3  # the two lines of its head, and the empty one


@pytest.mark.parametrize("form", FORMS)
def test_published_forms_are_read_by_the_flags_of_the_document(form, tmp_path, monkeypatch):
    name, text, question, answer, labels = FORMS[form]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    if form == "PIQA":
        Path("valid.jsonl").write_text(text)
        for labels_file in ("train-labels.lst", "valid-labels.lst"):
            Path(labels_file).write_text("1\n0\n")
    # those of the document win where it names the files
    flags = ["--train_data", name, "--evaluation_data", name, *shlex.split(FLAGS[form])]
    model_args, task_args, data_args = parse_arguments((ClozeArguments, TaskArguments, ClozeDataArguments), flags)
    task, data = load_data(task_args.load(), data_args, model_args, seed=0)
    row = data.evaluation[0]
    assert task.question(row) == question
    assert list(task.answers(row).values())[task.right_answer(row)] == [answer]
    assert [str(one[task.label_field]).lower() for one in data.evaluation] == [label.lower() for label in labels]
    assert data.labelled and data.drawn == 2
