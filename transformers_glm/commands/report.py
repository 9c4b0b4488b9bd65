# SPDX-License-Identifier: Apache-2.0
"""
Put the results of several runs into a table and a plot, with mean and standard deviation over seeds.

    transformers-glm report output/summaries-0 output/summaries-1 output/bart --output output/report
    transformers-glm report output --metrics rouge1 rougeL --group_by task method train_rows

A folder is searched to its bottom for metrics.json. report.md and report.png are written in --output.
"""

from collections.abc import Sequence
from pathlib import Path

from ..files import write_whole
from .command_line import make_parser


def main(arguments: Sequence[str]) -> str:
    """Read the runs, write the report and print its table."""
    parser = make_parser(__doc__)
    parser.add_argument("folders", nargs="+", help="folders of runs, or above runs")
    parser.add_argument("--output", default="output/report", help="folder of the report")
    parser.add_argument("--group_by", nargs="+", help="what tells runs apart, besides the seed")
    parser.add_argument("--metrics", nargs="+", help="which numbers; all by default")
    options = parser.parse_args(arguments)
    from ..runs.reports import as_markdown, draw, group_runs, read_runs

    groups = group_runs(read_runs(options.folders), options.group_by, options.metrics)
    table, output = as_markdown(groups), Path(options.output)
    with write_whole(output / "report.png") as unfinished:
        draw(groups).savefig(unfinished, dpi=130)
    with write_whole(output / "report.md") as unfinished:
        unfinished.write_text(table, encoding="utf-8")
    print(table)
    print(f"report.md and report.png are in {output}.")
    return table
