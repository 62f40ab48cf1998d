"""MLflow as the place that events are sent to. mlflow itself (4 s to import) is imported when first used."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callbacks.tracking.events import (
    Artifact,
    Event,
    Metrics,
    ModelVersion,
    Params,
    RunStarted,
    StatusChanged,
    Tags,
)
from runtime.databases import reason, with_driver

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
SQLITE_PREFIX = "sqlite:///"
TRAINING_PAGES = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "test/joint_score",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}
"""Tags by which MLflow shows an experiment as trainings to compare by their joint score; it guesses language
models otherwise, and compares the first metric that it finds."""
RUNS_PAGE = "/#/experiments?workflowType=machine_learning"
"""The page of a tracking server that lists the experiments with their runs; its first page is that of
language models."""
ARTIFACT_ROOT = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
"""Environment variable that MLflow's server knows too."""
MAX_PARAM_CHARACTERS = 250
"""Longer parameter values are cut; the artifact config.yaml is the truth."""
MAX_METRICS, MAX_PARAMS_OR_TAGS = 900, 90
"""Per `log_batch` call; MLflow allows 1,000 and 100."""
PARENT = "mlflow.parentRunId"
RUN_CONTEXT = "MLFLOW_RUN_CONTEXT"
"""MLflow's own variable by which whoever starts a run gives it tags, as JSON. A sweep uses it."""
# Errors that sending again cannot repair: the value itself is refused.
REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}
QUICK_AND_QUIET = {
    # A server that does not answer must be noticed soon; the outbox is what tries again.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
BEST_ALIAS = "best"
"""The version of a registered model with the best joint score."""
log = logging.getLogger(__name__)


class Unreachable(ConnectionError):
    """The tracking server did not answer, or answered that it cannot work now."""


class Refused(Unreachable):
    """MLflow answered that it will not store this value; sending it again is no use."""


def default_tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI`` where it is set, else a SQLite file in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


def is_there(uri: str) -> bool:
    """Whether ``uri`` can be read without creating it: a SQLite file that is missing must not be made."""
    return not uri.startswith(SQLITE_PREFIX) or Path(uri.removeprefix(SQLITE_PREFIX)).exists()


def connect(uri: str) -> MlflowClient:
    """Make a client that gives up soon and prints nothing."""
    for name, value in QUICK_AND_QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(with_driver(uri))


class MlflowStore:
    """Sends events (`callbacks.tracking.events`) to one tracking server.

    Args:
        uri: MLflow tracking URI. With a database, artifacts go to the folder or bucket in
            ``MLFLOW_DEFAULT_ARTIFACT_ROOT``, else to ``mlartifacts``: beside a SQLite file, or here.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def client(self) -> MlflowClient:
        """The MLflow client, made on first use."""
        return self._call(connect, self.uri)

    def has_run(self, run_id: str) -> bool:
        """Whether the server knows ``run_id``."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise Unreachable(reason(error)) from error

    def open_run(self, start: RunStarted) -> str:
        """Give the id of the run that ``start`` describes; creates it unless the server has it."""
        experiment_id = self._call(self._experiment_id, start.experiment)
        same = self._call(
            self.client.search_runs, [experiment_id], f"tags.journal = '{start.journal}'", max_results=1
        )
        if same:
            return str(same[0].info.run_id)
        run = self._call(
            self.client.create_run,
            experiment_id,
            start_time=start.time_ms,
            tags={**start.tags, "journal": start.journal},
            run_name=start.run_name,
        )
        return str(run.info.run_id)

    def children(self, run_id: str) -> dict[str, dict[str, str]]:
        """The tags of every run below ``run_id``, by run id."""
        experiment_id = self._call(self.client.get_run, run_id).info.experiment_id
        found = self._call(
            self.client.search_runs, [experiment_id], f"tags.`{PARENT}` = '{run_id}'", max_results=50_000
        )
        return {run.info.run_id: dict(run.data.tags) for run in found}

    def disown(self, run_id: str, tags: dict[str, str]) -> None:
        """Take a run from its parent and give it ``tags``; one that still runs is set to killed."""
        for name, value in tags.items():
            self._call(self.client.set_tag, run_id, name, value)
        if self._call(self.client.get_run, run_id).info.status == "RUNNING":
            self._call(self.client.set_terminated, run_id, "KILLED")
        self._call(self.client.delete_tag, run_id, PARENT)

    def send(self, run_id: str, events: Sequence[Event], run_dir: Path) -> None:
        """Send one batch of events. A value that MLflow refuses is named and left out."""
        self._send_values(run_id, events)
        for event in events:
            match event:
                case Artifact():
                    self._send_artifact(run_id, run_dir / event.path, event.folder)
                case ModelVersion():
                    self._send_model(run_id, event)
                case StatusChanged():
                    self._send_status(run_id, event)

    def _send_values(self, run_id: str, events: Sequence[Event]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(key, _finite(value), event.time_ms, event.step)
            for event in events
            if isinstance(event, Metrics)
            for key, value in event.values.items()
        ]
        params = {k: v for event in events if isinstance(event, Params) for k, v in event.values.items()}
        tags = {k: v for event in events if isinstance(event, Tags) for k, v in event.values.items()}
        self._log(run_id, "metrics", metrics, MAX_METRICS)
        short = [Param(key, value[:MAX_PARAM_CHARACTERS]) for key, value in params.items()]
        self._log(run_id, "params", short, MAX_PARAMS_OR_TAGS)
        self._log(run_id, "tags", [RunTag(key, value) for key, value in tags.items()], MAX_PARAMS_OR_TAGS)

    def _log(self, run_id: str, kind: str, values: list[Any], size: int) -> None:
        """Send ``values`` in groups of ``size``; where MLflow refuses a group, one by one without the bad."""
        for group in _chunks(values, size):
            try:
                self._call(self.client.log_batch, run_id, **{kind: group})
            except Refused as error:
                if len(group) > 1:
                    self._log(run_id, kind, group, 1)
                else:
                    log.warning("%s refused %s, which is left out: %s", self.uri, group[0], error)

    def _send_artifact(self, run_id: str, path: Path, folder: str) -> None:
        if path.is_file():
            self._call(self.client.log_artifact, run_id, str(path), folder or None)
        else:
            log.warning("%s is no more and cannot be sent to %s.", path, self.uri)

    def _send_model(self, run_id: str, model: ModelVersion) -> None:
        """Make the run's checkpoint a version of a registered model, once; aliases name the best."""
        from mlflow.exceptions import MlflowException

        name = model.name
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise Unreachable(reason(error)) from error
        versions = self._call(self.client.search_model_versions, f"name = '{name}'")
        mine = next((version for version in versions if version.run_id == run_id), None)
        if mine is None:
            source = f"runs:/{run_id}/{model.path}"
            mine = self._call(self.client.create_model_version, name, source, run_id)
            versions.append(mine)
        mine.tags.update(experiment=model.experiment, joint_score=str(model.score))
        for key, value in mine.tags.items():
            self._call(self.client.set_model_version_tag, name, mine.version, key, value)
        of_experiment = [v for v in versions if v.tags.get("experiment") == model.experiment]
        for alias, rivals in ((BEST_ALIAS, versions), (alias_of(model.experiment), of_experiment)):
            best = max(rivals, key=_version_rank)
            self._call(self.client.set_registered_model_alias, name, alias, str(best.version))

    def _send_status(self, run_id: str, event: StatusChanged) -> None:
        if event.status == "RUNNING":
            self._call(self.client.update_run, run_id, status="RUNNING", name=event.name)
        else:
            self._call(self.client.set_terminated, run_id, event.status, event.time_ms)

    def _experiment_id(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            return self.client.create_experiment(name, self._artifact_location(), tags=TRAINING_PAGES)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        for key, value in TRAINING_PAGES.items() - experiment.tags.items():
            self.client.set_experiment_tag(experiment.experiment_id, key, value)
        return experiment.experiment_id

    def _artifact_location(self) -> str | None:
        """Where an experiment's artifacts go; a server decides that by itself."""
        if self.uri.startswith(("http://", "https://")):
            return None
        if chosen := os.environ.get(ARTIFACT_ROOT):
            return chosen
        is_file = self.uri.startswith(SQLITE_PREFIX)
        beside = Path(self.uri.removeprefix(SQLITE_PREFIX)).parent if is_file else Path()
        return (beside.resolve() / "mlartifacts").as_uri()  # absolute: `mlflow ui` may run anywhere

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call MLflow. Raises `Refused` for a value it will never take, `Unreachable` for all else."""
        try:
            return function(*arguments, **options)
        except Exception as error:
            # MLflow raises its own, requests', SQLAlchemy's and OS errors for a server that is away.
            refused = getattr(error, "error_code", None) in REFUSALS
            raise (Refused if refused else Unreachable)(reason(error)) from error


def alias_of(experiment: str) -> str:
    """The alias of an experiment's best version; MLflow allows letters, digits, ``_`` and ``-`` in it."""
    return re.sub(r"[^\w-]", "-", experiment)


def _version_rank(version: Any) -> tuple[float, int]:
    """Better joint score first, later version among equals; a test without one comes last."""
    score = version.tags.get("joint_score", "None")
    return (-1.0 if score == "None" else float(score)), int(version.version)


def _finite(value: float) -> float:
    """MLflow stores NaN; infinities become the largest number (SQL has none)."""
    return value if not math.isinf(value) else math.copysign(1.7976931348623157e308, value)


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
