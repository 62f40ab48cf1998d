"""Parts of another run's checkpoint: their weights arrive and stand still, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from callbacks.pretrained import PretrainedParts
from experiments import checkpoints
from experiments.errors import UserError
from lightning_modules.transfer_module import TimbreTransferModule
from tests.experiments.conftest import Trained, working_in
from tests.experiments.sixth.module import SixthModule
from tests.melgan.conftest import small_vocoder


@pytest.fixture(autouse=True)
def example_architecture_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "TRUSTED", (*checkpoints.TRUSTED, "tests.experiments"))
