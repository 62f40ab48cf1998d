"""A worker runs trials of a study until the study is complete. Any number of workers share a study."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from sweeps import studies
from sweeps.record import SweepRecord
from sweeps.trials import Interrupted, TrialFailed, TrialSettings, run_trial

LOOK_S = 2.0
"""Seconds between two checks whether trials of other workers have ended or their workers have died."""
MAX_FAILURES = 3
"""Number of trials that fail in a row before a worker ends, because their values are then not the reason."""


class Surplus(Exception):
    """Several workers began the last trial at once, and this trial is one too many."""


class Worker:
    """Runs trials of a study, several at a time if asked to.

    Args:
        study: the study that the workers share.
        settings: the settings that its trials share.
        record: the record of the sweep in MLflow.
        n_trials: number of finished trials, of all workers together, that completes the study.
    """

    def __init__(
        self, study: optuna.Study, settings: TrialSettings, record: SweepRecord, n_trials: int
    ) -> None:
        self.study = study
        self.settings = settings
        self.record = record
        self.n_trials = n_trials
        self._stopping = threading.Event()
        self._failures: list[TrialFailed] = []
        """The failures of the last trials, without a finished trial between them."""

    def work(self, jobs: int) -> None:
        """Run trials, ``jobs`` at a time, until the study is complete.

        Raises:
            TrialFailed: `MAX_FAILURES` trials failed in a row.
            KeyboardInterrupt: the worker was interrupted. The running trials were stopped, and will be tried
                again.
        """
        with ThreadPoolExecutor(jobs) as pool:
            working = [pool.submit(self._work) for _ in range(jobs)]
            try:
                wait(working)
            finally:
                self._stopping.set()
        for done in working:
            done.result()
        if len(self._failures) >= MAX_FAILURES:
            raise self._failures[-1]

    def _work(self) -> None:
        while not self._stopping.is_set() and len(self._failures) < MAX_FAILURES:
            optuna.storages.fail_stale_trials(self.study)
            finished = studies.n_finished(self.study)
            if finished >= self.n_trials:
                return
            if finished + studies.n_running(self.study) >= self.n_trials:
                self._stopping.wait(LOOK_S)  # the last trials are running, and their workers may still die
            else:
                self._one_trial()

    def _one_trial(self) -> None:
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(TrialFailed, Surplus, Interrupted))
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError) as error:
            # This machine slept or had no network, so another worker has marked the trial as failed and
            # repeated it.
            print(f"A trial was lost, because this worker gave no heartbeat for too long ({error}).")

    def _objective(self, trial: optuna.Trial) -> tuple[float, ...]:
        if studies.is_surplus(self.study, trial.number, self.n_trials):
            raise Surplus
        try:
            scores = run_trial(trial, self.settings, self._stopping)
        except optuna.TrialPruned as reason:
            self._count(trial, TrialState.PRUNED, str(reason))
            raise
        except Interrupted:
            self._enqueue_again(trial)
            raise
        except TrialFailed as failure:
            self._failures.append(failure)
            print(failure, flush=True)
            raise
        shown = ", ".join(
            f"{o.metric} {s:.4g}" for o, s in zip(self.settings.objectives, scores, strict=True)
        )
        self._count(trial, TrialState.COMPLETE, shown)
        return scores

    def _count(self, trial: optuna.Trial, state: TrialState, shown: str) -> None:
        self._failures.clear()
        self.record.end_trial(self.settings.run_dir(trial.number), state.name)
        before = studies.n_finished(self.study)
        print(
            f"Trial {trial.number} {state.name.lower()}: {shown} ({before + 1} of {self.n_trials})",
            flush=True,
        )

    def _enqueue_again(self, trial: optuna.Trial) -> None:
        """Enqueue the values of the trial again, for the worker that resumes the study."""
        frozen = self.study.get_trials(deepcopy=True)[trial.number]
        RetryHeartbeatStaleTrialCallback()(self.study, frozen)
