# SPDX-License-Identifier: Apache-2.0
"""What imports what: the folders have an order, and no import goes round in a circle."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "transformers_glm"
# each folder imports only of those before it, and of its own level, where nothing goes round
LEVELS = [
    {"blanking", "data", "metrics"},
    {"runs"},
    {"pretraining", "cloze", "seq2seq", "language_modeling", "conversion", "hub"},
    {"integrations"},
    {"commands"},
]
# what a user does: none of these needs another
ACTIVITIES = {"pretraining", "cloze", "seq2seq", "language_modeling"}
OUTSIDE = {"__init__", "__main__", "agreement", "files", "infilling", "names"}
HUB_FILES = {path.stem for path in ROOT.glob("*.py")}


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in [*PACKAGE.rglob("*.py"), *ROOT.glob("*.py")]}


def imports_of(path):
    """Every module that a file imports, wherever in the file, by its dotted name; a lazy `__init__` names its modules itself."""
    own = dotted(path)
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if not isinstance(node, ast.ImportFrom):
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
        found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names}
    return found


def imports_within(modules):
    return {name: {one for one in imports_of(path) if one in modules} - {name} for name, path in modules.items()}


def folder_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (len(parts) == 2 and (PACKAGE / parts[1]).is_dir()) else None


def circle(graph):
    """The modules of a circle, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"a"}}) is not None
    assert circle({"a": {"b"}, "b": set()}) is None
    assert "transformers_glm.runs.arguments" in imports_of(PACKAGE / "pretraining" / "arguments.py")


def test_no_import_goes_round_in_a_circle():
    assert circle(imports_within(MODULES)) is None


def test_no_two_folders_import_each_other():
    graph = {folder: set() for folder in set().union(*LEVELS)}
    for name, imported in imports_within(MODULES).items():
        if folder := folder_of(name):
            graph[folder] |= {folder_of(one) for one in imported} - {None, folder}
    assert circle(graph) is None


def test_folders_import_only_of_those_before_them():
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == set().union(*LEVELS)
    level_of = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
    for name, imported in imports_within(MODULES).items():
        for one in imported:
            here, there = folder_of(name), folder_of(one)
            if here and there and here != there:
                assert level_of[there] <= level_of[here], f"{name} imports {one}"
                assert not {here, there} <= ACTIVITIES, f"{name} imports {one}"
            if not here and name not in ("transformers_glm", "transformers_glm.__main__"):
                assert not there, f"{name} imports {one}: what stands outside the folders serves them all"


def test_no_module_stands_outside_its_folder_but_these():
    assert {path.stem for path in PACKAGE.glob("*.py")} == OUTSIDE


def test_hub_files_import_nothing_of_the_package():
    for name in HUB_FILES:
        assert not {one for one in imports_of(ROOT / f"{name}.py") if one.startswith("transformers_glm")}, name


def test_nothing_imports_the_scripts():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    for path in MODULES.values():
        for one in imports_of(path):
            assert one.split(".")[0] != "scripts" and one not in scripts, f"{path} imports {one}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/**/__init__.py")), ids=dotted)
def test_a_folder_hands_out_names_and_nothing_else(path):
    """A docstring, imports, and the names, by themselves or with the function that loads each when it is first used."""
    docstring, *body = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    for node in body:
        if isinstance(node, ast.Assign):
            assert {one.id for one in ast.walk(node.targets[0]) if isinstance(one, ast.Name)} <= {
                "__getattr__",
                "__all__",
            }
        else:
            assert isinstance(node, ast.ImportFrom)


def test_every_name_that_a_folder_hands_out_is_there_and_no_other():
    code = """
import importlib, sys
for folder in sys.argv[1:]:
    package = importlib.import_module(folder)
    for name in package.__all__:
        assert getattr(package, name) is not None and getattr(package, name) is getattr(package, name)
    try:
        package.nothing
    except AttributeError as error:
        assert folder in str(error)
    else:
        raise AssertionError(folder)
"""
    folders = [dotted(path) for path in PACKAGE.glob("*/**/__init__.py") if "modules" not in path.parts]
    done = subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_a_folder_imports_nothing_that_takes_time():
    folders = [dotted(path) for path in PACKAGE.glob("*/**/__init__.py")]
    code = "import importlib, sys\nfor one in sys.argv[1:]: importlib.import_module(one)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "datasets", "evaluate", "peft", "modeling_glm"} & set(done.stdout.split())


def test_tests_mirror_the_folders():
    """Tests of a folder's modules stand in a folder of its name, and what tests share stands at their top."""
    tests = ROOT / "tests"
    assert set().union(*LEVELS) >= {path.parent.name for path in tests.glob("*/test_*.py")}
    for path in tests.glob("*/*.py"):
        if path.parent.name in set().union(*LEVELS):
            assert path.name.startswith("test_"), path
