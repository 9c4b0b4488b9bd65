# SPDX-License-Identifier: Apache-2.0
"""Command lines of scripts: a YAML file, flags, or both."""

import json
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import HfArgumentParser


def run(main: Callable[[Sequence[str]], object]) -> None:
    """Run a script on the command line; what its user can mend ends it with a line, not with a traceback."""
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, StrictDataclassError) as error:
        sys.exit(f"error: {error}")


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
    if not path.is_file():
        raise ValueError(f"{path} does not exist. The first argument is a YAML file or a flag.")
    settings = yaml.safe_load(path.read_text())
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds {type(settings).__name__}. It must hold settings, one `name: value` a line.")
    flags = []
    for name, value in settings.items():
        if value is not None:
            flags += [f"--{name}", *_as_words(value)]
    return flags


def _as_words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [json.dumps(value)]
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)]
