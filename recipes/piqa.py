# SPDX-License-Identifier: Apache-2.0
"""
PIQA, whose labels are lines of a file of their own. Both files are read as lines side by side:

    --train_data row=train.jsonl label=train-labels.lst --evaluation_data row=valid.jsonl label=valid-labels.lst
"""

import json

from datasets import Dataset


def with_labels(table: Dataset) -> list[dict]:
    """The objects of the one file (goal, sol1, sol2), each with its label of the other."""
    return [json.loads(row["row"]) | {"label": row["label"]} for row in table]
