"""``python -m experiments.run anchors --config NAME``: every anchor on the data of an experiment.

An anchor is a transfer without training (`lightning_modules.anchors`) that goes through the same test and is
a run like any other, so that a leaderboard shows what its numbers are worth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from experiments.command_line import catalogue
from experiments.command_line.cli import SuiteCLI
from runtime.errors import UserError

GROUP = "anchors"
SHARED_KEYS = ("data", "seed_everything", "runs_dir")
"""What an anchor takes from an experiment; model, trainer and callbacks are the architecture's own."""


def test_anchors(options: list[str]) -> None:
    """Test all anchors, one run each, with the options of a ``test`` command line."""
    request = catalogue.read_request(options)
    if not request.experiment:
        raise UserError("`anchors` needs an experiment whose data they are tested on: --config NAME.")
    anchors = [experiment for experiment in catalogue.experiments() if experiment.group == GROUP]
    with tempfile.TemporaryDirectory() as folder:
        layers = _layers(request.layers, Path(folder))
        for number, anchor in enumerate(anchors, start=1):
            print(f"\nAnchor {number} of {len(anchors)}: {anchor.description}", flush=True)
            name = anchor.name.rpartition("/")[2]
            names = ["--scale", request.scale, "--experiment", name]
            SuiteCLI(["test", *layers, "--config", str(anchor.path), *names, *request.options])


def _layers(files: list[Path], folder: Path) -> list[str]:
    """Copies of the experiment's layers that hold only what anchors share, as ``--config`` arguments."""
    arguments: list[str] = []
    for number, file in enumerate(files):
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        copy = folder / f"{number}_{file.name}"
        copy.write_text(yaml.safe_dump({key: content[key] for key in SHARED_KEYS if key in content}))
        arguments += ["--config", str(copy)]
    return arguments
