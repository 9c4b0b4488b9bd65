# SPDX-License-Identifier: Apache-2.0
"""Pretrain a small GLM before your eyes, compare it with n-gram counts, and fill blanks with it: `make demo`."""

from transformers_glm.commands.command_line import run
from transformers_glm.pretraining.demo import main


if __name__ == "__main__":
    run(main)
