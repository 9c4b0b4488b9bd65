# SPDX-License-Identifier: Apache-2.0
"""Fine-tune GLM to write texts: `transformers-glm seq2seq`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.seq2seq import main


if __name__ == "__main__":
    run(main)
