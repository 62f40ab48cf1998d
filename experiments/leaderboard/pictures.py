"""The leaderboard's pictures: quality against speed and size, and validation over processor time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from callbacks.tracking.mlflow_store import connect
from experiments.leaderboard.cells import heading
from experiments.leaderboard.ranking import Ranking
from experiments.leaderboard.systems import System
from metrics.registry import JOINT_SCORE, Stage, measured_in

SHOWN_ANCHORS = ("other_recording", "copy")
MARKERS = "osD^vPX*<>hp"


class LearningCurve(NamedTuple):
    """A validation metric over the processor time of a training."""

    minutes: np.ndarray
    """Processor time since the training began, without interruptions."""
    values: np.ndarray


def quality_and_cost(ranking: Ranking) -> bytes | None:
    """PNG: joint score against real-time factor and against parameters, for the systems of a ranking.

    ``None`` where no system has a joint score and a measured cost.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    entries = [e for e in ranking.entries if e.system.cost and JOINT_SCORE in e.metrics]
    if not entries:
        return None
    figure = _figure(11, 4.6)
    axes = figure.subplots(1, 2, sharey=True)
    styles = _styles([entry.system for entry in entries])
    for place, (axis, caption) in enumerate(
        zip(axes, ("real-time factor", "parameters of a transfer"), strict=True)
    ):
        for entry in entries:
            interval, cost = entry.metrics[JOINT_SCORE], entry.system.cost
            low, high = (interval.mean if x is None else x for x in (interval.low, interval.high))
            axis.errorbar(
                (cost or (0, 0))[place],
                interval.mean,
                yerr=[[interval.mean - low], [high - interval.mean]],
                label=entry.system.experiment,
                ms=8,
                lw=1,
                capsize=3,
                **styles[entry.system.experiment],
            )
        _anchor_levels(axis, ranking)
        axis.set(xscale="log", xlabel=caption, ylim=(-0.03, 1.05))
        axis.grid(alpha=0.3)
    axes[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[1].xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[0].axvline(1, color="grey", lw=1)
    axes[0].set_ylabel("joint score, 95 % interval")
    figure.suptitle(ranking.title, fontsize="medium")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    return _png(figure)


def learning_curves(found: Sequence[System], uri: str) -> bytes | None:
    """PNG: the validation metrics of every trained system; ``None`` where none was trained."""
    client = connect(uri)
    trained = [
        (s, curves) for s in found if not s.is_anchor and (curves := read_curves(client, s.runs[0].run_id))
    ]
    if not trained:
        return None
    metrics = measured_in(Stage.VALIDATION)
    figure = _figure(11, 6.4)
    styles = _styles([system for system, _ in trained])
    axes = figure.subplots(2, -(-len(metrics) // 2), sharex=True).ravel()
    for axis, metric in zip(axes, metrics, strict=False):
        for system, curves in trained:
            if metric.name in curves:
                style = styles[system.experiment] | {"marker": ".", "lw": 1}
                axis.plot(*curves[metric.name], label=system.experiment, **style)
        axis.set_title(heading(metric), fontsize="medium")
        axis.grid(alpha=0.3)
        axis.tick_params(labelbottom=True)
    for axis in axes[len(metrics) :]:
        axis.remove()
    figure.supxlabel("processor minutes of training", fontsize="medium")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    return _png(figure)


def read_curves(client: Any, run_id: str) -> Mapping[str, LearningCurve]:
    """The validation metrics of a run over processor time, by the metrics' names, for those that it has.

    Use of the processor is logged as a share of the time since the reading before (`SystemMetrics`), so the
    products of share and time add up to processor time, whatever else the machine did. The first share after
    a start is 0.
    """
    readings = client.get_metric_history(run_id, "system/cpu_percent")
    if len(readings) < 2:
        return {}
    seconds = np.diff([reading.timestamp for reading in readings], prepend=readings[0].timestamp) / 1000
    minutes = np.cumsum(seconds * [reading.value / 100 for reading in readings]) / 60
    steps = [reading.step for reading in readings]
    names = [metric.name for metric in measured_in(Stage.VALIDATION)]
    found = {name: client.get_metric_history(run_id, f"val/{name}") for name in names}
    return {
        name: LearningCurve(
            np.interp([point.step for point in points], steps, minutes),
            np.array([point.value for point in points]),
        )
        for name, points in found.items()
        if points
    }


def _anchor_levels(axis: Any, ranking: Ranking) -> None:
    for entry in ranking.entries:
        name, level = entry.system.experiment, entry.joint_score
        if entry.system.is_anchor and name in SHOWN_ANCHORS:
            axis.axhline(level, color="grey", lw=1, ls=":")
            axis.annotate(name, (0.01, level), xycoords=("axes fraction", "data"), fontsize="x-small")


def _styles(found: Sequence[System]) -> dict[str, dict[str, Any]]:
    """A colour for each architecture, a marker for each of its experiments."""
    architectures = sorted({system.architecture for system in found})
    styles: dict[str, dict[str, Any]] = {}
    for system in sorted(found, key=lambda system: (system.architecture, system.experiment)):
        same = [s for s in styles.values() if s["color"] == f"C{architectures.index(system.architecture)}"]
        styles.setdefault(
            system.experiment,
            {
                "color": f"C{architectures.index(system.architecture)}",
                "marker": MARKERS[len(same) % len(MARKERS)],
                "ls": ("-", "--", ":", "-.")[len(same) % 4],
            },
        )
    return styles


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()
