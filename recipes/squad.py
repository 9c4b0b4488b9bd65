# SPDX-License-Identifier: Apache-2.0
"""
SQuAD as first published, and the data sets of its form (SQuAD 2.0, CMRC 2018, DRCD):

    {"version": "1.1", "data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
        {"id": ..., "question": ..., "answers": [{"text": ..., "answer_start": 515}]}]}]}]}
"""

from collections.abc import Iterator

from datasets import Dataset


def rows(table: Dataset) -> Iterator[dict]:
    """A row a question, as the Hub has it: title, context, id, question and answers, `{"text": [...], "answer_start": [...]}`."""
    articles = [article for row in table for article in row.get("data", [row])]
    for article in articles:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                answers = {key: [one[key] for one in asked["answers"]] for key in ("text", "answer_start")}
                about = {"title": article.get("title"), "context": paragraph["context"]}
                yield about | {"id": asked.get("id"), "question": asked["question"], "answers": answers}


def answerable(table: Dataset) -> list[dict]:
    """The questions that have an answer: of SQuAD 2.0 two thirds of those to train on, and half of the others."""
    return [row for row in rows(table) if row["answers"]["text"]]


def with_unanswerable(table: Dataset) -> list[dict]:
    """All questions of SQuAD 2.0: the answer of one that has none is `no answer`, as the metric `answers` knows it."""
    return [
        row if row["answers"]["text"] else row | {"answers": {"text": ["no answer"], "answer_start": [-1]}}
        for row in rows(table)
    ]
