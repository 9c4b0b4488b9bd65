# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest

from inputs_glm import REFUSED


pytestmark = pytest.mark.core


HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "generation.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there():
    sources = [
        path.read_text(encoding="utf-8") for path in [*HERE.glob("test_generation_*.py"), HERE / "test_infilling.py"]
    ]
    there = set(re.findall(r"^def (test_\w+)", "\n".join(sources), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named and not named - there


def test_every_row_of_a_table_names_a_test_and_every_refusal_has_a_row():
    tables = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    shown = [table for table in tables if "shown by" in table.splitlines()[0]]
    for table in shown:
        for row in table.splitlines()[2:]:
            assert re.search(r"`test_\w+`|the same", row), row
    refused = next(table for table in shown if table.startswith("| refused"))
    assert not [name for name in REFUSED if f"`{name}`" not in refused]
