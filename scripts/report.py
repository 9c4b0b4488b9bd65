# SPDX-License-Identifier: Apache-2.0
"""Put the results of several runs into a table and a plot: `transformers-glm report`."""

from transformers_glm.commands.command_line import run
from transformers_glm.commands.report import main


if __name__ == "__main__":
    run(main)
