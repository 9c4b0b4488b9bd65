# SPDX-License-Identifier: Apache-2.0
"""The command `transformers-glm`, which is `python -m transformers_glm` too: a subcommand, or a script with GLM registered."""

import runpy
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from . import __version__
from .commands.command_line import make_parser, run


# each but run is the module of its name in commands/
COMMANDS = {
    "pretrain": "pretrain on text by autoregressive blank infilling",
    "fill": "fill the blanks of texts",
    "cloze": "fine-tune on an understanding task, or score it without training",
    "seq2seq": "fine-tune to write texts",
    "evaluate": "perplexity, last words, texts written from nothing",
    "convert": "convert a released checkpoint",
    "push": "make a repository for the Hub, and upload it if asked",
    "show-batch": "show a batch as the model gets it",
    "plan": "calculate memory and days of pretraining runs",
    "report": "put results of several runs into a table and a plot",
    "run": "run SCRIPT ARGUMENTS: run a script that knows nothing of GLM, with GLM registered",
}


def main() -> None:
    """Run the subcommand that the command line names; a script in its place is run as `run SCRIPT`."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name not in COMMANDS and (name.endswith(".py") or Path(name).is_file()):
        name, arguments = "run", [name, *arguments]
    parse_name(name)
    if name == "run":
        run_script(arguments)
    else:
        sys.argv = [f"transformers-glm {name}", *arguments]
        run(import_module(f".commands.{name.replace('-', '_')}", __package__).main)


def parse_name(name: str) -> None:
    """Print the help or the version if asked; end with the known names if the given one is not among them."""
    lines = "\n".join(f"    {command:12}{line}" for command, line in COMMANDS.items())
    parser = make_parser(
        f"GLM for Hugging Face Transformers.\n\n{lines}\n\ntransformers-glm COMMAND --help says more."
    )
    parser.prog = "transformers-glm"
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of these")
    parser.add_argument("arguments", metavar="...", nargs="*", help="its own, or those of the script")
    parser.parse_args([name])


def run_script(arguments: Sequence[str]) -> None:
    """Run the script as `python SCRIPT ARGUMENTS` would; importing this package has registered GLM."""
    if not arguments or not Path(arguments[0]).is_file():
        sys.exit(f"usage: transformers-glm run SCRIPT ARGUMENTS\nThere is no script {' '.join(arguments[:1])!r}.")
    sys.argv = list(arguments)
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
