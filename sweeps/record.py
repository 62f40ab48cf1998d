"""The record of a sweep in MLflow: a run for the sweep, and one child run for each finished trial, no more.

Each trial logs its own run. This module keeps the children in order: a trial that failed, or whose worker was
killed, is tried again or replaced, so its run is ended and is no longer a child. It stays in MLflow, with its
tags.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import optuna
from optuna.trial import TrialState

from callbacks.tracking.events import Artifact, Metrics, RunStarted, StatusChanged, Tags
from callbacks.tracking.mlflow_store import MlflowStore, Unreachable
from callbacks.tracking.outbox import Journal, deliver
from runtime.databases import hidden
from runtime.errors import UserError

log = logging.getLogger(__name__)


class SweepRecord:
    """The run of a sweep in MLflow.

    Args:
        folder: folder of the sweep on this machine. As for any run, values that a tracking server did not get
            wait there.
        uri: MLflow tracking URI, the same for all workers.
    """

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self._journal = Journal(folder)
        self._store = MlflowStore(uri)

    def begin(self, study: optuna.Study, experiment: str, tags: dict[str, str], space: str) -> str:
        """Create the run, or find the run that another worker created; return its id.

        Raises:
            UserError: the tracking server does not answer. Without the id, trials could not become children
                of the run.
        """
        if not self._journal.path.is_file():
            name, journal = f"sweep {study.study_name}", study.user_attrs["id"]
            self._journal.append(RunStarted(experiment, name, journal))
            self._journal.append(Tags({"sweep": study.study_name, "experiment": experiment, **tags}))
            (self._journal.run_dir / "space.yaml").write_text(space, encoding="utf-8")
            self._log_files([self._journal.run_dir / "space.yaml"])
        self._journal.append(StatusChanged("RUNNING"))
        try:
            deliver(self._journal, self._store)
        except Unreachable as error:
            raise UserError(
                f"The tracking server {hidden(self._store.uri)} does not answer ({error}); a sweep needs it "
                "to begin: start it, or set MLFLOW_TRACKING_URI to another."
            ) from error
        run_id = self._journal.delivered(self._store.uri)[0]
        assert run_id is not None
        return run_id

    def end_trial(self, run_dir: Path, state: str) -> None:
        """Tag the run of a trial with the state in which the trial ended, and end the run."""
        journal = Journal(run_dir)
        journal.append(Tags({"trial_state": state}))
        journal.append(StatusChanged("FINISHED"))
        self._deliver(journal)

    def disown_failed_trials(self, study: optuna.Study) -> None:
        """Detach the runs of failed trials, so that the sweep's children are its finished trials."""
        failed = {str(trial.number) for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))}
        run_id, _ = self._journal.delivered(self._store.uri)
        if not failed or run_id is None:
            return
        try:
            for child, tags in self._store.children(run_id).items():
                if tags.get("trial") in failed:
                    self._store.disown(child, {"trial_state": "FAIL"})
        except Unreachable as error:
            log.warning("The runs of failed trials are still children of the sweep's run: %s", error)

    def end(self, status: str, files: Iterable[Path] = (), values: dict[str, float] | None = None) -> None:
        """Log the last files and values, and end the run with ``status``."""
        if values:
            self._journal.append(Metrics(values, step=0))
        self._log_files(files)
        self._journal.append(StatusChanged(status))
        self._deliver(self._journal)

    def _log_files(self, files: Iterable[Path]) -> None:
        for path in files:
            self._journal.append(Artifact(path.relative_to(self._journal.run_dir).as_posix()))

    def _deliver(self, journal: Journal) -> None:
        try:
            deliver(journal, self._store)
        except Unreachable as error:
            log.warning(
                "The tracking server %s did not get everything (%s): "
                "`python -m experiments.outbox send %s` sends it.",
                hidden(self._store.uri),
                error,
                journal.run_dir,
            )
