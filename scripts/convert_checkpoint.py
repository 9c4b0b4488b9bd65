# SPDX-License-Identifier: Apache-2.0
"""Convert a released GLM checkpoint: `transformers-glm convert`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.convert import main


if __name__ == "__main__":
    run(main)
