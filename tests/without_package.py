# SPDX-License-Identifier: Apache-2.0
"""Fresh processes, offline: with this package, and in an environment that does not have it."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path


ROOT = Path(__file__).parents[1]
# -S leaves out what an editable install puts on the path; site-packages comes back without it
ABSENT = """
import importlib.util, sys
sys.path.append(sys.argv.pop(1))
found = sys.argv.pop(1).split(",")
assert [name for name in found if importlib.util.find_spec(name)] == [], "the package is not hidden"
"""
OURS = ["transformers_glm", *sorted(path.stem for path in ROOT.glob("*.py"))]


def run_python(code, *args, cwd, home, package):
    """What the last printed line of `code` holds as JSON; `package` says whether it can import this package."""
    environment = {"PATH": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HOME": str(home)}
    environment |= {"HF_HOME": str(home / "hf"), "HF_MODULES_CACHE": str(home / "modules"), "TQDM_DISABLE": "1"}
    if package:
        command = [sys.executable, "-c", code]
        environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
    else:
        command = [sys.executable, "-S", "-c", ABSENT + code, sysconfig.get_path("purelib"), ",".join(OURS)]
    finished = subprocess.run(
        [*command, *map(str, args)], capture_output=True, text=True, cwd=cwd, env=environment, timeout=600
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])
