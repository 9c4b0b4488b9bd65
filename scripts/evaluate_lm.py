# SPDX-License-Identifier: Apache-2.0
"""Evaluate a GLM as a language model: `transformers-glm evaluate`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.evaluate import main


if __name__ == "__main__":
    run(main)
