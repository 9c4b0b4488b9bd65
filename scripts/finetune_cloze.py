# SPDX-License-Identifier: Apache-2.0
"""Fine-tune GLM on an understanding task as a cloze question, or score candidates zero-shot: `transformers-glm cloze`."""

from transformers_glm.commands.cloze import main
from transformers_glm.commands.command_line import run


if __name__ == "__main__":
    run(main)
