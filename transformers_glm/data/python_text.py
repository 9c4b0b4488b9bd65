# SPDX-License-Identifier: Apache-2.0
"""Real text that every Python brings along: its language reference and the docstrings of its standard library."""

import ast
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from pydoc_data import topics


LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3"}  # folders without text of their own


def python_texts() -> list[str]:
    """
    The documents: each topic of the language reference, and the docstrings of each module of the standard library.

    A paragraph that occurs more than once is kept where it occurs first, so that no text is both trained on and held out.
    Lines are joined within a paragraph. Deterministic for a version of Python; nothing is imported or run.
    """
    references = (text for _, text in sorted(topics.topics.items()))
    return list(without_repetition([*references, *_docstrings(Path(sysconfig.get_path("stdlib")))]))


def without_repetition(documents: Iterable[str]) -> Iterator[str]:
    """Documents of one paragraph a line, without the paragraphs that an earlier one has, and without empty documents."""
    seen: set[str] = set()
    for document in documents:
        paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", document))
        new = [paragraph for paragraph in dict.fromkeys(paragraphs) if paragraph and paragraph not in seen]
        seen.update(new)
        if new:
            yield "\n".join(new)


def _docstrings(library: Path) -> Iterator[str]:
    """All docstrings of a module, in the order of the file, for each module of a folder."""
    for file in sorted(library.rglob("*.py")):
        if LEFT_OUT.isdisjoint(file.relative_to(library).parts):
            try:
                tree = ast.parse(file.read_bytes())
            except SyntaxError:  # templates that are no Python until they are filled
                continue
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            nodes = sorted(
                (n for n in ast.walk(tree) if isinstance(n, documented)), key=lambda n: getattr(n, "lineno", 0)
            )
            yield "\n\n".join(text for node in nodes if (text := ast.get_docstring(node)))
