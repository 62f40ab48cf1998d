"""Commands of `experiments.run` as processes of a worker, each with its own process group and output file.

Each trial is such a process. So a crash, a full memory or an exploded training ends the trial and not the
worker, and a trial may start the processes of a DDP job itself. The processes are forked from a server
process that has imported Lightning once, which saves each trial some 15 seconds.
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
"""Time for a process that was asked to end, to write its last checkpoint."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["experiments.command_line.cli", "experiments.command_line.lr_find", "mlflow.tracking"]
)


class CommandProcess:
    """A running command of `experiments.run`.

    The command ends with this process, even if this process is killed: otherwise nobody would read its
    result.

    Args:
        arguments: the arguments of ``python -m experiments.run``.
        output: a file to which the command's output is appended.
        environment: environment variables to add.
    """

    def __init__(self, arguments: list[str], output: Path, environment: Mapping[str, str]) -> None:
        self.output = output
        output.parent.mkdir(parents=True, exist_ok=True)
        where = (str(output), dict(environment), os.getcwd())
        self._process = CONTEXT.Process(target=_run, args=(arguments, *where))
        self._process.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the command for at most ``seconds``; return whether it has ended."""
        self._process.join(seconds)
        return not self._process.is_alive()

    def stop(self) -> None:
        """End the process with SIGTERM, after which it writes its checkpoint; kill it if that fails."""
        for number, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, None)):
            if self._process.is_alive() and self._process.pid:
                with contextlib.suppress(ProcessLookupError):  # it does not lead a group yet
                    os.killpg(self._process.pid, number)
                self._process.join(seconds)

    @property
    def failed(self) -> bool:
        """Whether the command ended in an error."""
        return self._process.exitcode != 0

    def last_words(self) -> str:
        """The last line that the command printed, or the reason why it ended."""
        return last_words(self.output)


def ask(module: str, function: str, *arguments: Any) -> Any:
    """Call a function that needs Lightning in a process that has imported it, and return its result."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT, initializer=_lead_group) as pool:
        return pool.submit(_call, module, function, *arguments).result()


def _call(module: str, function: str, *arguments: Any) -> Any:
    logging.getLogger("lightning.fabric").setLevel(
        logging.WARNING
    )  # silences the message that a seed was set
    return getattr(importlib.import_module(module), function)(*arguments)


def _run(arguments: list[str], output: str, environment: dict[str, str], folder: str) -> None:
    _lead_group()
    os.environ.update(environment)
    os.chdir(folder)
    with open(output, "ab") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
    sys.argv = ["experiments.run", *arguments]
    # Run it as the main module, from which Lightning learns how to start the other processes of a DDP job.
    runpy.run_module("experiments.run", run_name="__main__", alter_sys=True)


def _lead_group() -> None:
    """Make this process the leader of a process group, and end the group when the worker ends."""
    os.setsid()
    end_with_parent(whole_group=True)
