# SPDX-License-Identifier: Apache-2.0
"""
Calculate what pretraining runs take: memory on each card, and days. docs/scaling.md explains the columns.

    transformers-glm plan pretrain_335m pretrain_2b --cards 1 8 64
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..runs.arguments import read_yaml
from ..runs.configs import find_config
from .command_line import make_parser


HEADER = ("run", "parameters", "text", "rows", "cards", "DDP", "FSDP2", "FSDP2, checkpointing", "days", "days, chk.")
NEEDED = ("config", "per_device_train_batch_size", "max_steps")
GB = 1e9


def plan(path: Path, args: Namespace) -> Iterator[tuple[str, ...]]:
    """The rows of the table for one configuration, one for each number of cards."""
    from configuration_glm import GLMConfig

    from ..pretraining.arguments import PretrainingArguments
    from ..pretraining.costs import activation_bytes, blanked, count_parameters, state_bytes, training_flops
    from ..runs.model_arguments import ModelArguments

    settings = {"train_data": [], **read_yaml(path)}
    if missing := [name for name in NEEDED if name not in settings]:
        raise ValueError(
            f"{path} has no {', no '.join(missing)}. A plan needs {', '.join(NEEDED)}: give a configuration of "
            "transformers-glm pretrain that has them, as pretrain_335m."
        )
    config = GLMConfig(**ModelArguments(config=settings["config"]).config)
    data_args = PretrainingArguments(
        **{name: settings[name] for name in PretrainingArguments.__dataclass_fields__ if name in settings}
    )
    rows, parameters = settings["per_device_train_batch_size"], count_parameters(config)
    batch, step = (blanked(data_args, config, number) for number in (rows, args.devices * rows))
    text = step.rows * settings["max_steps"] * (data_args.max_length or config.max_sequence_length)
    run = (path.stem.removeprefix("pretrain_"), f"{parameters / 1e6:,.0f} M", f"{text / 1e9:,.0f} B", str(rows))
    for cards in args.cards:
        memory = [
            state_bytes(config, parameters, cards, sharded=sharded)
            + activation_bytes(config, batch, checkpointing=checkpointing)
            for sharded, checkpointing in ((False, False), (True, False), (True, True))
        ]
        a_day = cards * args.tflops * 1e12 * args.share * 86400 / settings["max_steps"]
        days = [training_flops(config, step, checkpointing) / a_day for checkpointing in (False, True)]
        yield *run, str(cards), *(f"{one / GB:,.0f}" for one in memory), *(f"{one:,.1f}" for one in days)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("configs", nargs="+", help="configurations of transformers-glm pretrain: names, or YAML files")
    parser.add_argument("--cards", nargs="+", type=int, default=[1, 8, 64], help="numbers of cards")
    parser.add_argument(
        "--devices", type=int, default=64, help="devices whose batches make one step, whatever the cards"
    )
    parser.add_argument(
        "--tflops", type=float, default=989, help="dense bfloat16 rate of a card; 989 is an H100's or H200's"
    )
    parser.add_argument(
        "--share", type=float, default=0.4, help="share of that rate which the run reaches: an assumption"
    )
    args = parser.parse_args(arguments)
    print("|", " | ".join(HEADER), "|")
    print("|" + "---|" * len(HEADER))
    for config in args.configs:
        for row in plan(find_config(config), args):
            print("|", " | ".join(row), "|")
