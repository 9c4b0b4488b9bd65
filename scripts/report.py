# SPDX-License-Identifier: Apache-2.0
"""
Put the results of several runs into a table and a plot, with mean and standard deviation over seeds.

    python scripts/report.py output/summaries-0 output/summaries-1 output/bart --output output/report
    python scripts/report.py output --metrics rouge1 rougeL --group_by task method train_rows

A folder is searched to its bottom for metrics.json. report.md and report.png are written in --output.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from transformers_glm.files import write_whole
from transformers_glm.runs.arguments import run
from transformers_glm.runs.reports import as_markdown, draw, group_runs, read_runs


def main(arguments: Sequence[str]) -> str:
    """Read the runs, write the report and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="folders of runs, or above runs")
    parser.add_argument("--output", default="output/report", help="folder of the report")
    parser.add_argument("--group_by", nargs="+", help="what tells runs apart, besides the seed")
    parser.add_argument("--metrics", nargs="+", help="which numbers; all by default")
    options = parser.parse_args(arguments)
    groups = group_runs(read_runs(options.folders), options.group_by, options.metrics)
    table, output = as_markdown(groups), Path(options.output)
    with write_whole(output / "report.png") as unfinished:
        draw(groups).savefig(unfinished, dpi=130)
    with write_whole(output / "report.md") as unfinished:
        unfinished.write_text(table, encoding="utf-8")
    print(table)
    print(f"report.md and report.png are in {output}.")
    return table


if __name__ == "__main__":
    run(main)
