# SPDX-License-Identifier: Apache-2.0
"""
Convert a released GLM checkpoint, in any form it was published in.

    transformers-glm convert glm-large glm-large-converted
    transformers-glm convert blocklm-10b/250000 glm-10b --tokenizer glm-10b-vocabulary --verify
    transformers-glm convert glm-large-converted --to-hub-state pytorch_model.safetensors

SOURCE is a snapshot of the Hub (config.json, pytorch_model.bin or model.safetensors, sharded or not, and the vocabulary) or a
folder of the original training code (mp_rank_00_model_states.pt and those of the other model-parallel ranks, or the folder
above, with latest_checkpointed_iteration.txt), whose vocabulary stands elsewhere: --tokenizer. docs/migration.md says more.
"""

from argparse import Namespace
from collections.abc import Sequence

from .command_line import make_parser


def parse_flags(arguments: Sequence[str]) -> Namespace:
    """The flags, with what they must not lack."""
    parser = make_parser(__doc__)
    parser.add_argument("source", help="folder of the checkpoint")
    parser.add_argument("out", nargs="?", help="folder to write, new or empty")
    parser.add_argument(
        "--tokenizer",
        metavar="DIR",
        help="folder with the vocabulary, if SOURCE has none: vocab.json and merges.txt (GPT-2, RoBERTa), vocab.txt (BERT), "
        "cog-pretrain.model (Chinese), or tokenizer.json",
    )
    parser.add_argument(
        "--hidden-act",
        metavar="ACT",
        help="gelu (what the old Hub code computed; the default for snapshots) or gelu_pytorch_tanh (what the original code "
        "computed; the default for its training format)",
    )
    parser.add_argument(
        "--num-attention-heads",
        type=int,
        metavar="N",
        help="for a model in the training format that has the shape of no released one",
    )
    parser.add_argument(
        "--copy-eop-to-gmask",
        action="store_true",
        default=None,
        help="for Chinese models in the training format that were trained with one id for eop and [gMASK]; GLM-10B-Chinese "
        "is known",
    )
    parser.add_argument(
        "--max-shard-size", default="2GB", metavar="SIZE", help="size of a file of weights (default: 2GB)"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="load the result, and compare every tensor and the configuration with the source",
    )
    parser.add_argument(
        "--to-hub-state",
        metavar="FILE",
        help="write the weights of SOURCE, in any form, under the names of the old Hub code, into a .safetensors file",
    )
    options = parser.parse_args(arguments)
    if options.out is None and options.to_hub_state is None:
        parser.error("OUT is missing: where to write the converted checkpoint.")
    if options.out is None and options.verify:
        parser.error("--verify needs OUT: it compares the two.")
    return options


def main(arguments: Sequence[str]) -> None:
    """Convert, verify and write back, as asked."""
    settings = vars(parse_flags(arguments))
    source, out, verified, state = (settings.pop(name) for name in ("source", "out", "verify", "to_hub_state"))
    from ..conversion.formats import OURS
    from ..conversion.run import convert, write_hub_state
    from ..conversion.verify import verify

    if out is not None:
        checkpoint = convert(source, out, **settings)
        if checkpoint.form != OURS:
            print(f"{source} is {checkpoint.form}: converted into {out}")
            if verified:
                print(f"verified: {verify(checkpoint, out)}")
        elif settings["hidden_act"] or verified:
            raise ValueError(
                "--hidden-act and --verify are for conversions: SOURCE is in the format of this package already."
            )
        else:
            print(f"{source} is in the format of this package already: nothing to do.")
    if state is not None:
        write_hub_state(source, state)
        print(f"weights of {source} under their old names: {state}")
