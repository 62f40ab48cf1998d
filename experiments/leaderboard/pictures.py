"""The leaderboard's pictures: quality against speed and size, and validation over processor time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from callbacks.tracking.mlflow_store import Unreachable, connect
from experiments.leaderboard.cells import heading
from experiments.leaderboard.ranking import Ranking
from experiments.leaderboard.systems import System
from metrics.registry import JOINT_SCORE, Stage, measured_in
from runtime.databases import reason

SHOWN_ANCHORS = ("other_recording", "copy")
MARKERS = "osD^vPX*<>hp"


class LearningCurve(NamedTuple):
    """A validation metric over the processor time of a training."""

    minutes: np.ndarray
    """Processor time since the training began, without interruptions."""
    values: np.ndarray


Curves = Mapping[str, LearningCurve]
"""The learning curves of a run, by the names of their metrics."""


def quality_and_cost(ranking: Ranking, columns: int = 2) -> bytes | None:
    """PNG: joint score against real-time factor and against parameters, for the systems of a ranking.

    Args:
        ranking: the systems to draw, of which those with a joint score and a measured cost are shown.
        columns: 2 for the two panels side by side, 1 for one below the other, as a phone shows them.

    Returns:
        ``None`` where nothing can be shown.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    entries = [e for e in ranking.entries if e.system.cost and JOINT_SCORE in e.metrics]
    if not entries:
        return None
    figure, axes = _panels(2, columns, len(entries))
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
        axis.set(xscale="log", xlabel=caption, ylim=(-0.03, 1.05), ylabel="joint score, 95 % interval")
    axes[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[1].xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[0].axvline(1, color="grey", lw=1)
    figure.suptitle(ranking.title, fontsize="medium")
    return _png(figure)


def all_curves(found: Sequence[System], uri: str) -> list[tuple[System, Curves]]:
    """The learning curves of every trained system that has some; of several trainings those of the first.

    Raises:
        Unreachable: the server does not answer.
    """
    try:
        client = connect(uri)
        curves = [(s, read_curves(client, s.runs[0].run_id)) for s in found if not s.is_anchor]
    except Exception as error:  # MLflow has a different error per store
        raise Unreachable(reason(error)) from error
    return [(system, of_system) for system, of_system in curves if of_system]


def learning_curves(trained: Sequence[tuple[System, Curves]], columns: int = 3) -> bytes | None:
    """PNG: the validation metrics of the systems that `all_curves` gives; ``None`` where there are none."""
    metrics = [m for m in measured_in(Stage.VALIDATION) if any(m.name in curves for _, curves in trained)]
    if not metrics:
        return None
    figure, axes = _panels(len(metrics), columns, len(trained))
    styles = _styles([system for system, _ in trained])
    for axis, metric in zip(axes, metrics, strict=True):
        for system, curves in trained:
            if metric.name in curves:
                style = styles[system.experiment] | {"marker": ".", "lw": 1}
                axis.plot(*curves[metric.name], label=system.experiment, **style)
        axis.set_title(heading(metric), fontsize="medium")
    figure.supxlabel("processor minutes of training", fontsize="medium")
    return _png(figure)


def read_curves(client: Any, run_id: str) -> Curves:
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


def _panels(n: int, columns: int, n_systems: int) -> tuple[Any, list[Any]]:
    """A figure with ``n`` panels of one size in a grid, and room for a legend of ``n_systems``."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    rows = -(-n // columns)
    legend_inches = 0.18 * n_systems if columns == 1 else 0
    width = 4.8 if columns == 1 else 11
    figure = Figure(figsize=(width, 0.8 + 3.4 * rows + legend_inches), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[n:]:
        axis.remove()
    for axis in axes[:n]:
        axis.grid(alpha=0.3)
    return figure, list(axes[:n])


def _png(figure: Any) -> bytes:
    """The figure with a legend of every system once: beside its panels, or below them on a phone."""
    shown = {
        label: line
        for axis in figure.axes
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    is_narrow = figure.get_figwidth() < 6
    place = "outside lower center" if is_narrow else "outside right center"
    figure.legend(shown.values(), shown.keys(), loc=place, fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150 if is_narrow else 90)
    return buffer.getvalue()
