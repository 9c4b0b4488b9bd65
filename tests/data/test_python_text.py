# SPDX-License-Identifier: Apache-2.0
import pytest

from transformers_glm.data.python_text import python_texts, without_repetition


def test_a_paragraph_is_a_line_and_is_kept_where_it_occurs_first():
    documents = ["One\n  text.\n\nTwo.", "Two.\n\nThree.\n\n Three.", " \n", "One text."]
    assert list(without_repetition(documents)) == ["One text.\nTwo.", "Three."]


def test_every_python_has_a_million_characters_of_text():
    texts = python_texts()
    assert sum(map(len, texts)) > 1_000_000
    assert len(texts) > 300
    assert any("assert" in text and "statement" in text for text in texts)
    lines = [line for text in texts for line in text.split("\n")]
    assert len(set(lines)) == len(lines)


@pytest.mark.slow
def test_the_text_is_the_same_each_time():
    assert python_texts() == python_texts()
