"""``python -m experiments.run anchors --config NAME``: every anchor on the data of an experiment.

An anchor is a transfer without training (`lightning_modules.anchors`) that goes through the same test and is
a run like any other, so that a leaderboard shows what its numbers are worth.
"""

from __future__ import annotations

from experiments.command_line.catalogue import Experiment, anchors
from experiments.command_line.cli import SuiteCLI
from experiments.command_line.resolver import ResolvedConfig, resolve
from lightning_modules.anchors.modules import AnchorError
from runtime.errors import UserError
from runtime.messages import say

SHARED_KEYS = ("data", "seed_everything", "runs_dir")
"""What an anchor takes from an experiment; model, trainer and callbacks are the architecture's own."""


def test_anchors(options: list[str]) -> None:
    """Test all anchors, one run each, with the options of a ``test`` command line.

    Anchors that are made of what the data lack, such as targets of recordings, are left out.
    """
    asked = resolve(options)
    if not asked.experiment:
        raise UserError("`anchors` needs an experiment whose data they are tested on: --config NAME.")
    for number, anchor in enumerate(anchors(), start=1):
        print(f"\nAnchor {number} of {len(anchors())}: {anchor.description}", flush=True)
        try:
            SuiteCLI(["test"], resolved=on_data_of(asked, anchor))
        except AnchorError as error:
            say(f"Left out: {error}")


def on_data_of(asked: ResolvedConfig, anchor: Experiment) -> ResolvedConfig:
    """An anchor with an experiment's data, scale and options."""
    base = resolve(["--scale", asked.scale]).layers
    own = resolve(["--config", anchor.name, "--scale", asked.scale])
    shared = ({key: layer[key] for key in SHARED_KEYS if key in layer} for layer in asked.layers)
    layers = [*base, *shared, *own.layers[len(base) :]]
    return ResolvedConfig(own.experiment, asked.scale, layers, asked.options)
