# SPDX-License-Identifier: Apache-2.0
"""What every run shares: its arguments, model, trainer, checkpoints and results."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(
    __name__,
    {
        "load_or_initialize": ".models",
        "load_or_train_tokenizer": ".models",
        "parse_arguments": ".arguments",
        "train_from_checkpoint": ".checkpoints",
        "write_results": ".results",
    },
)
