# SPDX-License-Identifier: Apache-2.0
"""
Dialogues: a row for every response, with `history` (what was said so far, a line a turn), `speaker` and `response`.

    USER: Any trains?  SYSTEM: Two.      history "USER: Any trains?"   speaker "SYSTEM"   response "Two."
"""

import json
from collections.abc import Iterator, Sequence

from datasets import Dataset


def responses(table: Dataset) -> Iterator[dict]:
    """Rows with `turns`, a list of `[speaker, text]`, of objects with `speaker` and `text`, or of texts: every turn but the first."""
    for row in table:
        for made in _responses([_turn(turn) for turn in row["turns"]]):
            yield {name: value for name, value in row.items() if name != "turns"} | made


def daily_dialog(table: Dataset) -> Iterator[dict]:
    """DailyDialog: lines of a text file, whose turns end with `__eou__`; nobody has a name."""
    for row in table:
        turns = [turn.strip() for turn in row["text"].split("__eou__") if turn.strip()]
        yield from _responses([(None, turn) for turn in turns])


def persona_chat(table: Dataset) -> Iterator[dict]:
    """
    PersonaChat of ConvAI2, `{"train": [...], "valid": [...]}`: the last candidate is the response.

        {"personality": ["i like to ski .", ...], "utterances": [{"history": ["hi !", ...], "candidates": [..., "hello !"]}]}
    """
    for dialogue in table:
        for turn in dialogue["utterances"]:
            yield {
                "personality": " ".join(dialogue["personality"]),
                "history": "\n".join(turn["history"]),
                "response": turn["candidates"][-1],
            }


def multiwoz(table: Dataset) -> Iterator[dict]:
    """
    MultiWOZ 2.0 and 2.1, the lines of data.json, `--data_kwargs '{"path": "text"}'`: both speakers' turns, without names.

        {"PMUL1.json": {"goal": {...}, "log": [{"text": "Any trains?", "metadata": {}}, {"text": "Two.", ...}]}, ...}
    """
    for dialogues in _objects(table):
        for dialogue in dialogues.values():
            yield from _responses([(None, turn["text"]) for turn in dialogue["log"]])


def schema_guided(table: Dataset) -> Iterator[dict]:
    """
    MultiWOZ 2.2 and SGD, the lines of dialogues_001.json and so on, `--data_kwargs '{"path": "text"}'`: the system's turns.

        [{"dialogue_id": ..., "turns": [{"speaker": "USER", "utterance": "Any trains?", ...}, ...]}, ...]
    """
    for dialogues in _objects(table):
        for dialogue in dialogues:
            turns = [(turn["speaker"], turn["utterance"]) for turn in dialogue["turns"]]
            yield from (row for row in _responses(turns) if row["speaker"] == "SYSTEM")


def _turn(turn: list | dict | str) -> tuple[str | None, str]:
    if isinstance(turn, dict):
        return turn["speaker"], turn["text"]
    return (None, turn) if isinstance(turn, str) else tuple(turn)


def _responses(turns: Sequence[tuple[str | None, str]]) -> Iterator[dict]:
    """The rows of a dialogue of (speaker, text), a speaker of None having no name: every turn but the first is a response."""
    lines = [text if speaker is None else f"{speaker}: {text}" for speaker, text in turns]
    for place, (speaker, text) in enumerate(turns[1:], start=1):
        yield {"history": "\n".join(lines[:place]), "speaker": speaker, "response": text}


def _objects(table: Dataset) -> Iterator[dict]:
    """The json of one file or of several, read as lines: their columns would be of several kinds."""
    text, decoder, place = "\n".join(table["text"]).strip(), json.JSONDecoder(), 0
    while place < len(text):
        found, place = decoder.raw_decode(text, place)
        yield found
        while text[place : place + 1].isspace():
            place += 1
