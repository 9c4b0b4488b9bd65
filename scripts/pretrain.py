# SPDX-License-Identifier: Apache-2.0
"""Pretrain GLM on text by autoregressive blank infilling: `transformers-glm pretrain`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.pretrain import main


if __name__ == "__main__":
    run(main)
