"""Processes: how many pay, how they end together, and why one ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children, parent_process
from pathlib import Path
from types import FrameType
from typing import NoReturn


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


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process and those it has started at once.

    Lightning's own handler only notes the signal, for the end of a batch, and a pool of processes waits for
    the jobs that are at work before it lets its owner go.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change how a signal is handled
        return
    handler = signal.signal(signal.SIGTERM, _end_with_children)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _end_with_children(number: int, frame: FrameType | None) -> NoReturn:
    for child in active_children():
        child.kill()
    sys.exit(128 + number)


def last_words(output: Path) -> str:
    """Tell why a process ended, from the file of what it printed: its last error, or else its last line.

    An error is a line that begins with ``error:``, as those of `runtime.errors.one_sentence_errors`.
    """
    text = output.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error:")), (lines or ["no output"])[-1])
