"""Trials as processes: each is `python -m experiments.run …` with its own process group and output file.

A process for each trial, so that a crash, a full memory or an exploded training ends the trial and not the
worker, and so that a trial may itself start the processes of a DDP job. They are forked from a server process
that has imported Lightning once, which saves a trial some 15 seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from runtime.processes import end_with_parent, last_words

STOP_S = 60.0
"""How long a process that was asked to end may write its last checkpoint."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["experiments.command_line.cli", "experiments.command_line.lr_find", "mlflow.tracking"]
)


class Job:
    """A running command of `experiments.run`.

    Ends with this process, also when this one is killed: nobody would know of its result.

    Args:
        arguments: behind ``python -m experiments.run``.
        output: a file that what it prints is added to.
        environment: further variables.
    """

    def __init__(self, arguments: list[str], output: Path, environment: Mapping[str, str]) -> None:
        self.output = output
        output.parent.mkdir(parents=True, exist_ok=True)
        where = (str(output), dict(environment), os.getcwd())
        self._process = CONTEXT.Process(target=_run, args=(arguments, *where))
        self._process.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it has come."""
        self._process.join(seconds)
        return not self._process.is_alive()

    def stop(self) -> None:
        """Ask the process to end as with Ctrl-C, so that it writes what it has; end it if it does not."""
        for number, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, None)):
            if self._process.is_alive() and self._process.pid:
                with contextlib.suppress(ProcessLookupError):  # it has only just begun
                    os.killpg(self._process.pid, number)
                self._process.join(seconds)

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self._process.exitcode != 0

    def last_words(self) -> str:
        """The last line it printed, or why it ended."""
        return last_words(self.output)


def ask(module: str, function: str, *arguments: Any) -> Any:
    """What a function that needs Lightning answers, called in a process that has it."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT, initializer=_lead_group) as pool:
        return pool.submit(_call, module, function, *arguments).result()


def _call(module: str, function: str, *arguments: Any) -> Any:
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # that a seed was set
    return getattr(importlib.import_module(module), function)(*arguments)


def _run(arguments: list[str], output: str, environment: dict[str, str], folder: str) -> None:
    _lead_group()
    os.environ.update(environment)
    os.chdir(folder)
    with open(output, "ab") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
    sys.argv = ["experiments.run", *arguments]
    # As the main module, from which Lightning learns how to start the other processes of a DDP job.
    runpy.run_module("experiments.run", run_name="__main__", alter_sys=True)


def _lead_group() -> None:
    """Make this process the first of a group, and end the group when the worker ends."""
    os.setsid()
    end_with_parent(whole_group=True)
