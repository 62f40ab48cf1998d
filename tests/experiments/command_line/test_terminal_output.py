"""The bar of a training counts the epochs that there will be."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from experiments.command_line.terminal_output import Progress
from tests.callbacks.guards.test_divergence import Squared
from tests.trainers import quiet_trainer


class Descriptions(Progress):
    """Keeps what the bar says of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self.said.append(self._get_train_description(trainer.current_epoch))
        assert "v_num" not in self.get_metrics(trainer, pl_module)


@pytest.mark.parametrize("length", [{"max_steps": 10, "max_epochs": 10000}, {"max_epochs": 3}])
def test_epochs_are_counted_from_one_to_the_last(length: dict[str, int]) -> None:
    bar = Descriptions()
    trainer = quiet_trainer(**length, callbacks=[bar], enable_progress_bar=True)
    trainer.fit(Squared(), DataLoader(torch.zeros(4)))
    assert bar.said == ["Epoch 1 of 3", "Epoch 2 of 3", "Epoch 3 of 3"]
