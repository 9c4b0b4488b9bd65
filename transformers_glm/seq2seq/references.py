# SPDX-License-Identifier: Apache-2.0
"""What a generated text is scored against: the target of its row, a column, or the targets of all rows of its source."""

from collections.abc import Sequence

from ..data.task_rows import Row
from ..data.templates import Template, column_of


JOINED = "references of one source"  # the column of joined rows


def references_of(row: Row, target: Template, column: str | None, where: str) -> list[str]:
    """
    The texts that are right for a row.

    Args:
        row (`Row`): the row, one of [`join_same_sources`] perhaps.
        target ([`Template`]): template of the target.
        column (`str`, *optional*):
            A column with a text or a list of texts, `answers[*][text]` of a list of objects; in place of the target.
        where (`str`): how errors call the row.

    Raises:
        `ValueError`: the column holds anything else, or an empty text.
    """
    if JOINED in row:
        return row[JOINED]
    if column is None:
        return [target.text_of(row, where).strip()]
    column, each, inside = column.partition("[*]")
    found = column_of(row, column, where)
    if each and isinstance(found, list):
        found = [column_of({"item": item}, f"item{inside}", where) for item in found]
    accepted = found if isinstance(found, list) else [found]
    if not accepted or not all(isinstance(text, str) and text.strip() for text in accepted):
        raise ValueError(f"{where}: the references {found!r} are no text and no list of texts. See --references.")
    return [text.strip() for text in accepted]


def join_same_sources(
    rows: Sequence[Row], source: Template, target: Template, column: str | None, where: str
) -> list[Row]:
    """The first row of each source, in a column of its own the references of all its rows, each once."""
    joined: dict[str | int, Row] = {}
    for number, row in enumerate(rows, 1):
        name = f"{where}, row {number}"
        if not target.text_of(row, name).strip():
            joined[number] = row  # to be refused or dropped as any other
            continue
        accepted = joined.setdefault(source.text_of(row, name), {**row, JOINED: []})[JOINED]
        accepted += [text for text in references_of(row, target, column, name) if text not in accepted]
    return list(joined.values())
