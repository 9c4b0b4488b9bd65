# SPDX-License-Identifier: Apache-2.0
"""Files of other code that have the names of our modules and are found before them."""

import sys
from importlib.util import find_spec
from pathlib import Path

from ..hub.code import HUB_MODULES


HOME = Path(__file__).resolve().parents[2]  # the modules of a Hub repository stand beside the package


def refuse_shadows() -> None:
    """
    See that `import modeling_glm` means this package's, not a file of the old Hub code in the working folder.

    Raises:
        `ImportError`: another file would be taken; it is named.
    """
    for name in HUB_MODULES:
        spec = sys.modules[name].__spec__ if name in sys.modules else find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != HOME:
            where = "is not found" if spec is None or spec.origin is None else f"would be {spec.origin}"
            raise ImportError(
                f"transformers_glm needs its own {name}.py, in {HOME}, but {name} {where}. Python looks into the folder of the "
                "script, or the one you are in, first: rename or move the file that is in the way, run from another folder, or "
                "install the package again if its file is missing."
            )
