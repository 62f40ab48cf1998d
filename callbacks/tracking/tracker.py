"""The Lightning logger of the suite: one MLflow run an experiment, sent through an `outbox`.

Everything of a run lies in ``runs/<experiment>/<run>/`` and is an artifact in MLflow too; docs/tracking.md
says what a run holds and what happens when a tracking server is away.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import uuid
from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from callbacks.tracking.events import Artifact, Event, Metrics, ModelVersion, Params, StatusChanged, Tags
from callbacks.tracking.mlflow_store import RUN_CONTEXT, default_tracking_uri
from callbacks.tracking.outbox import RUNS_DIR, Journal, Sender
from callbacks.tracking.run_lock import hold

TIME = re.compile(r"^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_")
"""How the name of a run begins that was not given one."""


def new_run_name(scale: str, seed: int) -> str:
    """Make a unique name that sorts by time. MLflow's random names repeat under `seed_everything`."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{scale}_seed{seed}_{uuid.uuid4().hex[:4]}"


def name_in_mlflow(experiment: str, run_name: str) -> str:
    """The name under which MLflow shows a run: without its time, as columns are narrow and have the time too.

    Pages show runs of several experiments side by side by this name alone, so the experiment stands in it:
    ``demo_seed0_1a2b ddsp``.
    """
    return f"{TIME.sub('', run_name)} {experiment}"


class RunTracker(Logger):
    """Keep everything of a run in its folder and send it to MLflow in the background.

    Nothing is written before training, validation or test is set up, so a failure before that leaves no
    run. A tracker for an existing folder continues that run, in MLflow too: a resumed training and the
    test of a stored checkpoint belong to the run that they continue.

    Args:
        experiment: experiment name, here and in MLflow.
        run_name: name of the run and of its folder.
        runs_dir: the folder of all runs.
        tracking_uri: MLflow tracking URI; default ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``.
    """

    def __init__(
        self, experiment: str, run_name: str, runs_dir: str | Path = RUNS_DIR, tracking_uri: str | None = None
    ) -> None:
        super().__init__()
        self._experiment_name = experiment
        self._run_name = run_name
        self._runs_dir = Path(runs_dir)
        self._uri = tracking_uri or default_tracking_uri()
        self._journal = Journal(self.run_dir)
        self._sender: Sender | None = None
        self._checkpoints_dir: Path | None = None

    @property
    def name(self) -> str:
        """The experiment's name; with `save_dir` and `version` it tells Lightning where checkpoints go."""
        return self._experiment_name

    @property
    def version(self) -> str:
        """The run's name."""
        return self._run_name

    @property
    def save_dir(self) -> str:
        """The folder of all runs."""
        return str(self._runs_dir)

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return self._runs_dir / self._experiment_name / self._run_name

    @property
    @rank_zero_experiment
    def experiment(self) -> Journal:
        """The open journal. Lightning asks for it when set-up begins; on rank zero this starts the run."""
        self._open()
        return self._journal

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step; those of a test at step 0, for which MLflow draws bars and not curves."""
        if any(name.startswith("test/") for name in metrics):
            metrics, step = {name: value for name, value in metrics.items() if name != "epoch"}, 0
        self._append(Metrics({name: float(value) for name, value in metrics.items()}, step or 0))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log parameters, nested ones under dotted names."""
        self._append(Params(_flat(vars(params) if isinstance(params, Namespace) else params)))

    @rank_zero_only
    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags, by which `experiments.compare` finds and groups runs."""
        self._append(Tags({name: str(value) for name, value in tags.items()}))

    @rank_zero_only
    def log_artifact(self, path: Path) -> None:
        """Log a file of the run's folder, under the same relative path."""
        self._append(Artifact(path.relative_to(self.run_dir).as_posix()))

    @rank_zero_only
    def register_model(self, name: str, checkpoint: Path, score: float | None) -> None:
        """Make a checkpoint of this run a version of the registered model ``name``.

        Args:
            name: name of the architecture.
            checkpoint: a file that is an artifact of the run, or will be when the run ends.
            score: joint score of the checkpoint's test; the best one has the alias ``best``.
        """
        relative = checkpoint.resolve().relative_to(self.run_dir.resolve()).as_posix()
        self._append(ModelVersion(name, relative, self._experiment_name, score))

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Remember where checkpoints are; `finalize` logs them once, not at every save."""
        if checkpoint_callback.dirpath is not None:
            self._checkpoints_dir = Path(checkpoint_callback.dirpath)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Log the checkpoints, end the run (killed means by Ctrl-C or SIGTERM), and send the rest."""
        if self._sender is None:
            return
        self._log_checkpoints()
        interrupted = isinstance(sys.exception(), KeyboardInterrupt | SystemExit)
        self._close("KILLED" if interrupted else "FAILED" if status == "failed" else "FINISHED")

    def _log_checkpoints(self) -> None:
        directory, self._checkpoints_dir = self._checkpoints_dir, None
        for path in sorted(directory.glob("*.ckpt")) if directory else []:
            if path.resolve().is_relative_to(self.run_dir.resolve()):
                self.log_artifact(self.run_dir / path.resolve().relative_to(self.run_dir.resolve()))

    def _append(self, event: Event) -> None:
        self._open()
        self._journal.append(event)

    def _open(self) -> None:
        if self._sender is None:
            self._lock = hold(self.run_dir)
            tags = json.loads(os.environ.get(RUN_CONTEXT, "{}"))
            self._journal.start(
                self._experiment_name, name_in_mlflow(self._experiment_name, self._run_name), tags
            )
            self._sender = Sender(self._journal, self._uri)
            self._sender.start()
            atexit.register(self._close, "FAILED")  # whatever ends the process before `finalize` does

    def _close(self, status: str) -> None:
        atexit.unregister(self._close)
        if self._sender is not None:
            self._journal.append(StatusChanged(status))
            # Who ended the run by a signal waits for no server.
            self._sender.close(within_s=5 if status == "KILLED" else None)
            self._sender = None
            self._lock.release()


def tracker_of(trainer: L.Trainer) -> RunTracker | None:
    """The trainer's `RunTracker`; ``None`` where tracking is off, and in processes but the first."""
    if not trainer.is_global_zero:
        return None
    return next((logger for logger in trainer.loggers if isinstance(logger, RunTracker)), None)


def n_batches_done(trainer: L.Trainer) -> int:
    """Count the training batches so far: the step of every value that is logged.

    ``trainer.global_step`` counts the steps of all optimizers, twice as many in a GAN.
    """
    return int(trainer.fit_loop.total_batch_idx) + 1


def _flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in params.items():
        if key.startswith("_"):  # of the parser, for loading
            continue
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
