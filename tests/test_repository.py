# SPDX-License-Identifier: Apache-2.0
import configparser
import re
import subprocess
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
MOST = {"modeling_glm.py": 750, "generation_glm.py": 500, "tokenization_glm.py": 500}  # lines; all others 300


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a checkout of git")
    return [ROOT / name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file()]


def test_no_file_names_a_place_of_one_machine():
    places = re.compile(r"(?<![\w.])/(tmp|work|root|home|opt)/\w")
    for file in tracked_files():
        if file.suffix in (".py", ".md", ".cfg", ".toml", ".yaml", ".txt", ".sh", "") and file != Path(__file__):
            assert not places.search(file.read_text()), file


def test_every_python_file_has_its_licence_line():
    for file in tracked_files():
        if file.suffix == ".py":
            assert file.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n"), file


def test_the_library_stays_small():
    for file in tracked_files():
        if file.suffix == ".py" and "tests" not in file.relative_to(ROOT).parts:
            assert file.read_text().count("\n") <= MOST.get(file.name, 300), file


def test_make_knows_its_targets_and_its_help_names_them():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert {"test", "test-matrix", "test-lowest", "test-newest", "check", "style", "demo", "bench", "clean"} < set(
        targets
    )
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        assert target in ("help", "install") or f'"make {target} ' in makefile


def test_ci_runs_every_row_of_the_matrix():
    rows = re.search(r"^test-matrix: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and line[0] != "#"]
    assert [command.split()[2] for command in commands if command.startswith("time make ")] == rows
    assert len(rows) == 3 and not any(word in line for line in commands for word in ("pip", "curl", "apt"))


def test_the_documented_ranges_are_the_required_ones():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = dict(re.findall(r"^([\w-]+)(>=\S+)$", setup["options"]["install_requires"], re.MULTILINE))
    table = (ROOT / "docs" / "versions.md").read_text().split("\n\n")[2]
    documented = dict(re.findall(r"^\| ([\w-]+) \| (>=\S+) \|", table, re.MULTILINE))
    assert documented == {"Python": setup["options"]["python_requires"], **required}


def test_the_lower_end_of_each_requirement_is_what_the_matrix_installs():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lowest = dict(re.findall(r"^([\w-]+)>=([\d.]+)", setup["options"]["install_requires"], re.MULTILINE))
    assert lowest.pop("torch") and len(lowest) == 8  # torch stays where constraints.txt has it
    pins = (ROOT / "constraints-lowest.txt").read_text()
    assert "torch==2.13.0" in pins.splitlines()
    for name, version in lowest.items():
        assert re.search(rf"^{name}=={re.escape(version)}(\.0)*$", pins.replace("_", "-"), re.MULTILINE), name


def requirements(text):
    return {re.split(r"[\[<>=~ ]", line, maxsplit=1)[0].lower().replace("_", "-") for line in text.split("\n") if line}


def test_every_requirement_is_pinned_for_ci():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = requirements(setup["options"]["install_requires"])
    for extra in setup["options.extras_require"].values():
        wanted |= requirements(extra)
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    assert all("==" in line for line in lines)
    assert "torch==2.13.0" in lines
    assert wanted - {"transformers-glm"} <= requirements("\n".join(lines))


def test_only_ranges_with_a_lower_end_are_required():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = setup["options"]["install_requires"].split()
    assert any(line.startswith("transformers>=5") for line in required)
    for name in ("torch", "tokenizers", "datasets", "evaluate", "peft", "accelerate", "huggingface-hub"):
        assert any(line.startswith(f"{name}>=") for line in required), name
