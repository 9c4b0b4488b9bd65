# SPDX-License-Identifier: Apache-2.0
"""Rows of SuperGLUE and CLUE tasks whose files do not hold the fields of a pattern as they are."""

import random
from collections.abc import Iterable, Iterator

from ...data.templates import PUNCTUATION


GROUP = 9  # wrong candidates beside the right one
PLAIN = str.maketrans("“”‘’–", "\"\"''-")
SEED = 42  # of the wrong entities of ReCoRD


def plain_punctuation(row: dict, training: bool) -> list[dict]:
    """Premise and hypothesis with typewriter quotes and dashes."""
    return [{name: value.translate(PLAIN) if isinstance(value, str) else value for name, value in row.items()}]


def copa(row: dict, training: bool) -> list[dict]:
    """Choices as they go on after the premise; for training in either order."""
    joiners = {"cause": (" because", " because"), "effect": (", so", " so")}
    if row.get("question") not in joiners:
        raise ValueError(f"question is {row.get('question')!r}. It is cause or effect.")
    joiner, word = joiners[row["question"]]
    choices = [_continuation(row[name]) for name in ("choice1", "choice2")]
    row = row | {"joiner": joiner, "joiner_word": word, "choice1": choices[0], "choice2": choices[1]}
    if not training:
        return [row]
    swapped = row | {"choice1": choices[1], "choice2": choices[0], "label": 1 - int(row["label"])}
    return [row, swapped]


def wsc(row: dict, training: bool) -> list[dict]:
    """
    The pronoun marked, `*it*`, and the candidates, the asked one first: it, and those of a field `candidates`, if any.

    Of training data only true rows are kept; their wrong candidates stand in groups of nine, the last one filled up.
    """
    row = flat_target(row, training)[0]
    words = row["text"].split()
    words[_place_of_pronoun(words, row)] = f"*{words[_place_of_pronoun(words, row)]}*"
    wrong = [name for name in row.get("candidates") or [] if name != row["span1_text"]]
    row = row | {"marked": " ".join(words), "choices": [row["span1_text"], *wrong]}
    if not training:
        return [row]
    if str(row["label"]).lower() not in ("true", "1"):
        return []
    groups = [wrong[start : start + GROUP] for start in range(0, len(wrong), GROUP)] or [[]]
    filled = (list(dict.fromkeys([*group, *wrong]))[:GROUP] for group in groups)
    return [row | {"choices": [row["span1_text"], *group]} for group in filled]


def flat_target(row: dict, training: bool) -> list[dict]:
    """The fields of `target`, as the published files have it, beside the others."""
    return [row | row["target"]] if isinstance(row.get("target"), dict) else [row]


def record(row: dict, training: bool) -> Iterator[dict]:
    """
    A row for each question of a passage, in the form of the published files or of the Hub; entities are the candidates.

    For training one for each right entity, with at most nine wrong ones.
    """
    passage, entities = row["passage"], row.get("entities")
    if isinstance(passage, dict):
        entities = [passage["text"][one["start"] : one["end"] + 1] for one in passage["entities"]]
        passage = passage["text"]
    entities = list(dict.fromkeys(entities))
    passage = passage.replace("@highlight\n", "- ")
    for question in row.get("qas", [row]):
        before, placeholder, after = question["query"].partition("@placeholder")
        if not placeholder:
            raise ValueError(f"The query {question['query']!r} has no @placeholder.")
        answers = [one["text"] if isinstance(one, dict) else one for one in question.get("answers") or []]
        answers = list(dict.fromkeys(answers))
        made = {
            "passage": passage,
            "before": before.rstrip(),
            "after": after,
            "entities": entities,
            "answers": answers,
            "label": answers[0] if answers else None,
            "idx": question["idx"],
        }
        yield from _with_wrong_entities(made) if training else [made]


def _with_wrong_entities(row: dict) -> Iterator[dict]:
    wrong = [one for one in row["entities"] if one not in row["answers"]]
    for right in row["answers"]:
        if right not in row["entities"]:
            raise ValueError(f"The answer {right!r} is not among the candidates {row['entities']}.")
        drawn = random.Random(f"{SEED} {row['idx']}").sample(wrong, min(GROUP, len(wrong)))
        yield row | {"entities": [right, *drawn], "label": right}


def multirc(row: dict, training: bool) -> Iterable[dict]:
    """A row for each answer, in the form of the published files or of the Hub; `group` is the question."""
    passage = row.get("passage", row.get("paragraph"))
    if not isinstance(passage, dict):
        index = row["idx"]
        group = f"{index['paragraph']}-{index['question']}" if isinstance(index, dict) else row["group"]
        index = f"{group}-{index['answer']}" if isinstance(index, dict) else index
        return [row | {"passage": passage, "group": group, "idx": index}]
    pairs = ((question, answer) for question in passage["questions"] for answer in question["answers"])
    return [
        {
            "passage": passage["text"],
            "question": question["question"],
            "answer": answer["text"],
            "label": answer.get("label"),
            "group": f"{row['idx']}-{question['idx']}",
            "idx": f"{row['idx']}-{question['idx']}-{answer['idx']}",
        }
        for question, answer in pairs
    ]


def _continuation(sentence: str) -> str:
    sentence = sentence.rstrip().rstrip(PUNCTUATION)
    return sentence[:1].lower() + sentence[1:]


def _place_of_pronoun(words: list[str], row: dict) -> int:
    """The index of the pronoun's word; that of the file may be one off."""
    pronoun = row["span2_text"].split()[0].strip(PUNCTUATION).lower()
    place = int(row["span2_index"])
    for index in (place, place - 1, place + 1):
        if 0 <= index < len(words) and words[index].strip(PUNCTUATION).lower().startswith(pronoun):
            return index
    raise ValueError(f"The pronoun {row['span2_text']!r} is not word {place} of {row['text']!r}, nor beside it.")
