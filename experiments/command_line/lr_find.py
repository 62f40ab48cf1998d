"""``python -m experiments.run lr_find --config NAME``: the learning-rate range test of an experiment.

Takes the options of ``fit``, and ``--range_test.lowest``, ``.highest`` and ``.n_batches``. The experiment's
curricula are left out: the module's own weights hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import lightning as L

from callbacks.plots.rate_curves import RateCurve, draw_curves
from callbacks.range_test import RangeTest, run_range_test
from callbacks.run_record import RunRecord
from callbacks.tracking.tracker import RunTracker, tracker_of
from experiments.command_line.cli import SuiteCLI
from experiments.command_line.keys import RANGE_TEST, SECTIONS
from experiments.command_line.launchers import process_settings
from experiments.command_line.trainer_settings import stepping_settings

ENDLESS: dict[str, Any] = {
    "max_epochs": -1,
    "max_steps": -1,
    "max_time": None,
    "limit_val_batches": 0,
    "logger": False,
    "enable_checkpointing": False,
}
"""The range test ends its trainings itself, and logs nothing but its curves."""


class RangeTestCLI(SuiteCLI):
    """Build an experiment as ``fit`` does, and test learning rates instead of training it.

    Args:
        options: of the command line, without the subcommand.
    """

    sections = SECTIONS | RANGE_TEST

    def __init__(self, options: list[str]) -> None:
        super().__init__(["fit", *options])

    def train(self, **arguments: Any) -> None:
        """Run the test and log what it found."""
        settings = RangeTest(**self._get(self.config, "range_test"))
        curves = run_range_test(self.model, self.datamodule, self._make_trainer, settings)
        print(summary(curves))
        if (tracker := tracker_of(self.trainer)) is not None:
            self._record()
            log_curves(tracker, curves)
            tracker.finalize("success")

    def after_fit(self) -> None:
        """Nothing was trained, so there is nothing to test."""

    def _make_trainer(self, ramp: L.Callback) -> L.Trainer:
        config = self._get(self.config_init, "trainer")
        known = process_settings(vars(config)) | stepping_settings(vars(config), self.model)
        return self.trainer_class(**{**config, **known, **ENDLESS, "callbacks": [ramp]})

    def _record(self) -> None:
        record = next(c for c in self.trainer.callbacks if isinstance(c, RunRecord))  # type: ignore[attr-defined]
        record.save_config(self.trainer, self.model, "fit")


def log_curves(tracker: RunTracker, curves: Mapping[str, RateCurve]) -> None:
    """Picture, JSON file, values over batches, and the suggestions as tags."""
    tracker.set_tags({"range_test": "true"})
    for name, curve in curves.items():
        key = name.replace(" ", "_").replace("+", "_")
        tracker.set_tags({f"suggested_rate.{key}": curve.suggestion()})
        for step, values in enumerate(zip(curve.rates, curve.losses, curve.smoothed(), strict=True)):
            labels = (f"lr_find/{key}/{label}" for label in ("rate", "loss", "smoothed"))
            tracker.log_metrics(dict(zip(labels, values, strict=True)), step)
    draw_curves(curves, tracker.run_dir / "lr_find.png")
    path = tracker.run_dir / "lr_find.json"
    path.write_text(json.dumps({name: _as_json(curve) for name, curve in curves.items()}, indent=1))
    tracker.log_artifact(path)
    tracker.log_artifact(path.with_suffix(".png"))
    print(f"The curves are in {path.with_suffix('.png')}.")


def _as_json(curve: RateCurve) -> dict[str, Any]:
    losses = [loss if math.isfinite(loss) else None for loss in curve.losses.tolist()]
    return {"rates": curve.rates.tolist(), "losses": losses, "suggestion": curve.suggestion()}


def summary(curves: Mapping[str, RateCurve]) -> str:
    """A line for each curve."""
    lines = [f"{'optimizer of':<32} {'suggestion':>10} {'lowest loss at':>15} {'tested to':>10}"]
    for name, curve in curves.items():
        suggestion = curve.suggestion()
        text = "none" if suggestion is None else f"{suggestion:.1e}"
        lines.append(f"{name:<32} {text:>10} {curve.lowest():>15.1e} {curve.rates[-1]:>10.1e}")
    return "\n".join(lines)
