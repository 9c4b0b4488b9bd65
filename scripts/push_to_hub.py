# SPDX-License-Identifier: Apache-2.0
"""Make a repository for the Hub, and upload it if asked: `transformers-glm push`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.push import main


if __name__ == "__main__":
    run(main)
