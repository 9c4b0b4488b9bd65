# SPDX-License-Identifier: Apache-2.0
"""What the subcommands share: their parser, how an error ends them, how they print numbers."""

import logging
import shlex
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from huggingface_hub.errors import HFValidationError, StrictDataclassError
from safetensors import SafetensorError


def run(main: Callable[[Sequence[str]], object]) -> None:
    """Run a subcommand or a script; an error that its user can mend ends it with a line instead of a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        main(sys.argv[1:])
    except Exception as error:
        if not isinstance(error, ValueError | OSError | StrictDataclassError | SafetensorError) and not _disk_is_full(
            error
        ):
            raise
        no_id = isinstance(
            error.__cause__, HFValidationError
        )  # what is not a folder is read as the id of a repository
        sys.exit(f"error: {error}" + no_id * "\nIf it is meant as a folder: there is none of that name.")


def _disk_is_full(error: Exception) -> bool:
    """Whether a file could not be written, which PyTorch and the libraries in Rust tell by words alone."""
    return any(sign in str(error) for sign in ("No space left on device", "PytorchStreamWriter failed", "os error 28"))


def make_parser(description: str) -> ArgumentParser:
    """A parser whose help shows the description as it is written, with its commands line by line."""
    return ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)


def command(name: str, arguments: Sequence[str]) -> str:
    """The command line that repeats a run, for its results."""
    return f"transformers-glm {name} {shlex.join(arguments)}"


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print names and values, one to a line; of a number that is not whole four digits."""
    for name, value in metrics.items():
        shown = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
        print(f"{name:28} {shown:>13}")
