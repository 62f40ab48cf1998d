"""Every shipped experiment can be built at every scale (`miniature.py` also trains and tests each one)."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.command_line import catalogue
from experiments.command_line.cli import SuiteCLI
from experiments.command_line.resolver import scales


@pytest.mark.parametrize("scale", scales())
@pytest.mark.parametrize("experiment", catalogue.experiments(), ids=lambda experiment: experiment.name)
def test_it_can_be_built(experiment: catalogue.Experiment, scale: str, workplace: Path) -> None:
    cli = SuiteCLI(["--config", experiment.name, "--scale", scale], run=False)
    assert cli.model.sample_rate == cli.datamodule.sample_rate
    assert list(cli.model.instruments) == list(cli.datamodule.instruments)
    cli.config_init.curriculum.setup(None, cli.model, "fit")  # everything that it schedules is there
    assert not list(workplace.iterdir())
