# SPDX-License-Identifier: Apache-2.0
"""
TREC's questions: lines of a text file in Latin-1, `--data_kwargs '{"path": "text", "encoding": "latin-1"}'`.

    DESC:manner How did serfdom develop in and then leave Russia ?
"""

from datasets import Dataset


def coarse(table: Dataset) -> list[dict]:
    """`category` is one of six: ABBR, DESC, ENTY, HUM, LOC, NUM; `text` is the question."""
    return [{"category": row["text"].split(":")[0], "text": row["text"].split(" ", 1)[1]} for row in table]


def fine(table: Dataset) -> list[dict]:
    """`category` is one of fifty, such as DESC:manner."""
    return [dict(zip(("category", "text"), row["text"].split(" ", 1), strict=True)) for row in table]
