"""The leaderboard's pictures: quality against speed and size, and how validation went over processor time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from callbacks.tracking.mlflow_store import connect
from experiments.leaderboard.systems import JOINT_SCORE, Group, System, joint_score

VALIDATION = {
    "val/mfcc_distance": "MFCC distance ↓",
    "val/chroma_cosine": "chroma cosine ↑",
    "val/mr_stft": "MR-STFT ↓",
    "val/lsd_mel_db": "LSD mel, dB ↓",
}
SHOWN_ANCHORS = ("other_recording", "copy")
MARKERS = "osD^vPX*<>hp"


class Curve(NamedTuple):
    """A validation metric over training."""

    minutes: np.ndarray
    """Of processor time since the training began, interruptions left out."""
    values: np.ndarray


def quality_and_cost(group: Group) -> bytes | None:
    """PNG: joint score against real-time factor and against parameters, for the systems of a group.

    ``None`` where no system has a joint score and a measured cost.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    lines = [line for line in group.lines if line.system.cost and JOINT_SCORE in line.metrics]
    if not lines:
        return None
    figure = _figure(11, 4.6)
    axes = figure.subplots(1, 2, sharey=True)
    styles = _styles([line.system for line in lines])
    for place, (axis, caption) in enumerate(
        zip(axes, ("real-time factor", "parameters of a transfer"), strict=True)
    ):
        for line in lines:
            interval, cost = line.metrics[JOINT_SCORE], line.system.cost
            low, high = (interval.mean if x is None else x for x in (interval.low, interval.high))
            axis.errorbar(
                (cost or (0, 0))[place],
                interval.mean,
                yerr=[[interval.mean - low], [high - interval.mean]],
                label=line.system.experiment,
                ms=8,
                lw=1,
                capsize=3,
                **styles[line.system.experiment],
            )
        _anchor_levels(axis, group)
        axis.set(xscale="log", xlabel=caption, ylim=(-0.03, 1.05))
        axis.grid(alpha=0.3)
    axes[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[1].xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[0].axvline(1, color="grey", lw=1)
    axes[0].set_ylabel("joint score, 95 % interval")
    figure.suptitle(group.title, fontsize="medium")
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
    figure = _figure(11, 6.4)
    styles = _styles([system for system, _ in trained])
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for axis, (metric, caption) in zip(axes, VALIDATION.items(), strict=True):
        for system, curves in trained:
            if metric in curves:
                style = styles[system.experiment] | {"marker": ".", "lw": 1}
                axis.plot(*curves[metric], label=system.experiment, **style)
        axis.set_title(caption, fontsize="medium")
        axis.grid(alpha=0.3)
    figure.supxlabel("processor minutes of training", fontsize="medium")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    return _png(figure)


def read_curves(client: Any, run_id: str) -> Mapping[str, Curve]:
    """The validation metrics of a run over processor time, for those that it has.

    Use of the processor is logged as a share of the time since the reading before (`SystemMetrics`), so their
    products add up to processor time, whatever else the machine did; the first after a start is 0.
    """
    readings = client.get_metric_history(run_id, "system/cpu_percent")
    if len(readings) < 2:
        return {}
    seconds = np.diff([reading.timestamp for reading in readings], prepend=readings[0].timestamp) / 1000
    minutes = np.cumsum(seconds * [reading.value / 100 for reading in readings]) / 60
    steps = [reading.step for reading in readings]
    found = {metric: client.get_metric_history(run_id, metric) for metric in VALIDATION}
    return {
        metric: Curve(
            np.interp([point.step for point in points], steps, minutes),
            np.array([point.value for point in points]),
        )
        for metric, points in found.items()
        if points
    }


def _anchor_levels(axis: Any, group: Group) -> None:
    for line in group.lines:
        if line.system.is_anchor and line.system.experiment in SHOWN_ANCHORS:
            level = joint_score(line)
            axis.axhline(level, color="grey", lw=1, ls=":")
            axis.annotate(
                line.system.experiment, (0.01, level), xycoords=("axes fraction", "data"), fontsize="x-small"
            )


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
