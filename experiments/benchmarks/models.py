"""Size and speed of every experiment's model, untrained."""

from __future__ import annotations

import argparse
import math
from typing import Any

from experiments.benchmarks.protocol import Row

TITLE = "Size and speed of the models"
EXPLANATION = (
    "Trainable parameters of each experiment's network and of the whole module, at each scale. The real-time "
    "factor is that of the leaderboard: seconds of processor time per second of audio for a whole transfer, "
    "analysis included, here of a 10 s tone, on one thread, best of three: below 1 is faster than real time."
)
CLIP_S = 10.0
REFERENCE_S = 4.0
REPEATS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--experiment", action="append", help="only this one (repeatable); default: all")
    parser.add_argument("--scale", action="append", help="only this one (repeatable); default: all")
    parser.add_argument("--real-time-factor", action="store_true", help="also time a transfer")


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure one row for each scale of each experiment that has a network."""
    from experiments.command_line import catalogue
    from experiments.command_line.resolver import scales

    found = [experiment.name for experiment in catalogue.experiments()]
    names = options.experiment or [name for name in found if not name.startswith("anchors/")]
    rows = [
        row
        for name in names
        for scale in options.scale or scales()
        if (row := measure_model(name, scale, options.real_time_factor))
    ]
    return rows


def measure_model(experiment: str, scale: str, with_speed: bool) -> Row | None:
    """Measure one row; ``None`` for a module without a network."""
    from experiments.command_line.cli import build_model

    module = build_model(experiment, scale)
    network = getattr(module, "network", None)
    if network is None:
        return None
    row: Row = {
        "experiment": experiment,
        "scale": scale,
        "network": type(network).__name__,
        "parameters": count_parameters(network),
        "module_parameters": count_parameters(module),
    }
    return row | ({"real_time_factor": real_time_factor(module)} if with_speed else {})


def count_parameters(module: Any) -> int:
    """Count the trainable values of a module."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def real_time_factor(module: Any) -> float:
    """Measure the real-time factor of a whole transfer, see `callbacks.transfer_cost.measure_cost`."""
    import torch

    from callbacks.transfer_cost import REAL_TIME_FACTOR, measure_cost

    def tone(seconds: float) -> torch.Tensor:
        # Five harmonics with a vibrato: something to track and to resynthesize.
        times = torch.arange(round(seconds * module.sample_rate)) / module.sample_rate
        phase = 2 * math.pi * 220 * times + 0.5 * torch.sin(2 * math.pi * 5 * times)
        return sum((0.2 / h * torch.sin(h * phase) for h in range(1, 6)), torch.zeros_like(times))[None]

    target = torch.zeros(1, dtype=torch.long)
    costs = measure_cost(module.eval(), tone(CLIP_S), tone(REFERENCE_S), target, REPEATS)
    return round(costs[REAL_TIME_FACTOR], 4)
