# SPDX-License-Identifier: Apache-2.0
"""Reddit TIFU: `{"documents": ..., "tldr": ..., "title": ...}`, many rows without a summary (tldr)."""

from datasets import Dataset


def with_summary(table: Dataset) -> list[dict]:
    """The rows that have a summary."""
    return [row for row in table if row["tldr"]]
