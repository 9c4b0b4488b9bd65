# SPDX-License-Identifier: Apache-2.0
"""Show one batch as the model gets it: `transformers-glm show-batch`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.show_batch import main


if __name__ == "__main__":
    run(main)
