"""Jobs in several processes, with a progress bar, all of which Ctrl-C or SIGTERM stops at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from runtime.processes import available_cores, end_with_parent
from runtime.threads import ONE_THREAD

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    description: str,
    workers: int | None = None,
    progress: bool = True,
) -> Iterator[tuple[Job, Result]]:
    """Apply ``function`` to every job; give each job with its result as soon as it is ready, in any order.

    Args:
        function: function at the top level of a module; it runs in other processes.
        jobs: arguments of the function, one for each call; they must pickle.
        description: title of the progress bar.
        workers: processes, of one thread each; ``None`` is one a core. One worker is this process itself.
        progress: show a progress bar on standard error.
    """
    workers = min(workers or available_cores(), len(jobs))
    results = _here(function, jobs) if workers <= 1 else _in_workers(function, jobs, workers)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(
        *columns,
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not progress,
    )
    with bar, _ending_on_sigterm():
        yield from bar.track(results, total=len(jobs), description=description)


def _here(function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
    for job in jobs:
        yield job, function(job)


def _in_workers(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # workers inherit it before they import what reads it
    # spawn and not fork: a parent with threads (torch, MLflow) must not be forked.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker)
    try:
        # Only a few jobs ahead: 100,000 at once would all be pickled before the first result.
        remaining = iter(jobs)
        pending: dict[Future[Result], Job] = {}
        while True:
            with _interrupts_deferred():
                for job in islice(remaining, 4 * workers - len(pending)):
                    pending[pool.submit(function, job)] = job
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process at once; the handler of a training only notes it for after the batch."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change how a signal is handled
        return
    handler = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to all, from processes started in here; get it afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change how a signal is handled
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by what is started
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
