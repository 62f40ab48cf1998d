"""The record of a run: its journal of events and their delivery to MLflow, its lock and its checkpoints.

`tracker.RunTracker` is the logger that Lightning is given: it makes events of what is logged. A `Journal`
keeps them in the run's folder, and a `Sender` or `deliver` sends them to an `MlflowStore`.
"""

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
from callbacks.tracking.mlflow_store import MlflowStore, Unreachable, connect, default_tracking_uri
from callbacks.tracking.outbox import Journal, Sender, deliver
from callbacks.tracking.run_lock import hold, is_running

__all__ = [
    "Artifact",
    "Event",
    "Journal",
    "Metrics",
    "MlflowStore",
    "ModelVersion",
    "Params",
    "RunStarted",
    "Sender",
    "StatusChanged",
    "Tags",
    "Unreachable",
    "connect",
    "default_tracking_uri",
    "deliver",
    "hold",
    "is_running",
]
