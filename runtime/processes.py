"""Processes: how many pay, how a child ends with its parent, and why one ended."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import parent_process
from pathlib import Path


def available_cores() -> int:
    """Count the cores this process may use (fewer than the machine has, in a container or a batch job)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent(whole_group: bool = False) -> None:
    """End this process as soon as its parent has ended: a parent that was killed cannot stop its children.

    Args:
        whole_group: end every process of this one's group too.
    """
    threading.Thread(target=_end_after_parent, args=(whole_group,), daemon=True).start()


def _end_after_parent(whole_group: bool) -> None:
    parent = parent_process()
    assert parent is not None  # this process was started by multiprocessing
    parent.join()
    if whole_group:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def last_words(output: Path) -> str:
    """Tell why a process ended, from the file of what it printed: its last error, or else its last line.

    An error is a line that begins with ``error:``, as those of `runtime.errors.one_sentence_errors`.
    """
    text = output.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error:")), (lines or ["no output"])[-1])
