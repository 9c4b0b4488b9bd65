# SPDX-License-Identifier: Apache-2.0
"""
ARC, OpenBookQA and CommonsenseQA as first published, a question with its choices within it:

    {"question": {"stem": ..., "choices": [{"text": "iron", "label": "A"}, ...]}, "answerKey": "A"}
"""

from collections.abc import Iterator

from datasets import Dataset


def flat(table: Dataset) -> Iterator[dict]:
    """`question` and `choices` stand beside each other, as the Hub has them."""
    for row in table:
        question = row["question"]
        choices = {key: [choice[key] for choice in question["choices"]] for key in ("text", "label")}
        yield row | {"question": question["stem"], "choices": choices}
