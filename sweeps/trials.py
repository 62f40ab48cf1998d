"""One trial: a `fit` with its values, followed while it runs, ended early where it is hopeless."""

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
from sweeps.processes import Job
from sweeps.spaces import Space, as_options, as_text

POLL_S = 1.0
TENTHS = 10


class TrialFailed(UserError):
    """A trial ended in an error; another one takes its place."""


class Interrupted(Exception):
    """The worker was asked to end; its trials are left to be tried again."""


class Objective(NamedTuple):
    """What a sweep is for."""

    metric: str
    direction: str
    """``minimize`` or ``maximize``."""


@dataclass(frozen=True)
class Setting:
    """What all trials of a sweep share.

    Args:
        fit: arguments of `experiments.run` without the trial's values.
        space: where those come from.
        objectives: the metrics that decide.
        monitor: the metric that pruning watches, and which way it is better.
        budget: of each trial; ``None`` is the experiment's own length.
        folder: of the sweep on this machine.
        experiment: name in MLflow.
        sweep: name of the study.
        parent_run: its run in MLflow.
        is_thorough: whether the best checkpoint is validated again for objectives that take long.
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
        """The folder of a trial's run."""
        return self.folder / self.experiment / run_name(number)

    def arguments(self, number: int, values: dict[str, object]) -> list[str]:
        """The training, which ends in a validation of its best checkpoint instead of the test."""
        return [
            *self.fit,
            *as_options(values),
            *("--experiment", self.experiment),
            *("--runs_dir", str(self.folder), "--run_name", run_name(number)),
            *("--test_after_fit=false", f"--validate_after_fit={as_text(self.is_thorough)}"),
        ]

    def tags(self, number: int) -> dict[str, str]:
        """Tags of the trial's run, which make it a child of the sweep's."""
        return {PARENT: self.parent_run, "sweep": self.sweep, "trial": str(number)}


def run_name(number: int) -> str:
    """Name of a trial's run, in MLflow and on disk."""
    return f"trial_{number:04}"


def run_trial(trial: optuna.Trial, setting: Setting, stopping: threading.Event) -> tuple[float, ...]:
    """Train with the trial's values and return what its best checkpoint scores.

    Raises:
        optuna.TrialPruned: it was ended early, or diverged until no validation metric was a number.
        TrialFailed: it ended in an error.
        Interrupted: ``stopping`` was set.
    """
    trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
    values = setting.space.suggest(trial)
    arguments = setting.arguments(trial.number, values)
    environment = {RUN_CONTEXT: json.dumps(setting.tags(trial.number))}
    run_dir = setting.run_dir(trial.number)
    job = Job(["fit", *arguments], run_dir / "output.log", environment)
    watch = Watch(run_dir, setting.monitor, setting.budget)
    try:
        while not job.wait(POLL_S):
            if stopping.is_set():
                raise Interrupted
            _report(trial, watch, setting)
    finally:
        job.stop()
    _report(trial, watch, setting, may_prune=False)
    if job.failed:
        raise TrialFailed(f"Trial {trial.number} failed: {job.last_words()} All of it is in {job.output}.")
    return _scores(trial.number, watch, setting)


def _report(trial: optuna.Trial, watch: Watch, setting: Setting, may_prune: bool = True) -> None:
    """Tell Optuna of new validations, better in the study's own direction."""
    is_pruned = False
    for step, value in watch.new_validations():
        if len(setting.objectives) == 1 and math.isfinite(value):
            same_way = setting.objectives[0].direction == setting.monitor.direction
            trial.report(value if same_way else -value, step)
            is_pruned = is_pruned or (may_prune and trial.should_prune())
    if is_pruned:
        raise optuna.TrialPruned(f"{setting.monitor.metric} is worse than the median")


def _scores(number: int, watch: Watch, setting: Setting) -> tuple[float, ...]:
    if not watch.best:
        raise optuna.TrialPruned(f"it diverged: {setting.monitor.metric} is no number")
    scores = {o.metric: watch.best.get(o.metric, math.nan) for o in setting.objectives}
    if missing := [name for name, score in scores.items() if not math.isfinite(score)]:
        raise TrialFailed(
            f"Trial {number} has no {' and no '.join(missing)}; its validation measured "
            f"{', '.join(sorted(watch.best))}: choose among these with --objective."
        )
    return tuple(scores.values())


class Watch:
    """What a running trial has logged, read from its journal.

    Args:
        run_dir: the run's folder.
        monitor: the validation metric to follow, which chooses the best checkpoint.
        budget: of the trial; under a budget of time, validations are compared at tenths of it.
    """

    def __init__(self, run_dir: Path, monitor: Objective, budget: Budget | None) -> None:
        self.best: dict[str, float] = {}
        """What validation measured of the best checkpoint so far; empty while that is no number."""
        self._journal = Journal(run_dir)
        self._monitor = monitor
        self._seconds = budget.seconds if budget else None
        self._offset = 0
        self._began_ms: int | None = None
        self._n_validations = 0
        self._last_step = -1
        self._is_trained = False

    def new_validations(self) -> Iterator[tuple[int, float]]:
        """Step and value of each validation during the training since the last call."""
        for entry in self._journal.entries(self._offset):
            self._offset = entry.end
            if isinstance(entry.event, StatusChanged):
                self._is_trained = True  # what follows the end of the fit is about its best checkpoint
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
        """Trials are compared where they have spent the same."""
        if self._seconds is None or self._began_ms is None:
            return self._n_validations
        return int(TENTHS * (time_ms - self._began_ms) / (1000 * self._seconds))
