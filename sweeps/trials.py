"""One trial: a `fit` with the trial's values, followed while it runs, and pruned if it is hopeless."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import optuna

from callbacks.tracking.events import Metrics, StatusChanged
from callbacks.tracking.mlflow_store import PARENT, RUN_CONTEXT
from callbacks.tracking.outbox import Journal
from runtime.errors import UserError
from sweeps.budget import Budget
from sweeps.command_process import CommandProcess
from sweeps.spaces import Space, as_options, as_text

POLL_S = 1.0
TENTHS = 10


class TrialFailed(UserError):
    """A trial ended in an error. It does not count, and another trial takes its place."""


class Interrupted(Exception):
    """The worker was asked to end. Its trials will be tried again."""


class Objective(NamedTuple):
    """A validation metric, and whether lower or higher is better."""

    metric: str
    direction: str
    """``minimize`` or ``maximize``."""


@dataclass(frozen=True)
class TrialSettings:
    """The settings that all trials of a sweep share.

    Args:
        fit: the arguments of `fit` without the trial's values.
        space: the space from which the values are drawn.
        objectives: the metrics to optimise.
        monitor: the metric by which trials are pruned.
        budget: length of each trial; ``None`` is the experiment's own length.
        folder: folder of the sweep on this machine.
        experiment: name of the experiment in MLflow.
        sweep: name of the study.
        parent_run: id of the sweep's run in MLflow.
        is_thorough: whether the best checkpoint is validated again, for objectives that are slow to measure.
    """

    fit: list[str]
    space: Space
    objectives: tuple[Objective, ...]
    monitor: Objective
    budget: Budget | None
    folder: Path
    experiment: str
    sweep: str
    parent_run: str
    is_thorough: bool

    def run_dir(self, number: int) -> Path:
        """Name the folder of a trial's run."""
        return self.folder / self.experiment / run_name(number)

    def arguments(self, number: int, values: dict[str, object]) -> list[str]:
        """Make the arguments of `fit` for a trial, which is validated and not tested after its training."""
        return [
            *self.fit,
            *as_options(values),
            *("--experiment", self.experiment),
            *("--runs_dir", str(self.folder), "--run_name", run_name(number)),
            *("--test_after_fit=false", f"--validate_after_fit={as_text(self.is_thorough)}"),
        ]

    def tags(self, number: int) -> dict[str, str]:
        """Make the tags of a trial's run, which make it a child of the sweep's run."""
        return {PARENT: self.parent_run, "sweep": self.sweep, "trial": str(number)}


def run_name(number: int) -> str:
    """Name a trial's run, in MLflow and on disk."""
    return f"trial_{number:04}"


def run_trial(trial: optuna.Trial, settings: TrialSettings, stopping: threading.Event) -> tuple[float, ...]:
    """Train with the trial's values, and return the objectives of its best checkpoint.

    Raises:
        optuna.TrialPruned: the trial was pruned, or it diverged so that no validation metric was a number.
        TrialFailed: the training ended in an error.
        Interrupted: ``stopping`` was set.
    """
    trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
    values = settings.space.suggest(trial)
    arguments = settings.arguments(trial.number, values)
    environment = {RUN_CONTEXT: json.dumps(settings.tags(trial.number))}
    run_dir = settings.run_dir(trial.number)
    process = CommandProcess(["fit", *arguments], run_dir / "output.log", environment)
    trial_log = TrialLog(run_dir, settings.monitor, settings.budget)
    try:
        while not process.wait(POLL_S):
            if stopping.is_set():
                raise Interrupted
            _report(trial, trial_log, settings)
    finally:
        process.stop()
    _report(trial, trial_log, settings, may_prune=False)
    if process.failed:
        raise TrialFailed(
            f"Trial {trial.number} failed: {process.last_words()} The whole output is in {process.output}."
        )
    return _scores(trial.number, trial_log, settings)


def _report(
    trial: optuna.Trial, trial_log: TrialLog, settings: TrialSettings, may_prune: bool = True
) -> None:
    """Report new validations to Optuna, with the sign that makes the study's direction the better one."""
    is_pruned = False
    for step, value in trial_log.new_validations():
        if len(settings.objectives) == 1 and math.isfinite(value):
            same_way = settings.objectives[0].direction == settings.monitor.direction
            trial.report(value if same_way else -value, step)
            is_pruned = is_pruned or (may_prune and trial.should_prune())
    if is_pruned:
        raise optuna.TrialPruned(f"{settings.monitor.metric} is worse than the median")


def _scores(number: int, trial_log: TrialLog, settings: TrialSettings) -> tuple[float, ...]:
    if not trial_log.best:
        raise optuna.TrialPruned(f"it diverged: {settings.monitor.metric} is not a number")
    scores = {o.metric: trial_log.best.get(o.metric, math.nan) for o in settings.objectives}
    if missing := [name for name, score in scores.items() if not math.isfinite(score)]:
        raise TrialFailed(
            f"Trial {number} has no {' and no '.join(missing)}; its validation measured "
            f"{', '.join(sorted(trial_log.best))}: choose among these with --objective."
        )
    return tuple(scores.values())


class TrialLog:
    """Reads from its journal what a running trial has logged.

    Args:
        run_dir: the folder of the trial's run.
        monitor: the validation metric to follow, which chooses the best checkpoint.
        budget: budget of the trial; with a budget of time, trials are compared at tenths of it.
    """

    def __init__(self, run_dir: Path, monitor: Objective, budget: Budget | None) -> None:
        self.best: dict[str, float] = {}
        """The validation metrics of the best checkpoint so far; empty until the monitored one is a number."""
        self._journal = Journal(run_dir)
        self._monitor = monitor
        self._seconds = budget.seconds if budget else None
        self._offset = 0
        self._began_ms: int | None = None
        self._n_validations = 0
        self._last_step = -1
        self._is_trained = False

    def new_validations(self) -> Iterator[tuple[int, float]]:
        """Give step and monitored value of each validation during the training since the last call."""
        for entry in self._journal.entries(self._offset):
            self._offset = entry.end
            if isinstance(entry.event, StatusChanged):
                self._is_trained = True  # values after the end of the fit are of its best checkpoint
            elif isinstance(entry.event, Metrics):
                yield from self._read(entry.event.values, entry.event.time_ms)

    def _read(self, values: dict[str, float], time_ms: int) -> Iterator[tuple[int, float]]:
        self._began_ms = self._began_ms or time_ms
        if self._is_trained and self.best:
            self.best |= values
        elif self._monitor.metric in values:
            value = values[self._monitor.metric]
            if self._is_better(value):
                self.best = values
            self._n_validations += 1
            if (step := self._step(time_ms)) > self._last_step:
                self._last_step = step
                yield step, value

    def _is_better(self, value: float) -> bool:
        if not self.best:
            return math.isfinite(value)
        best = self.best[self._monitor.metric]
        return value < best if self._monitor.direction == "minimize" else value > best

    def _step(self, time_ms: int) -> int:
        """The step at which trials are compared, so that they have spent the same part of their budgets."""
        if self._seconds is None or self._began_ms is None:
            return self._n_validations
        return int(TENTHS * (time_ms - self._began_ms) / (1000 * self._seconds))
