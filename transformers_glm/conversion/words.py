# SPDX-License-Identifier: Apache-2.0
"""The words of old vocabulary files, checked: a file that is cut or of another model would shift ids without a word."""

import re
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from .trusted import AGAIN, read_json, read_text


MOST_GAPS = 128  # ids without a word between added tokens; the original fills vocabularies up to a multiple of it
# words of a byte-level vocabulary that no merge makes: special tokens, and what fairseq fills up with
UNMADE = re.compile(r"<.*>|\[.*\]|madeupword\d+", re.DOTALL)


def read_words(path: str | Path) -> dict[str, int]:
    """The words of a vocab.txt, one to a line, with their ids; `ValueError` if one is empty or there twice."""
    words: dict[str, int] = {}
    for index, word in enumerate(read_text(path).rstrip("\n").split("\n")):
        if not word:
            raise ValueError(f"{path}: line {index + 1} is empty, and each line is the word of an id. {AGAIN}")
        if word in words:
            raise ValueError(
                f"{path}: lines {words[word] + 1} and {index + 1} are both {shortened(word)}, and each word has one id. {AGAIN}"
            )
        words[word] = index
    if "[UNK]" not in words:
        raise ValueError(f"{path} holds no [UNK], which stands for every word that it does not know. {AGAIN}")
    return words


def read_ids(path: str | Path) -> dict[str, int]:
    """The words of a vocab.json with their ids, which count from 0; `ValueError` if one is missing or there twice."""
    vocab = read_json(path)
    owners: dict[int, str] = {}
    for word, index in vocab.items():
        if type(index) is not int or not 0 <= index < len(vocab):
            raise ValueError(
                f"{path}: {shortened(word)} has the id {shortened(index)}, and the ids of {len(vocab)} words are whole numbers "
                f"from 0 to {len(vocab) - 1}: a word is missing, or the id is wrong. {AGAIN}"
            )
        if index in owners:
            raise ValueError(
                f"{path}: {shortened(owners[index])} and {shortened(word)} both have the id {index}, and each id has one "
                f"word. {AGAIN}"
            )
        owners[index] = word
    return vocab


def read_merges(path: str | Path, vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    """
    The merges of a merges.txt, best first.

    Args:
        path (`str` or `Path`): the file.
        vocab (`Mapping[str, int]`): the words of the vocab.json beside it.

    Raises:
        `ValueError`: a line that is no pair of words, or is there twice; words that no merge makes: the file is cut.
    """
    merges: dict[tuple[str, str], int] = {}
    made = set()
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line or line.startswith("#version"):
            continue
        pair = tuple(line.split(" "))
        if len(pair) != 2 or not all(pair):
            raise ValueError(f"{path}: line {number} is {shortened(line)}, and a merge is two words. {AGAIN}")
        if pair in merges:
            raise ValueError(f"{path}: lines {merges[pair]} and {number} are both {shortened(line)}. {AGAIN}")
        unknown = [word for word in (*pair, "".join(pair)) if word not in vocab]
        if unknown:
            raise ValueError(
                f"{path}: line {number} needs {shortened(unknown[0])}, which vocab.json does not hold: the line is cut, or one "
                "of the files is of another model. Download both again."
            )
        merges[pair] = number
        made.add("".join(pair))
    unmade = [word for word in vocab if len(word) > 1 and word not in made and not UNMADE.fullmatch(word)]
    if unmade:
        raise ValueError(
            f"{path} has {len(merges)} merges, and none of them makes {shortened(unmade[0])} and {len(unmade) - 1} more words of "
            "vocab.json: it is cut, or of another model. Download both again."
        )
    return list(merges)


def check_ids(added: Mapping[str, Any], file: Path) -> None:
    """Refuse ids of added tokens that are no whole numbers, or are there twice: of two tokens Transformers keeps one."""
    owners: dict[int, str] = {}
    for token, index in added.items():
        if type(index) is not int or index < 0:
            raise ValueError(
                f"{file}: {shortened(token)} has the id {shortened(index)}, and ids are whole numbers. {AGAIN}"
            )
        if index in owners:
            raise ValueError(
                f"{file}: {shortened(owners[index])} and {shortened(token)} both have the id {index}, and each id has one "
                f"token. {AGAIN}"
            )
        owners[index] = token


def check_added(added: Mapping[str, Any], vocab: Mapping[str, int], size: int, place: str) -> None:
    """
    Refuse added tokens that do not stand behind the vocabulary.

    Args:
        added (`Mapping[str, int]`): the ids of the tokens.
        vocab (`Mapping[str, int]`): the words of the vocabulary.
        size (`int`): how many ids it has.
        place (`str`): the file of the vocabulary, for the error.

    Raises:
        `ValueError`: an id that is another word's, that is far from the others, or that does not follow the vocabulary.
    """
    file = Path(place).with_name("added_tokens.json")
    wrong = "added_tokens.json, or the vocabulary is cut or of another model. Download both again."
    check_ids(added, file)
    behind: dict[int, str] = {}
    for token, index in added.items():
        if vocab.get(token) == index:
            continue
        taken = f"{file}: {shortened(token)} has the id {index}, and"
        if token in vocab:
            raise ValueError(f"{taken} in {Path(place).name} the id {vocab[token]}. Correct {wrong}")
        if index < size:
            raise ValueError(f"{taken} so has one of the {size} words of {Path(place).name}. Correct {wrong}")
        behind[index] = token
    for before, index in zip([size - 1, *sorted(behind)], sorted(behind), strict=False):
        most = 1 if before < size else MOST_GAPS
        if index - before > most:
            raise ValueError(
                f"{file}: {shortened(behind[index])} has the id {index}, and the one before it in {Path(place).name} and the added "
                f"tokens is {before}: at most {most - 1} ids may lie between. Correct {wrong}"
            )
