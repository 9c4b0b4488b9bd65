# SPDX-License-Identifier: Apache-2.0
"""The table of published forms in docs/generation-tasks.md: its options read small files of these forms."""

import csv
import gzip
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from transformers_glm.data.templates import Template
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.seq2seq.arguments import RowArguments
from transformers_glm.seq2seq.references import join_same_sources, references_of
from transformers_glm.seq2seq.rows import Seq2SeqEncoder
from transformers_glm.seq2seq.run import load_task_rows


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "generation-tasks.md").read_text(encoding="utf-8")
TABLE = PAGE.split("### Published forms")[1].split("\n## ")[0]
LINES = [re.split(r"(?<!\\)\|", line) for line in TABLE.splitlines() if "--train_data" in line]


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
                "train": [
                    {"personality": ["I p.", "I q."], "utterances": [{"candidates": ["x", "g"], "history": ["h"]}]}
                ]
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


@pytest.mark.parametrize("options", [line[2].strip().strip("`") if len(line) == 4 else line for line in LINES])
def test_the_options_of_the_table_read_the_published_form(options, tmp_path, monkeypatch, tokenizer):
    monkeypatch.chdir(tmp_path)
    for name, (text, _) in FORMS.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    [args] = parse_arguments((RowArguments,), shlex.split(options))
    rows = load_task_rows(args.train_data, "train", args)
    source = Template(args.source)
    expected = FORMS[args.train_data[0]][1]
    if args.task == "infilling":
        assert [source.text_of(row, "row") for row in rows] == [text for text, _, _ in expected]
        return
    target = Template(args.target)
    if args.join_references:
        rows = join_same_sources(rows, source, target, args.references, "rows")
    kept, _ = Seq2SeqEncoder(tokenizer, source, target, "[MASK]", empty=args.empty_rows).encode_all(rows, "rows")
    read = [
        (
            "".join(part.text for part in source.fill(row, "row")),
            target.text_of(row, "row"),
            references_of(row, target, args.references, "row"),
        )
        for row in kept
    ]
    assert read == expected


def test_every_form_of_the_table_is_read():
    named = {name for line in LINES for name in FORMS if name in " ".join(line).split()}
    assert named == set(FORMS) and len(LINES) == len([1 for _, expected in FORMS.values() if expected])
