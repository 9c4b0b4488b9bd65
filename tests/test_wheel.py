# SPDX-License-Identifier: Apache-2.0
"""The package as people install it: a wheel, in a folder of its own, used from an empty one."""

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import old_checkpoints as old
import pytest
from test_repository import tracked_files
from test_scripts import SIZES


ROOT = Path(__file__).parents[1]


def test_every_folder_of_the_package_is_listed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "transformers_glm").rglob("__init__.py")}
    names = {".".join(folder.parts) for folder in folders} | {"transformers_glm.configs", "transformers_glm.recipes"}
    assert set(setup["options"]["packages"].split()) == names
    assert set(setup["options"]["py_modules"].split()) == {path.stem for path in ROOT.glob("*.py")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel was installed into, without what it requires."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for file in tracked_files():  # a build leaves files beside the modules
        (source / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, source / file.relative_to(ROOT))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    for arguments in (
        ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(source / "dist"), str(source)],
        ["install", "--no-deps", "--no-index", "--target", str(site), "--find-links", str(source / "dist"), "transformers-glm"],
    ):  # fmt: skip
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.fixture
def command(installed, tmp_path):
    """Runs the installed command in an empty folder, by an interpreter that does not know the checkout."""
    empty = tmp_path / "empty"
    empty.mkdir()
    libraries = os.pathsep.join([str(installed), sysconfig.get_path("purelib")])  # no .pth file is read there
    environment = {**os.environ, "PYTHONPATH": libraries, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}

    def run(*arguments):
        program = [sys._base_executable, str(installed / "bin" / "transformers-glm"), *map(str, arguments)]
        done = subprocess.run(program, cwd=empty, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.folder = empty
    return run


@pytest.mark.slow
def test_the_wheel_holds_every_module_configuration_recipe_and_task(installed):
    package = installed / "transformers_glm"
    held = {path.relative_to(package) for path in package.rglob("*") if path.suffix != ".pyc" and path.is_file()}
    places = {ROOT / "transformers_glm": Path(), **{ROOT / name: Path(name) for name in ("configs", "recipes")}}
    wanted = {
        there / file.relative_to(folder)
        for file in tracked_files()
        for folder, there in places.items()
        if file.is_relative_to(folder)
    }
    assert held == wanted
    assert {path.name for path in ROOT.glob("*_glm.py")} <= {path.name for path in installed.iterdir()}
    assert not {"tests", "scripts", "benchmarks", "configs", "recipes"} & {path.name for path in installed.iterdir()}


@pytest.mark.slow
def test_the_installed_command_fills_and_pretrains_and_converts_in_an_empty_folder(
    command, text_model, tokenizer, tmp_path
):
    for part in (text_model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    assert command("fill", "--model", tmp_path / "model", "--max_new_tokens", 3, "Ada [MASK] it.").startswith("Ada")
    (command.folder / "my.txt").write_text("\n".join(f"NUM:count This is text number {n}." for n in range(60)))
    flags = [
        "--document",
        "line",
        "--prepare",
        "trec:fine",
        "--vocab_size",
        300,
        "--config",
        SIZES,
        "--max_steps",
        1,
        "--bf16",
        "False",
    ]
    command("pretrain", "pretrain_small_en", "--train_data", "my.txt", *flags, "--use_cpu", "--max_length", 48,
            "--report_to", "none", "--eval_strategy", "no", "--per_device_train_batch_size", 4)  # fmt: skip
    assert (command.folder / "output" / "pretrain_small_en" / "model.safetensors").is_file()
    old.write_hub(tmp_path / "hub", old.old_state())
    assert "verified" in command("convert", tmp_path / "hub", "converted", "--verify")
    command("push", "converted", "repository")
    assert (command.folder / "repository" / "modeling_glm.py").is_file()
