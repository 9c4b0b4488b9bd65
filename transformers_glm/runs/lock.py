# SPDX-License-Identifier: Apache-2.0
"""One run at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def alone_in(output_dir: str | Path) -> Iterator[None]:
    """
    Hold a folder for a run of this process; of several ranks the first one holds it. A run that is killed holds it no longer.

    Raises:
        `ValueError`: another process runs there; names it.
    """
    if int(os.environ.get("RANK", "0")):
        yield
        return
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    holder, lock = output_dir / ".run.pid", FileLock(output_dir / ".run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        number = holder.read_text().strip() if holder.is_file() else "unknown"
        raise ValueError(
            f"Another run (process {number}) works in {output_dir}, and two would overwrite each other's files. Wait for it, end "
            "it, or give another output_dir."
        ) from error
    try:
        holder.write_text(f"{os.getpid()}\n")
        yield
    finally:
        for file in (holder, output_dir / ".run.lock"):
            file.unlink(missing_ok=True)
        lock.release()
