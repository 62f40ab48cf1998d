"""A worker takes part in a study until it has all its trials; any number of workers share one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from sweeps import studies
from sweeps.record import SweepRecord
from sweeps.trials import Interrupted, Setting, TrialFailed, run_trial

LOOK_S = 2.0
"""Between two looks at whether trials of other workers have ended, or were left by a dead one."""
MAX_FAILURES = 3
"""A worker ends when so many of its trials failed in a row: something other than their values is wrong."""


class Surplus(Exception):
    """Several workers began the last trial; this one gives way."""


class Worker:
    """Runs trials of a study, several at a time if asked to.

    Args:
        study: of all workers.
        setting: what its trials share.
        record: the sweep in MLflow.
        n_trials: how many the study shall have when it is complete, of all workers together.
    """

    def __init__(self, study: optuna.Study, setting: Setting, record: SweepRecord, n_trials: int) -> None:
        self.study = study
        self.setting = setting
        self.record = record
        self.n_trials = n_trials
        self._stopping = threading.Event()
        self._failures: list[TrialFailed] = []
        """Of the last trials, in a row."""

    def work(self, jobs: int) -> None:
        """Return when the study is complete.

        Raises:
            TrialFailed: too many trials failed in a row.
            KeyboardInterrupt: the running trials were ended, and wait for a worker.
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
                self._stopping.wait(LOOK_S)  # the last ones are running; their workers may yet die
            else:
                self._one_trial()

    def _one_trial(self) -> None:
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(TrialFailed, Surplus, Interrupted))
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError) as error:
            # This machine slept, or had no network: others have given the trial up and tried it again.
            print(f"A trial was lost, because this worker was not heard of for too long ({error}).")

    def _objective(self, trial: optuna.Trial) -> tuple[float, ...]:
        if studies.is_surplus(self.study, trial.number, self.n_trials):
            raise Surplus
        try:
            scores = run_trial(trial, self.setting, self._stopping)
        except optuna.TrialPruned as reason:
            self._count(trial, TrialState.PRUNED, str(reason))
            raise
        except Interrupted:
            self._leave(trial)
            raise
        except TrialFailed as failure:
            self._failures.append(failure)
            print(failure, flush=True)
            raise
        shown = ", ".join(f"{o.metric} {s:.4g}" for o, s in zip(self.setting.objectives, scores, strict=True))
        self._count(trial, TrialState.COMPLETE, shown)
        return scores

    def _count(self, trial: optuna.Trial, state: TrialState, shown: str) -> None:
        self._failures.clear()
        self.record.end_trial(self.setting.run_dir(trial.number), state.name)
        before = studies.n_finished(self.study)
        print(
            f"Trial {trial.number} {state.name.lower()}: {shown} ({before + 1} of {self.n_trials})",
            flush=True,
        )

    def _leave(self, trial: optuna.Trial) -> None:
        """Have the trial tried again, by whoever goes on."""
        frozen = self.study.get_trials(deepcopy=True)[trial.number]
        RetryHeartbeatStaleTrialCallback()(self.study, frozen)
