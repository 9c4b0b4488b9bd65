# SPDX-License-Identifier: Apache-2.0
"""Fill the blanks of texts with a GLM: `transformers-glm fill`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.fill import main


if __name__ == "__main__":
    run(main)
