# SPDX-License-Identifier: Apache-2.0
"""Command lines of scripts: a YAML file, flags, or both."""

import json
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from transformers import HfArgumentParser


def run(main: Callable[[Sequence[str]], object]) -> None:
    """Run a script on the command line; what its user can mend ends it with a line, not with a traceback."""
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, StrictDataclassError) as error:
        no_id = isinstance(error.__cause__, HFValidationError)  # what is no folder is read as the id of a repository
        sys.exit(f"error: {error}" + no_id * "\nIf it is meant as a folder: there is none of that name.")


def parse_arguments(
    dataclasses: Sequence[type], arguments: Sequence[str], description: str | None = None
) -> tuple[Any, ...]:
    """
    Parse `[config.yaml] [--flag value ...]` into one object for each dataclass. Flags override the file.

    Args:
        dataclasses (`Sequence[type]`): dataclasses with the fields to be set.
        arguments (`Sequence[str]`): the command line without the program's name.
        description (`str`, *optional*): shown by `--help`.

    Raises:
        `ValueError`: the file cannot be read as a mapping of settings.
    """
    parser = HfArgumentParser(dataclasses, description=description, formatter_class=RawDescriptionHelpFormatter)
    flags = list(arguments)
    if flags and flags[0].endswith((".yaml", ".yml")):
        flags = [*yaml_as_flags(Path(flags[0])), *flags[1:]]
    return parser.parse_args_into_dataclasses(flags, look_for_args_file=False)


def yaml_as_flags(path: Path) -> list[str]:
    """
    The settings of a YAML file as command-line flags, so that both are checked by the same parser.

        learning_rate: 1e-3             --learning_rate 1e-3
        report_to: [tensorboard]        --report_to tensorboard
        config: {num_layers: 2}         --config '{"num_layers": 2}'
    """
    flags = []
    for name, value in read_yaml(path).items():
        if value is not None:
            flags += [f"--{name}", *_as_words(value)]
    return flags


def read_yaml(path: Path) -> dict[str, Any]:
    """
    The settings of a YAML file.

    Raises:
        `ValueError`: it is not there, or does not hold settings.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist. Give a YAML file of settings, or flags alone.")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}. It must hold settings, one `name: value` a line.") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds {type(settings).__name__}. It must hold settings, one `name: value` a line.")
    return settings


def json_object(value: dict | str | None, flag: str) -> dict | None:
    """
    What a flag holds whose value is a JSON object on the command line.

    Raises:
        `ValueError`: it is no JSON, or no object.
    """
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"{flag} {value!r} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f'{flag} {value!r} must be a JSON object, like \'{{"a": "b"}}\'.')
    return found


def _as_words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [json.dumps(value)]
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)]
