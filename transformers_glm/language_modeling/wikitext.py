# SPDX-License-Identifier: Apache-2.0
"""WikiText as people write: its tokens joined again."""

import re


RULES = [
    (re.compile(r" @([-,.])@ "), r"\1"),  # 1 @,@ 000
    (re.compile(r"(?<==) (?==)"), ""),  # = = Heading = =
    (re.compile(r" ([,.;:!?%)\]}])"), r"\1"),
    (re.compile(r"([(\[{$£]) "), r"\1"),
    (re.compile(r" ('(?:s|t|re|ve|ll|d|m)\b)"), r"\1"),
    (re.compile(r'" ([^"\n]*?) "'), r'"\1"'),
    (re.compile(r" (n't\b)"), r"\1"),
    (re.compile(r"(?<=s) '(?= )"), "'"),
    (re.compile(r"(?<=\d) ?([–/]) ?(?=\d)"), r"\1"),
    (re.compile(r" *\n *"), "\n"),
]


def detokenize(text: str) -> str:
    """
    Join the tokens of a WikiText file.

        the 1 @,@ 000 @-@ year reign ( of " kings " ) ended .     the 1,000-year reign (of "kings") ended.

    Args:
        text (`str`): text whose tokens are apart by spaces.
    """
    for pattern, joined in RULES:
        text = pattern.sub(joined, text)
    return text
