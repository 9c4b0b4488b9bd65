# SPDX-License-Identifier: Apache-2.0
"""From tokens to a batch: which spans become blanks, and rows with blanks in tensors."""

from ..names import load_on_use


__getattr__, __all__ = load_on_use(__name__, {"DataCollatorForBlankInfilling": ".collator"})
