"""The history of every logged value of training and validation in one picture, when a training has ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import lightning as L

from callbacks.tracking.events import Metrics
from callbacks.tracking.outbox import Journal
from callbacks.tracking.tracker import tracker_of
from runtime.files import write_beside

HISTORIES = "histories.png"
STAGES = {"train": "tab:blue", "val": "tab:orange"}
N_COLUMNS = 4

History = dict[int, float]
"""The values of one name by training step."""


class Histories(L.Callback):
    """Log ``histories.png``: a panel for each loss and metric, with its histories in training and validation.

    They reach back to the beginning of the run, also where it was resumed.
    """

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the histories that are in the run's journal."""
        tracker = tracker_of(trainer)
        if tracker is None:
            return
        histories = read_histories(Journal(tracker.run_dir))
        if histories:
            draw(histories, tracker.run_dir / HISTORIES)
            tracker.log_artifact(tracker.run_dir / HISTORIES)


def read_histories(journal: Journal) -> dict[str, dict[str, History]]:
    """Read every value that training or validation logged: ``{name: {stage: history}}``, sorted by name.

    Of a step that was trained twice, before and after a resumption, the later value counts.
    """
    found: dict[str, dict[str, History]] = defaultdict(lambda: defaultdict(dict))
    for event, _ in journal.entries():
        if not isinstance(event, Metrics):
            continue
        for key, value in event.values.items():
            stage, _, name = key.partition("/")
            if stage in STAGES:
                found[name][stage][event.step] = value
    return {name: dict(found[name]) for name in sorted(found)}


def draw(histories: Mapping[str, Mapping[str, History]], path: Path) -> None:
    """Draw a panel for each name into a PNG file, which is written whole or not at all."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    n_rows = -(-len(histories) // N_COLUMNS)
    figure = Figure(figsize=(3.2 * N_COLUMNS, 2.2 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, N_COLUMNS, squeeze=False).ravel()
    for axis, (name, stages) in zip(axes, histories.items(), strict=False):
        axis.set_title(name, fontsize="medium")
        for stage, history in sorted(stages.items()):
            steps = sorted(history)
            marker = "." if len(steps) < 20 else None
            values = [history[step] for step in steps]
            axis.plot(steps, values, color=STAGES[stage], marker=marker, lw=1, label=stage)
        axis.legend(fontsize="small")
    for axis in axes[len(histories) :]:  # left over in the last row
        axis.set_axis_off()
    figure.supxlabel("training step", fontsize="medium")
    with write_beside(path) as file:
        figure.savefig(file, format="png", dpi=80)
