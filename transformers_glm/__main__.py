# SPDX-License-Identifier: Apache-2.0
"""Run a script that knows nothing of GLM with GLM registered: `python -m transformers_glm SCRIPT ARGUMENTS`."""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the script as `python SCRIPT ARGUMENTS` would; importing this package has registered GLM."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        sys.exit(
            f"usage: python -m transformers_glm SCRIPT ARGUMENTS\nThere is no script {' '.join(sys.argv[1:2])!r}."
        )
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
