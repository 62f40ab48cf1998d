"""The events of a run, each a line of JSON in its journal: what the tracker writes and MLflow is told.

This is the one place where events become JSON and come back from it. Each line names the kind of its event.
Lines that an earlier version of the suite wrote are read like those of this one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class Event:
    """What all events have: the time at which they happened."""

    kind: ClassVar[str]
    """The name of the event in JSON."""
    time_ms: int = field(default_factory=lambda: int(time.time() * 1000), kw_only=True)
    """Milliseconds since 1970."""

    def to_json(self) -> str:
        """Write the event as one line, without the newline."""
        return json.dumps({"kind": self.kind, **asdict(self)})

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> Self:
        """Make the event of its fields in ``values``; other keys, as of another version, are left out."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})


@dataclass(frozen=True)
class RunStarted(Event):
    """A run began: always the first event of a journal."""

    kind = "start"
    experiment: str
    """The experiment's name in MLflow."""
    run_name: str
    """The run's name in MLflow."""
    journal: str
    """A unique id, by which the run is found again in MLflow."""
    tags: dict[str, str] = field(default_factory=dict)
    """Tags that the run has from its first moment, such as whose child it is."""


@dataclass(frozen=True)
class Metrics(Event):
    """Numbers were logged at a step."""

    kind = "metrics"
    values: dict[str, float]
    step: int
    """Training batches that were done."""


@dataclass(frozen=True)
class Params(Event):
    """Parameters of the run were logged."""

    kind = "params"
    values: dict[str, str]


@dataclass(frozen=True)
class Tags(Event):
    """Tags of the run were set."""

    kind = "tags"
    values: dict[str, str]


@dataclass(frozen=True)
class Artifact(Event):
    """A file of the run's folder is to be stored, under the same relative path."""

    kind = "artifact"
    path: str
    """Relative to the run's folder, with ``/`` between its parts."""

    @property
    def folder(self) -> str:
        """The folder of the file, relative to the run's; empty for the run's own."""
        parent = PurePosixPath(self.path).parent.as_posix()
        return "" if parent == "." else parent


@dataclass(frozen=True)
class ModelVersion(Event):
    """A checkpoint of the run is to be a version of a registered model."""

    kind = "model"
    name: str
    """The registered model's name: that of the architecture."""
    path: str
    """The checkpoint, relative to the run's folder."""
    experiment: str
    score: float | None
    """Joint score of the checkpoint's test, if it has one."""


@dataclass(frozen=True)
class StatusChanged(Event):
    """The run goes on, or has ended."""

    kind = "status"
    status: str
    """MLflow's word for it: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``."""
    name: str | None = None
    """The name that the run gets with it; ``None`` leaves it as it is."""


KINDS: dict[str, type[Event]] = {event.kind: event for event in Event.__subclasses__()}


def from_json(line: str | bytes) -> Event:
    """Read an event from its line.

    Raises:
        ValueError: the line is no JSON object, or no event that this version knows.
    """
    values = json.loads(line)
    try:
        return KINDS[values["kind"]]._from_values(values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no event: {line!r}") from error
