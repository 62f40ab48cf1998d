"""The lock of a run: only the process that holds it writes the run, and its end sets the lock free."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from runtime.errors import UserError

LOCK = "running.lock"
PATIENCE_S = 20
"""Seconds to wait for the lock: a killed training's workers outlive it by some, and hold what it held."""


def hold(run_dir: Path) -> FileLock:
    """Take the lock of a run, until its ``release()`` or the end of the process.

    Raises:
        UserError: another process holds it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / LOCK)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout as error:
        raise UserError(
            f"The run {run_dir} is at work in another process; wait for it, or begin a run of its own."
        ) from error
    return lock


def is_running(run_dir: Path) -> bool:
    """Whether a process trains or tests the run now."""
    if not (run_dir / LOCK).is_file():
        return False
    try:
        with FileLock(run_dir / LOCK, timeout=0):
            return False
    except Timeout:
        return True
