# SPDX-License-Identifier: Apache-2.0
"""The table of published forms in docs/generation-tasks.md: its flags read small files of these forms."""

import csv
import gzip
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from transformers_glm.data.templates import template
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.seq2seq.arguments import RowArguments, TaskArguments
from transformers_glm.seq2seq.rows import Seq2SeqEncoder, references_of, stripped
from transformers_glm.seq2seq.run import load_rows


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "generation-tasks.md").read_text(encoding="utf-8")
TABLE = PAGE.split("### Published forms")[1].split("\n## ")[0]
# a bar in a cell of a table stands behind a backslash
FLAGS = [flags.replace(r"\|", "|") for flags in re.findall(r"^\| [^|`]+ \| `(.+)` \|$", TABLE, re.MULTILINE)]


def lines(*rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def table(*rows):
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def squad(*asked):
    return json.dumps(
        {"version": "1", "data": [{"title": "t", "paragraphs": [{"context": "C.", "qas": list(asked)}]}]}
    )


def turns(*said):
    return [
        {"turn_id": str(n), "speaker": "SYSTEM" if n % 2 else "USER", "utterance": text} for n, text in enumerate(said)
    ]


ASKED = {"question": "q?", "answers": [{"text": "a", "answer_start": 0}, {"text": "b", "answer_start": 1}]}
TRIPLES = {"mtriple_set": [["A | r | B", "B | r | C"]]}
# file -> what is in it; then source, target and references of each row
FORMS = {
    "xsum.jsonl": (lines({"document": "D\nd", "summary": "S", "id": "1"}), [("[MASK] Content: D\nd", " S", ["S"])]),
    "cnn.csv": (
        "\ufeff" + table(["id", "article", "highlights"], ["1", 'A "a",\n\na', "H\nh"]),
        [('[MASK] Content: A "a",\n\na', " H\nh", ["H\nh"])],
    ),
    "giga.src.txt": (
        "s one\r\ns two\r\n",
        [("[MASK] Content: s one", " t one", ["t one"]), ("[MASK] Content: s two", " t two", ["t two"])],
    ),
    "giga.tgt.txt": ("t one\nt two", None),
    "samsum.json": (
        json.dumps([{"id": "1", "dialogue": "A: Hi\r\nB: Hey", "summary": "S"}]),
        [("[MASK] Content: A: Hi\r\nB: Hey", " S", ["S"])],
    ),
    "tifu.json": (
        lines({"documents": "D", "tldr": None}, {"documents": "E", "tldr": "T"}),
        [("[MASK] Content: E", " T", ["T"])],
    ),
    "billsum.jsonl.gz": (lines({"text": "B", "summary": "S", "title": "T"}), [("[MASK] Content: B", " S", ["S"])]),
    "lcsts.jsonl": (lines({"text": "正文", "summary": "标题"}), [("正文标题：[MASK]", "标题", ["标题"])]),
    "wmt.jsonl": (lines({"translation": {"en": "Yes.", "de": "Ja."}}), [("Yes.", " Ja.", ["Ja."])]),
    "opus.en.gz": ("Yes.\nNo.\n", [("Yes.", " Ja.", ["Ja."]), ("No.", " Nein.", ["Nein."])]),
    "opus.de.gz": ("Ja.\nNein.\n", None),
    "deu.txt": ('Say "hi".\tSag "hi".\tCC-BY 2.0\n', [('Say "hi".', ' Sag "hi".', ['Sag "hi".'])]),
    "squad.json": (squad(ASKED), [("C. Question: [MASK] Answer: a", " q?", ["q?"])]),
    "squad2.json": (
        squad({"question": "none?", "answers": [], "is_impossible": True}, ASKED),
        [("C. q? [MASK]", " a", ["a", "b"])],
    ),
    "flat.jsonl": (
        lines({"context": "C.", "question": "q?", "answers": {"text": ["a", "b"], "answer_start": [0, 1]}}),
        [("C. q? [MASK]", " a", ["a", "b"])],
    ),
    "commongen.jsonl": (
        lines(*({"concepts": ["dog", "run"], "target": text} for text in ("One.", "Two.", "One."))),
        [("dog run [MASK]", " One.", ["One.", "Two."])],
    ),
    "e2e.csv": (
        'mr,ref\r\n"name[A], area[b]","A, ""a"" place."\r\n"name[A], area[b]",In b.\r\nname[C],C.\r\n',
        [
            ("name[A], area[b] [MASK]", ' A, "a" place.', ['A, "a" place.', "In b."]),
            ("name[C] [MASK]", " C.", ["C."]),
        ],
    ),
    "webnlg.json": (
        json.dumps([{"modified_triple_sets": TRIPLES, "lex": {"comment": ["good"] * 2, "text": ["One.", "Two."]}}]),
        [("A | r | B B | r | C [MASK]", " One.", ["One.", "Two."])],
    ),
    "roc.csv": (
        table(["storyid", "storytitle", *(f"sentence{n}" for n in range(1, 6))], ["i", "t", *"abcde"]),
        [("a b c d [MASK]", " e", ["e"])],
    ),
    "daily.txt": (
        "Hi . __eou__ Hey ! __eou__ Bye . __eou__\n",
        [("Hi . [MASK]", " Hey !", ["Hey !"]), ("Hi .\nHey ! [MASK]", " Bye .", ["Bye ."])],
    ),
    "convai.json": (
        json.dumps(
            {
                "train": [],
                "valid": [
                    {"personality": ["I p.", "I q."], "utterances": [{"candidates": ["x", "g"], "history": ["h"]}]}
                ],
            }
        ),
        [("I p. I q. h [MASK]", " g", ["g"])],
    ),
    "data.json": (
        json.dumps(
            {"P1.json": {"goal": {}, "log": [{"text": "Hi", "metadata": {}}, {"text": "Yes?", "metadata": {}}]}}
        ),
        [("Hi [MASK]", " Yes?", ["Yes?"])],
    ),
    "dialogues_001.json": (
        json.dumps([{"dialogue_id": "1", "turns": turns("Hi", "Yes?", "No")}]),
        [("USER: Hi SYSTEM: [MASK]", " Yes?", ["Yes?"]), ("USER: He SYSTEM: [MASK]", " So?", ["So?"])],
    ),
    "dialogues_002.json": (json.dumps([{"dialogue_id": "2", "turns": turns("He", "So?")}]), None),
    "yahoo.csv": ('"1","t","","an answer<br />"\n', [("an answer<br />", None, None)]),
}


@pytest.mark.parametrize("flags", FLAGS)
def test_the_flags_of_the_table_read_the_published_form(flags, tmp_path, monkeypatch, tokenizer):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for name, (text, _) in FORMS.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    flags = shlex.split(flags.replace("--train_data", "--evaluation_data"))
    row_args, task_args = parse_arguments((RowArguments, TaskArguments), flags)
    rows, expected = load_rows(row_args, "evaluation", 0), FORMS[files_of(flags)[0]][1]
    source = template(task_args.source)
    if task_args.task == "infilling":
        assert [source.write(row) for row in rows] == [text for text, _, _ in expected]
        return
    Seq2SeqEncoder(task_args, tokenizer, 512).encode(rows, "rows")
    rows = [stripped(row) for row in rows]
    read = [
        (
            source.write(row),
            template(task_args.target).write(row),
            references_of(row, task_args.target, task_args.references),
        )
        for row in rows
    ]
    assert read == expected


def files_of(flags):
    return [word.split("=")[-1] for word in flags if word.split("=")[-1] in FORMS]


def test_every_form_of_the_table_is_read():
    named = {name for flags in FLAGS for name in files_of(shlex.split(flags))}
    assert named == set(FORMS) and len(FLAGS) == len([1 for _, expected in FORMS.values() if expected])
