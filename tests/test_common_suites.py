# SPDX-License-Identifier: Apache-2.0
"""The common test suites of Transformers, as far as its source distribution holds them, over our classes."""

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import transformers


pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SUITES = Path(__file__).parent / "common_suites"

# modules that the suites import and the source distribution lacks, with what is asked of them
STAND_INS = {
    "__init__.py": "",
    "generation/__init__.py": "",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "exporters/__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "utils/__init__.py": "",
    "utils/test_configuration_utils.py": 'config_common_kwargs = {"return_dict": False, "problem_type": "regression"}\n',
    "fixtures/sample_text.txt": "Ada wrote the first program.\n\nGrace found a moth, and taped it into the log book.\n"
    * 3,
}

# tests of the suites that do not hold for GLM, with the reason
NOT_APPLICABLE = {
    "test_training_overfit": "teaches the next token of texts without a blank, all of whose tokens GLM sees at once, and "
    "then continues one of them, which GLM does at a blank",
}


@pytest.fixture(scope="module")
def suites(tmp_path_factory):
    """A folder with the package `tests` of the installed Transformers."""
    folder = tmp_path_factory.mktemp("suites")
    wanted = f"transformers=={transformers.__version__}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "transformers"]
    download = subprocess.run([*command, "-d", folder, wanted], capture_output=True, text=True)
    sources = list(folder.glob("transformers-*.tar.gz"))
    if not sources:
        pytest.skip(f"the package index did not give the source of {wanted}: {download.stderr.strip()[-200:]}")
    with tarfile.open(sources[0]) as source:
        top = sources[0].name.removesuffix(".tar.gz")
        members = [member for member in source.getmembers() if member.name.startswith(f"{top}/tests/")]
        source.extractall(folder, members, filter="data")
    tree = folder / top
    for name, content in STAND_INS.items():
        (tree / "tests" / name).parent.mkdir(exist_ok=True)
        (tree / "tests" / name).write_text(content)
    # some tests look for the library's source beside its tests
    (tree / "src").mkdir()
    (tree / "src" / "transformers").symlink_to(Path(transformers.__file__).parent)
    return tree


def run(suites, suite, **env):
    """The outcome of each test: `passed`, `skipped` or the message of its failure."""
    results = suites / f"{suite}.xml"
    settings = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", **os.environ, **env}
    settings["PYTHONPATH"] = os.pathsep.join(map(str, [suites, ROOT, ROOT / "tests"]))
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={suites}", f"--junitxml={results}"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", SUITES / f"{suite}.py", *options],
        cwd=suites,
        env=settings,
        capture_output=True,
        text=True,
    )
    assert results.exists(), finished.stdout + finished.stderr
    outcomes = {}
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        problem = next((child for child in case if child.tag in ("failure", "error")), None)
        skipped = case.find("skipped") is not None
        name = f"{case.get('classname').split('.')[-1]}::{case.get('name')}"
        outcomes[name] = problem.get("message") if problem is not None else "skipped" if skipped else "passed"
    return outcomes


def check(outcomes, at_least):
    """Nothing fails except what does not apply, and the tests were there to be run."""
    failures = {name: why for name, why in outcomes.items() if why not in ("passed", "skipped")}
    unexpected = {name: why for name, why in failures.items() if name.split("::")[1] not in NOT_APPLICABLE}
    assert not unexpected, "\n".join(f"{name}: {why[:300]}" for name, why in unexpected.items())
    assert list(outcomes.values()).count("passed") >= at_least


@pytest.mark.parametrize("std", ["0.02", "0.25"])
def test_models_pass_the_common_suite(suites, std):
    # at 0.02 two layers hardly attend; at 0.25 a wrong mask shows
    outcomes = run(suites, "model_suite", SUITE_STD=std)
    check(outcomes, at_least=95)
    for name in NOT_APPLICABLE:
        assert outcomes[f"GLMModelTest::{name}"] not in ("passed", "skipped"), f"{name} applies after all"


def test_tokenizers_pass_the_common_suite(suites):
    check(run(suites, "tokenizer_suite"), at_least=150)
