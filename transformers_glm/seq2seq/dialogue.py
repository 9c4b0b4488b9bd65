# SPDX-License-Identifier: Apache-2.0
"""Dialogues as rows: what was said so far, and what is said next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.task_rows import Row


@dataclass(frozen=True)
class DialogueFormat:
    """
    How the turns of a dialogue are written.

    Args:
        turns (`str`):
            The column with the list of turns: `[speaker, text]`, an object, or a plain text; or an object of lists, one for
            each key, as `datasets` keeps lists of objects; or, with a separator, one text.
        speaker (`str`, *optional*, defaults to `"speaker"`): key of the speaker where turns are objects; empty: they have none.
        text (`str`, *optional*, defaults to `"text"`): key of what is said where turns are objects.
        respond_as (`str`, *optional*): the speaker whose turns are targets. Without it every turn but the first is one.
        separator (`str`, *optional*): what stands between (and behind) the turns where they are one text.
    """

    turns: str
    speaker: str = "speaker"
    text: str = "text"
    respond_as: str | None = None
    separator: str | None = None


def responses(rows: Iterable[Row], form: DialogueFormat, where: str) -> Iterator[Row]:
    """
    A row for every response, with the other columns of its dialogue beside `history`, `speaker` and `response`.

        turns       [["USER", "Any trains?"], ["SYSTEM", "Two."], ["USER", "Thanks."], ["SYSTEM", "Bye."]]
        respond_as  SYSTEM
        history     USER: Any trains?         response  Two.
        history     USER: Any trains?⏎SYSTEM: Two.⏎USER: Thanks.         response  Bye.

    Raises:
        `ValueError`: a dialogue has no such column, or a turn of another form; nobody is called `respond_as`.
    """
    found, speakers = 0, set()
    for number, row in enumerate(rows, 1):
        place = f"{where}, row {number}"
        turns = [_read_turn(turn, form, place) for turn in _turns(row, form, place)]
        speakers |= {speaker for speaker, _ in turns}
        others = {column: value for column, value in row.items() if column != form.turns}
        for index in range(1, len(turns)):
            speaker, said = turns[index]
            if form.respond_as in (None, speaker):
                found += 1
                yield {**others, "history": "\n".join(map(_line, turns[:index])), "speaker": speaker, "response": said}
    if not found:
        raise ValueError(
            f"{where} holds no response{f' of {form.respond_as!r}' if form.respond_as else ''}; the speakers are "
            f"{sorted(map(str, speakers))}. Give one of them as --respond_as, and dialogues of two turns or more."
        )


def _turns(row: Row, form: DialogueFormat, place: str) -> Sequence[Any]:
    turns = row.get(form.turns)
    if isinstance(turns, str) and form.separator:
        return [turn.strip() for turn in turns.split(form.separator) if turn.strip()]
    if isinstance(turns, dict) and turns and all(isinstance(values, list) for values in turns.values()):
        return [dict(zip(turns, values, strict=True)) for values in zip(*turns.values(), strict=True)]
    if not isinstance(turns, list):
        raise ValueError(
            f"{place}: no list of turns in a column {form.turns!r}; there are {sorted(row)}. Name it with --turns; where it is "
            "one text, give what parts the turns with --turn_separator."
        )
    return turns


def _read_turn(turn: Any, form: DialogueFormat, place: str) -> tuple[str | None, str]:
    if isinstance(turn, str):
        return None, turn
    speaker, said = None, None
    if isinstance(turn, dict) and (not form.speaker or form.speaker in turn):
        speaker, said = str(turn[form.speaker]) if form.speaker else None, turn.get(form.text)
    if isinstance(turn, list) and len(turn) == 2:
        speaker, said = str(turn[0]), turn[1]
    if isinstance(said, str):
        return speaker, said
    raise ValueError(
        f"{place}: the turn {turn!r} is no text, no [speaker, text] and no object with {form.speaker!r} and {form.text!r}. "
        "Name the keys with --speaker_key and --text_key."
    )


def _line(turn: tuple[str | None, str]) -> str:
    speaker, said = turn
    return said if speaker is None else f"{speaker}: {said}"
