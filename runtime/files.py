"""Files that are there whole or not at all, and folders that one process works in at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from runtime.messages import say


@contextmanager
def write_beside(path: str | Path) -> Iterator[IO[bytes]]:
    """Write to a temporary file in the folder of ``path``; rename it when complete, remove it on errors."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The dot keeps searches for audio from finding it; the suffix tells what a killed process left behind.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that is being made; where another process has it, say so and wait."""
    lock = FileLock(path.parent / f".{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another process is preparing {path}; waiting until it has finished.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
