# SPDX-License-Identifier: Apache-2.0
"""Files and folders appear whole or not at all."""

import pytest

from transformers_glm.files import write_whole


def test_a_file_takes_its_place_when_it_is_written(tmp_path):
    file = tmp_path / "new" / "results.json"
    with write_whole(file) as unfinished:
        unfinished.write_text("one")
        assert not file.exists() and unfinished.parent == file.parent and unfinished.suffix == file.suffix
    assert file.read_text() == "one" and list(file.parent.iterdir()) == [file]
    with write_whole(file) as unfinished:
        unfinished.write_text("two")
        assert file.read_text() == "one"
    assert file.read_text() == "two"


def test_after_an_error_the_file_is_as_it_was_and_nothing_else_is_left(tmp_path):
    file = tmp_path / "results.json"
    file.write_text("before")
    with pytest.raises(OSError, match="No space left"), write_whole(file) as unfinished:
        unfinished.write_text("half")
        raise OSError(28, "No space left on device")
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    with pytest.raises(FileNotFoundError), write_whole(file):
        pass  # nothing was written, so nothing takes the place
    assert file.read_text() == "before"
