# SPDX-License-Identifier: Apache-2.0
"""What stands in a checkpoint's small files, checked before it is trusted: JSON, names of files, settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from configuration_glm import GLMConfig

AGAIN = "Download or copy it again."
LARGEST_TEXT = 64 * 2**20  # bytes of a settings, index or vocabulary file; the released ones have about 1 MB


def read_text(path: str | Path) -> str:
    """A text file of a checkpoint; `ValueError` if it is empty, larger than any such file, or not UTF-8."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_TEXT:
            raise ValueError(
                f"{path} has {size} bytes, and such a file has at most {LARGEST_TEXT}: it is something else. {AGAIN}"
            )
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}). {AGAIN}") from error
    if not text.strip():
        raise ValueError(f"{path} is empty. {AGAIN}")
    return text


def read_json(path: str | Path) -> dict[str, Any]:
    """
    The object in a JSON file of a checkpoint.

    Raises:
        `ValueError`: it is not JSON, is nested too deep to read, holds something else than an object, or a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = {}
        for key, value in pairs:
            if key in content:
                raise ValueError(f"it holds {shortened(key)} twice")
            content[key] = value
        return content

    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}). {AGAIN}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}, not settings. {AGAIN}")
    return content


def is_plain_name(value: Any) -> bool:
    """Whether a value that a file gives can be the name of a file or folder beside it."""
    named = isinstance(value, str) and 0 < len(value) < 256 and value.isprintable()
    return named and value != ".." and Path(value).name == value


def checked_config(settings: Mapping[str, Any], place: str) -> "GLMConfig":
    """
    The configuration that settings give.

    Args:
        settings (`Mapping`): fields of [`GLMConfig`], as a file gives them.
        place (`str`): where they stand, for the error.

    Raises:
        `ValueError`: a value of the wrong type or size, or values that do not fit each other.
    """
    from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassError

    from configuration_glm import GLMConfig

    try:
        return GLMConfig(**settings)
    except (StrictDataclassError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # the class's own rules say all by themselves; the wrapper adds the name of a method
        told = error.__cause__ if isinstance(error, StrictDataclassClassValidationError) else error
        reason = " ".join(str(told).split()).rstrip(".")
        raise ValueError(f"{place}: {reason}. Correct the file, or download it again.") from error
