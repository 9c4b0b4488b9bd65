# SPDX-License-Identifier: Apache-2.0
"""
Tables in which a source stands in several rows, each with another target that is right:

    concepts            target                          (CommonGen)
    ["dog", "run"]      The dog runs.
    ["dog", "run"]      A dog is running.

The rows to train on stay as they are. Of those to score, one is left of each source, with all its targets, each once, in the
column `references`: scored against its own target alone, a text is far below published numbers.
"""

from datasets import Dataset


def common_gen(table: Dataset, split: str) -> list[dict]:
    """CommonGen: `concepts`, a list of words, and `target`."""
    return joined(table, split, "concepts", "target")


def e2e(table: Dataset, split: str) -> list[dict]:
    """E2E: `mr`, what is to be said, and `ref`."""
    return joined(table, split, "mr", "ref")


def joined(table: Dataset, split: str, source: str, target: str) -> list[dict]:
    """Rows whose `references` are their own target (split train), or the targets of all rows with this source."""
    if split == "train":
        return [row | {"references": [row[target]]} for row in table]
    rows = {}
    for row in table:
        references = rows.setdefault(str(row[source]), row | {"references": []})["references"]
        if row[target] not in references:
            references.append(row[target])
    return list(rows.values())
