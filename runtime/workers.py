"""Jobs in several processes, with a progress bar, all of which Ctrl-C or SIGTERM stops at once.

A job may kill its process: a native library crashes, or the system ends a process for lack of memory. The
pool does not tell which job it was, so the unfinished ones run again, one at a time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from textwrap import shorten
from typing import Generic, NoReturn, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from runtime.errors import DISK_FULL, UserError
from runtime.processes import available_cores, end_with_parent, ending_on_sigterm
from runtime.threads import ONE_THREAD

Job = TypeVar("Job")
Result = TypeVar("Result")


DIED = "its process died: a native library crashed, or memory ran out"
"""The reason of a job that kills even a process of its own."""


class JobDiedError(UserError):
    """A job killed its process."""


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    description: str,
    workers: int | None = None,
    progress: bool = True,
    failed: Callable[[Job, str], Result] | None = None,
) -> Iterator[tuple[Job, Result]]:
    """Apply ``function`` to every job; give each job with its result as soon as it is ready, in any order.

    Args:
        function: function at the top level of a module; it runs in other processes.
        jobs: arguments of the function, one for each call; they must pickle.
        description: title of the progress bar.
        workers: processes, of one thread each; ``None`` is one a core, and more than four a core never pay.
            One worker is this process itself, unless ``failed`` is given.
        progress: show a progress bar on standard error.
        failed: makes the result of a job that raised an error, whichever it was, or killed its process, from
            the job and the reason. ``None`` ends the work at such a job. A full disk always ends it.

    Raises:
        JobDiedError: a job killed its process, and ``failed`` is not given.
    """
    workers = min(workers or available_cores(), 4 * available_cores(), len(jobs))
    if failed is not None and jobs:
        results = _isolated(function, jobs, workers, failed)
    elif workers <= 1:
        results = ((job, function(job)) for job in jobs)
    else:
        results = _in_workers(function, jobs, workers, _end_the_work)
    title = TextColumn("{task.description}", markup=False)
    columns = (title, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(
        *columns,
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not progress,
    )
    with bar, ending_on_sigterm():
        yield from bar.track(results, total=len(jobs), description=description)


def _end_the_work(job: object, reason: str) -> NoReturn:
    raise JobDiedError(f"{shorten(str(job), 200)} could not be done: {reason}.")


@dataclass(frozen=True)
class _Outcome(Generic[Result]):
    """The result of a job, or the reason why there is none."""

    result: Result | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Attempt(Generic[Job, Result]):
    """Calls a function and turns its errors into reasons; a class and no closure, because it is pickled.

    An error as it is could not always be sent back: some pickle, and raise when they are read. What native
    libraries print about a bad file is not shown: the reason tells it.
    """

    function: Callable[[Job], Result]

    def __call__(self, job: Job) -> _Outcome[Result]:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        try:
            return _Outcome(self.function(job))
        except BaseException as error:  # a panic of a library in Rust is no `Exception`
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise
            return _Outcome(reason=_reason(error))


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _isolated(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    failed: Callable[[Job, str], Result],
) -> Iterator[tuple[Job, Result]]:
    def died(job: Job, reason: str) -> _Outcome[Result]:
        return _Outcome(reason=reason)

    for job, outcome in _in_workers(_Attempt(function), jobs, workers, died):
        yield job, failed(job, outcome.reason) if outcome.reason else outcome.result  # type: ignore[misc]


def _in_workers(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    died: Callable[[Job, str], Result],
) -> Iterator[tuple[Job, Result]]:
    """Give the result of every job, in pools that are made anew whenever a job has killed a process."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # workers inherit it before they import what reads it
    try:
        remaining = iter(jobs)
        # Only a few jobs ahead: 100,000 at once would all be pickled before the first result.
        while suspects := (yield from _until_broken(function, remaining, workers, 4 * workers)):
            _require_that_processes_start()
            alone = iter(suspects)
            while culprit := (yield from _until_broken(function, alone, 1, 1)):
                yield culprit[0], died(culprit[0], DIED)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _until_broken(
    function: Callable[[Job], Result], remaining: Iterator[Job], workers: int, ahead: int
) -> Generator[tuple[Job, Result], None, list[Job]]:
    """Give results from one pool, and return the jobs that were not finished when one killed a process."""
    pool = _pool(workers)
    pending: dict[Future[Result], Job] = {}
    unfinished: list[Job] = []
    try:
        while not unfinished:
            with _interrupts_deferred():
                for job in islice(remaining, ahead - len(pending)):
                    try:
                        pending[pool.submit(function, job)] = job
                    except BrokenProcessPool:
                        unfinished.append(job)
                        break
            if not pending:
                break
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                try:
                    result = future.result()
                except BrokenProcessPool:
                    unfinished.append(pending.pop(future))
                else:
                    yield pending.pop(future), result
        return unfinished + list(pending.values())
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawn and not fork: a parent with threads (torch, MLflow) must not be forked.
    return ProcessPoolExecutor(workers, get_context("spawn"), _start_worker)


def _require_that_processes_start() -> None:
    with _pool(1) as pool:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool:
            raise UserError(
                "No other process can be started; in a script, what starts the work has to stand below "
                "`if __name__ == '__main__':`."
            ) from None


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
