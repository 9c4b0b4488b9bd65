# SPDX-License-Identifier: Apache-2.0
"""Command lines of scripts: a YAML file, flags, or both."""

import json
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from .configs import find_config


STOCK = (
    "Every setting of transformers.{name} is a flag too: https://huggingface.co/docs/transformers/main_classes/trainer"
)


def parse_arguments(
    dataclasses: Sequence[type],
    arguments: Sequence[str],
    description: str | None = None,
    training: str | None = None,
    **defaults,
) -> tuple[Any, ...]:
    """
    Parse `[config] [--flag value ...]` into one object for each dataclass. Flags override the configuration.

    Args:
        dataclasses (`Sequence[type]`): dataclasses with the flags of our own, which `--help` shows.
        arguments (`Sequence[str]`): the command line without the program's name. A configuration is a name or a YAML file.
        description (`str`, *optional*): shown by `--help`.
        training (`str`, *optional*):
            The class in `transformers` of the training arguments, the last of what is returned. It takes seconds to import, so
            it is looked up by its name and only once no help is asked for.
        defaults: of flags, in the place of those of their dataclasses.

    Raises:
        `ValueError`: there is no such configuration, or it cannot be read as a mapping of settings.
    """
    from transformers import HfArgumentParser  # a second, which a command without these flags does not take

    settings = {"description": description, "formatter_class": RawDescriptionHelpFormatter}
    if {"-h", "--help"} & set(arguments):
        parser = HfArgumentParser(dataclasses, epilog=STOCK.format(name=training) if training else None, **settings)
        parser.print_help()
        parser.exit()
    if training:
        dataclasses = (*dataclasses, getattr(import_module("transformers"), training))
    parser = HfArgumentParser(dataclasses, **settings)
    parser.set_defaults(**defaults)
    flags = list(arguments)
    if flags and not flags[0].startswith("-"):
        flags = [*yaml_as_flags(find_config(flags[0])), *flags[1:]]
    for place, (flag, value) in enumerate(pairwise(flags), start=1):
        if flag in ("--deepspeed", "--fsdp_config") and not value.startswith("{"):
            flags[place] = str(find_config(value, ".json"))
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
        raise ValueError(f"{path} is not YAML: {error}. It must hold settings, one `name: value` a line.") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds {type(settings).__name__}. It must hold settings, one `name: value` a line.")
    return settings


def json_object(value: dict | str | None, flag: str) -> dict | None:
    """
    What a flag holds whose value is a JSON object on the command line.

    Raises:
        `ValueError`: it is not a JSON object.
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
