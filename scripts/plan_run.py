# SPDX-License-Identifier: Apache-2.0
"""Calculate what pretraining runs take: `transformers-glm plan`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.plan import main


if __name__ == "__main__":
    run(main)
