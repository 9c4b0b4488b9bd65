# SPDX-License-Identifier: Apache-2.0
"""
Make a repository for the Hub from a GLM, or from an adapter of one, and upload it if asked.

    transformers-glm push output/mine output/mine-hub                            # writes a folder, uploads nothing
    transformers-glm push output/mine output/mine-hub --push me/my-glm --license apache-2.0 --language en
    transformers-glm push output/lora output/lora-hub --push me/my-lora --base-model me/my-glm

The folder holds weights, tokenizer, a model card, and the code that lets it load with trust_remote_code=True where this package
is not installed. Load it, look at it, then push. The token is that of `hf auth login`. docs/deployment.md says more.
"""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from .command_line import make_parser


def parse_flags(arguments: Sequence[str]) -> Namespace:
    """The flags."""
    parser = make_parser(__doc__)
    parser.add_argument("source", help="folder of the model: what save_pretrained or transformers-glm convert wrote")
    parser.add_argument("out", help="folder to write, new or empty")
    parser.add_argument("--push", metavar="REPO_ID", help="upload the folder to this repository of the Hub")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--message", default="Upload a GLM", help="message of the commit")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that stands in OUT")
    parser.add_argument("--tokenizer", metavar="DIR", help="folder of the tokenizer, if SOURCE has none")
    parser.add_argument(
        "--max-shard-size", default="5GB", metavar="SIZE", help="size of a file of weights (default: 5GB)"
    )
    card = parser.add_argument_group("model card")
    card.add_argument("--license", help="as the Hub names it, for example apache-2.0")
    card.add_argument("--language", nargs="+", default=[], help="as the Hub names it, for example en zh")
    card.add_argument("--datasets", nargs="+", default=[], help="data sets of the Hub that the model was trained on")
    card.add_argument("--training-data", metavar="TEXT", help="what it was trained on, in words")
    card.add_argument("--base-model", metavar="REPO_ID", help="the model on the Hub that it was made from")
    card.add_argument("--metrics", metavar="FILE", help="JSON of names and numbers (default: metrics.json in SOURCE)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Make the repository, and upload it as asked."""
    options = parse_flags(arguments)
    from ..hub.adapters import is_adapter, make_adapter_repository
    from ..hub.repository import About, make_repository, push

    told = {
        name: getattr(options, name) for name in ("license", "language", "datasets", "training_data", "base_model")
    }
    metrics = json.loads(Path(options.metrics).read_text(encoding="utf-8")) if options.metrics else None
    about = About(name=options.push, metrics=metrics, **told)
    if is_adapter(options.source):
        left = make_adapter_repository(options.source, options.out, about, overwrite=options.overwrite)
    else:
        sizes = {"tokenizer": options.tokenizer, "max_shard_size": options.max_shard_size}
        left = make_repository(options.source, options.out, about, overwrite=options.overwrite, **sizes)
    for file in sorted(path.relative_to(options.out) for path in Path(options.out).rglob("*") if path.is_file()):
        print(f"{(Path(options.out) / file).stat().st_size:>14,}  {file}")
    if left:
        print(f"not part of the repository: {', '.join(left)}")
    if options.push is None:
        print(f"{options.out} is complete; nothing was uploaded. Give --push REPO_ID to do so.")
    else:
        print(f"uploaded: {push(options.out, options.push, private=options.private, message=options.message)}")
