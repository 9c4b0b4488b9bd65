# SPDX-License-Identifier: Apache-2.0
"""MASSIVE: a jsonl file for each language, in which `partition` is train, dev or test: `--evaluation_split dev`."""

from datasets import Dataset


def partition(table: Dataset, split: str) -> list[dict]:
    """The rows of the split."""
    return [row for row in table if row["partition"] == split]
