"""Three worker processes share a study in a real PostgreSQL: one is killed, one interrupted, one remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import optuna
import psutil
import pytest
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from callbacks.tracking.mlflow_store import connect
from experiments.command_line.cli import SuiteCLI
from runtime.errors import UserError
from sweeps import run
from sweeps.studies import open_storage
from tests.conftest import ROOT, SIXTH, working_in
from tests.postgres import PostgresServer
from tests.sweeps.conftest import SPACE

# With all three waiting for one core of a busy machine.
pytestmark = pytest.mark.timeout(1800)
N_TRIALS = 4
STUDY = "sixth_demo"
OPTIONS = [str(SIXTH), "--space", str(SPACE), "--trials", str(N_TRIALS), "--budget", "4s", "--no-range-test"]


class Swept(NamedTuple):
    """A finished sweep of three workers."""

    root: Path
    uri: str
    """Of MLflow."""
    storage: str
    killed: FrozenTrial
    """The trial whose worker was killed, as it was then."""
    interrupted: FrozenTrial
    """The trial whose worker got Ctrl-C."""
    exit_codes: list[int]
    """Of the killed, the interrupted and the remaining worker."""


class Worker:
    """A real ``python -m sweeps.run`` that begins the study or joins it."""

    def __init__(self, root: Path, storage: str) -> None:
        command = [sys.executable, "-m", "sweeps.run", *OPTIONS, "--storage", storage, "--resume"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.output = root / f"worker_{time.monotonic_ns()}.log"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(command, cwd=root, env=environment, stdout=file, stderr=file)

    def running_trial(self, study: optuna.Study, root: Path) -> FrozenTrial | None:
        """The trial that this worker trains now, if its run has begun."""
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            is_mine = trial.user_attrs.get("worker", "").endswith(f":{self.process.pid}")
            if is_mine and list(root.glob(f"runs/sweeps/*/sixth/trial_{trial.number:04}/delivered.json")):
                return trial
        return None


def wait_for(condition: Callable[[], object], workers: list[Worker], seconds: float = 1500) -> None:
    end = time.monotonic() + seconds
    while not condition():
        said = "\n".join(worker.output.read_text() for worker in workers)
        assert time.monotonic() < end, f"waited too long: {said}"
        assert any(worker.process.poll() is None for worker in workers), f"all workers ended: {said}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Swept:
    root = tmp_path_factory.mktemp("swept")
    storage = postgres.new_database("sweeps")
    with working_in(root) as uri:
        workers = [Worker(root, storage) for _ in range(3)]
        try:
            outcome = end_two_of_three(root, uri, storage, workers)
        finally:
            for worker in workers:
                worker.process.kill()
    return outcome


def end_two_of_three(root: Path, uri: str, storage: str, workers: list[Worker]) -> Swept:
    database = open_storage(storage)
    wait_for(lambda: STUDY in optuna.get_all_study_names(database), workers)
    study = optuna.load_study(study_name=STUDY, storage=database)
    ended: list[tuple[Worker, FrozenTrial]] = []
    for number in (signal.SIGKILL, signal.SIGINT):
        remaining = [worker for worker in workers if worker not in [one for one, _ in ended]]
        found: list[tuple[Worker, FrozenTrial]] = []

        def is_found(remaining: list[Worker] = remaining, found: list = found) -> bool:
            pairs = ((worker, worker.running_trial(study, root)) for worker in remaining)
            found += [(worker, trial) for worker, trial in pairs if trial is not None][:1]
            return bool(found)

        wait_for(is_found, workers)
        worker, trial = found[0]
        os.kill(worker.process.pid, number)
        ended.append((worker, trial))
    [last] = [worker for worker in workers if worker not in [one for one, _ in ended]]
    order = [ended[0][0], ended[1][0], last]
    codes = [worker.process.wait(timeout=1500) for worker in order]
    assert codes[2] == 0, last.output.read_text()
    return Swept(root, uri, storage, ended[0][1], ended[1][1], codes)


@pytest.fixture(scope="module")
def study(swept: Swept) -> optuna.Study:
    return optuna.load_study(study_name=STUDY, storage=open_storage(swept.storage))


def finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def test_exactly_the_wanted_number_of_trials_finishes(swept: Swept, study: optuna.Study) -> None:
    assert swept.exit_codes == [-signal.SIGKILL, 130, 0]
    assert len(finished(study)) == N_TRIALS
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))


def test_the_trials_of_both_ended_workers_are_tried_again(swept: Swept, study: optuna.Study) -> None:
    history = RetryHeartbeatStaleTrialCallback.retry_history
    for lost in (swept.killed, swept.interrupted):
        assert study.trials[lost.number].state == TrialState.FAIL
        [again] = [trial for trial in finished(study) if lost.number in history(trial)]
        assert again.params == lost.params
        assert again.user_attrs["worker"] != lost.user_attrs["worker"]


def test_nothing_of_the_killed_worker_runs_on(swept: Swept) -> None:
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}

    def of_sweep() -> list[psutil.Process]:
        found = [process for process in psutil.process_iter(["cwd"]) if process.pid not in ours]
        return [process for process in found if process.info["cwd"] == str(swept.root)]

    end = time.monotonic() + 60
    while of_sweep() and time.monotonic() < end:  # a server process may take a moment to notice
        time.sleep(0.5)
    assert of_sweep() == []


def test_mlflow_has_one_child_run_for_each_finished_trial(swept: Swept, study: optuna.Study) -> None:
    client = connect(swept.uri)
    experiment = client.get_experiment_by_name("sixth").experiment_id
    runs = client.search_runs([experiment], max_results=100)
    [parent] = [run for run in runs if run.info.run_name == f"sweep {STUDY}"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(int(run.data.tags["trial"]) for run in children) == [t.number for t in finished(study)]
    assert {run.data.tags["trial_state"] for run in children} <= {"COMPLETE", "PRUNED"}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    lost = [run for run in runs if run.data.tags.get("trial_state") == "FAIL"]
    assert {int(run.data.tags["trial"]) for run in lost} == {swept.killed.number, swept.interrupted.number}
    assert {run.info.status for run in lost} == {"KILLED"}


def test_the_run_of_the_sweep_has_space_config_and_pictures(swept: Swept, study: optuna.Study) -> None:
    client = connect(swept.uri)
    experiment = client.get_experiment_by_name("sixth").experiment_id
    [parent] = client.search_runs([experiment], f"attributes.run_name = 'sweep {STUDY}'")
    found = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert {"space.yaml", f"{STUDY}_best.yaml", "pictures"} <= found
    pictures = {artifact.path for artifact in client.list_artifacts(parent.info.run_id, "pictures")}
    assert {"pictures/history.png", "pictures/slice.png"} <= pictures
    assert parent.data.metrics["best/val/mfcc_distance"] == study.best_value
    [config] = swept.root.glob(f"runs/sweeps/*/{STUDY}_best.yaml")
    assert SuiteCLI(["--config", str(config)], run=False).model.network is not None


def test_without_resume_the_study_is_refused(swept: Swept) -> None:
    with pytest.raises(UserError, match="'sixth_demo' exists already: add --resume"):
        run.main([*OPTIONS, "--storage", swept.storage])
