"""The Optuna study that all workers of a sweep share: its storage, its beginning, and when it is complete."""

from __future__ import annotations

import json
import time
import uuid
import warnings
from typing import Any, Literal, NamedTuple

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from runtime.databases import hidden, reason, with_driver
from runtime.errors import UserError

DEFAULT_STORAGE = "sqlite:///sweeps.db"
HEARTBEAT_S, GRACE_S = 10, 60
"""A worker gives a heartbeat so often; after the grace period without one, another repeats its trial."""
MAX_RETRIES = 3
"""How often a trial is repeated whose worker died; after that, the trial may be what kills its workers."""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
ACTIVE = (TrialState.RUNNING, TrialState.WAITING)
IDENTITY = "sweep"
"""Name of the study's attribute with its `Identity`."""
PARENT_RUN = "mlflow_run"
"""Name of the study's attribute with the id of the sweep's run in MLflow."""
SECONDS_TO_BEGIN = 60.0
"""How long a worker that joins waits for the first worker to begin the study, before it takes it for dead."""


class Identity(NamedTuple):
    """What must be equal for all workers of a study, because otherwise trials could not be compared."""

    experiment: str
    scale: str
    budget: str
    objectives: list[tuple[str, Literal["minimize", "maximize"]]]
    """Each metric with ``minimize`` or ``maximize``, in the order of a trial's values."""
    space: dict[str, Any]
    options: list[str]
    """Further options of `fit`."""

    def as_text(self) -> str:
        """Write the identity as JSON, which is equal for equal identities."""
        return json.dumps(self._asdict(), sort_keys=True)


def open_storage(url: str) -> RDBStorage:
    """Open the database of studies; an SQLite file is created if it does not exist.

    Raises:
        UserError: the URL is no database that outlives the process, the database cannot be reached, or its
            driver is not installed.
    """
    _require_lasting(url)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the worker reports its trials itself
    attempts = 3  # workers that create the tables at the same time make each other fail
    for attempt in range(attempts):
        try:
            return _storage(with_driver(url))
        except (ImportError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if isinstance(error, ImportError) or attempt == attempts - 1:
                raise UserError(f"The storage {hidden(url)} cannot be opened: {reason(error)}.") from error
            time.sleep(1 + attempt)
    raise AssertionError


def _storage(url: str) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of heartbeats
        return RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES),
        )


def _require_lasting(url: str) -> None:
    """Refuse what is no address, and a database in memory, with which the study would be gone at the end."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise UserError(
            f"The storage '{url}' is no database address; examples are {DEFAULT_STORAGE} and "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from error
    in_memory = (
        not address.database or ":memory:" in address.database or address.query.get("mode") == "memory"
    )
    if address.get_backend_name() == "sqlite" and in_memory:
        raise UserError(
            f"The storage {url} is a database in memory, which ends with the process; name a file, as in "
            f"{DEFAULT_STORAGE}."
        )


def require_new(storage: RDBStorage, name: str) -> None:
    """Raise a `UserError` if a study of this name exists."""
    if name in optuna.get_all_study_names(storage):
        raise UserError(
            f"The study '{name}' exists already: add --resume to resume it or to join its workers, or "
            "--study NAME to begin another."
        )


def begin(
    storage: RDBStorage, name: str, identity: Identity, resume: bool, prune: bool
) -> tuple[optuna.Study, bool]:
    """Create a study, or join it with ``resume``; return the study and whether it is new.

    Raises:
        UserError: the study exists and ``resume`` is false, or its `Identity` is another one.
    """
    try:
        directions = [direction for _, direction in identity.objectives]
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        study.set_user_attr("id", uuid.uuid4().hex)
        study.set_user_attr(IDENTITY, identity.as_text())
        is_new = True
    except optuna.exceptions.DuplicatedStudyError:
        if not resume:
            require_new(storage, name)
        study, is_new = optuna.load_study(storage=storage, study_name=name), False
        _require_same(study, identity)
    equip(study, len(identity.objectives), prune)
    return study, is_new


def equip(study: optuna.Study, n_objectives: int, prune: bool) -> None:
    """Set the sampler and the pruner, which are not stored with the study: each worker has its own."""
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=5)
    # A trial ends early when its best value so far is worse than the median of three others at that point.
    pruning = prune and n_objectives == 1
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2, n_min_trials=3)
        if pruning
        else optuna.pruners.NopPruner()
    )


def _require_same(study: optuna.Study, identity: Identity) -> None:
    theirs = json.loads(_begun(study))
    ours = json.loads(identity.as_text())
    for item in Identity._fields:
        if theirs[item] != ours[item]:
            raise UserError(
                f"The study '{study.study_name}' was begun with the {item} "
                f"{_differing(theirs[item], ours[item])}: trials would not be comparable; use the same, or "
                "--study NAME to begin another."
            )


def _differing(theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        key = next(key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key))
        return f"{key} {theirs.get(key)}, this worker has {ours.get(key)}"
    return f"{theirs}, this worker has {ours}"


def _begun(study: optuna.Study) -> str:
    """Wait for the identity that the first worker stores, and return its JSON."""
    identity = await_attribute(study, IDENTITY, SECONDS_TO_BEGIN)
    if identity is None:
        raise UserError(
            f"The study '{study.study_name}' has no record of what it searches, so it is not one of "
            "`sweeps.run` or its first worker died at once: use --study NAME to begin another."
        )
    return identity


def await_attribute(study: optuna.Study, name: str, seconds: float) -> Any:
    """Wait for another worker to set an attribute of the study; give up with ``None`` after ``seconds``."""
    end = time.monotonic() + seconds
    while name not in study.user_attrs and time.monotonic() < end:
        time.sleep(0.5)
    return study.user_attrs.get(name)


def n_finished(study: optuna.Study) -> int:
    """Count the finished trials: complete or pruned."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def n_running(study: optuna.Study) -> int:
    """Count the trials that are running on any worker."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def is_surplus(study: optuna.Study, number: int, n_trials: int) -> bool:
    """Whether a trial that has just begun is one too many, because several workers began trials at once.

    Every finished trial counts, and so does every running or waiting trial with a lower number. Of any
    ``n_trials + 1`` trials, the one with the highest number counts all the others, which were created before
    it, and is the surplus one. A trial that is repeated gets a new number.
    """
    before = [t for t in study.get_trials(deepcopy=False, states=ACTIVE) if t.number < number]
    return n_finished(study) + len(before) >= n_trials
