"""Every metric of one transfer: the work of one process of a test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metrics.evaluation.analyses import Analyses
from metrics.evaluation.joint_scoring import joint_scores
from metrics.evaluation.transfer import Transfer, as_batch, side_of
from metrics.registry import Metric, Needs, Side
from metrics.timbre_space.space import EMBEDDING_SIZE
from runtime.errors import UserError


class EvaluationSetup(NamedTuple):
    """What all transfers of a test share; it pickles, so that other processes can have it."""

    sample_rate: int
    metrics: Sequence[Metric]
    """What is measured, as far as a transfer has it."""
    space_path: Path | None = None
    """The corpus' timbre space; ``None``: no metric that needs one."""
    analyses_folder: Path | None = None
    """Where analyses of sources and targets are kept; ``None``: nowhere."""


class TransferValues(NamedTuple):
    """What a test finds out about one transfer."""

    metrics: dict[str, float]
    """NaN where a metric does not exist for the transfer."""
    preds_windows: np.ndarray
    """``(W, 64)`` timbre embeddings of the output; W is 0 without a timbre space."""
    target_windows: np.ndarray
    """``(W, 64)`` of the target, or of the reference where there is no target."""


def measure(transfer: Transfer, setup: EvaluationSetup) -> TransferValues:
    """Compute every metric of a transfer. An output with infinite or NaN samples has NaN everywhere."""
    if not np.isfinite(transfer.preds).all():
        return unmeasured(transfer, setup)
    judge = _Judge(transfer, setup)
    return TransferValues({metric.name: judge.value(metric) for metric in judge.metrics()}, *judge.windows())


def unmeasured(transfer: Transfer, setup: EvaluationSetup) -> TransferValues:
    """NaN for every metric that `measure` would give."""
    metrics = _Judge(transfer, setup).metrics()
    return TransferValues({metric.name: math.nan for metric in metrics}, _NO_WINDOWS, _NO_WINDOWS)


_NO_WINDOWS = np.zeros((0, EMBEDDING_SIZE), np.float32)


class _Judge:
    """Measures one transfer by one metric at a time."""

    def __init__(self, transfer: Transfer, setup: EvaluationSetup) -> None:
        self.transfer = transfer
        self.sample_rate = setup.sample_rate
        self.analyses = _analyses(setup.analyses_folder, setup.space_path)
        self.space = self.analyses.space
        self.measures_sets = any(metric.needs is Needs.EMBEDDINGS for metric in setup.metrics)
        self._wanted = setup.metrics

    def metrics(self) -> list[Metric]:
        """The metrics that this transfer can be measured by."""
        return [metric for metric in self._wanted if self.can_measure(metric)]

    def can_measure(self, metric: Metric) -> bool:
        """Whether the transfer has what the metric compares, and the test what its function needs."""
        if metric.needs is Needs.EMBEDDINGS:  # a metric of the whole set
            return False
        if metric.needs in (Needs.TIMBRE_SPACE, Needs.SCORES) and self.space is None:
            return False
        if metric.needs is Needs.MELODY and not self.transfer.is_monophonic:
            return False
        return metric.compared_with is not Side.TARGET or self.transfer.target is not None

    def value(self, metric: Metric) -> float:
        """The metric of this transfer, which has it."""
        if metric.needs is Needs.SCORES:
            return self._scores[metric.name]
        return float(metric.function(*self._arguments(metric)))

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        """``(W, 64)`` embeddings of output and target, for the metrics of the whole set."""
        if self.space is None or not self.measures_sets:
            return _NO_WINDOWS, _NO_WINDOWS
        sides = (self.transfer.preds, side_of(self.transfer, Side.TIMBRE))
        preds, target = (self.space.embed_windows(as_batch(side))[0].numpy() for side in sides)
        return preds, target

    @cached_property
    def _scores(self) -> dict[str, float]:
        return joint_scores(self.transfer, self.sample_rate, self.analyses)

    def _arguments(self, metric: Metric) -> tuple[Any, ...]:
        """What the metric's function is called with, as `metrics.registry.Needs` says."""
        preds = as_batch(self.transfer.preds)
        if metric.compared_with is Side.INSTRUMENT:
            return preds, [self.transfer.target_instrument], self.space
        other = side_of(self.transfer, metric.compared_with)
        match metric.needs:
            case Needs.NOTES:
                # An output does not recur: it is heard here, so that only memory holds its notes.
                self.analyses.notes(self.transfer.preds, self.sample_rate, keep=False)
                return preds, as_batch(other), self.sample_rate, self.analyses.notes
            case Needs.MELODY:
                heard = self.analyses.pitch(self.transfer.preds, self.sample_rate, keep=False)
                return heard, self.analyses.pitch(other, self.sample_rate)
            case Needs.TIMBRE_SPACE:
                return preds, as_batch(other), self.space
        return preds, as_batch(other), self.sample_rate


@lru_cache(maxsize=2)
def _analyses(folder: Path | None, space_path: Path | None) -> Analyses:
    """One memory for all transfers that this process measures in a test."""
    if space_path is None:
        return Analyses(folder)
    from metrics.timbre_space.training import load_timbre_space

    space = load_timbre_space(space_path)
    if space is None:
        raise UserError(f"The timbre space {space_path} is gone or damaged; start the test again.")
    return Analyses(folder, space)
