"""A batch draws the same numbers whenever it is trained, and no two batches or processes do."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.checkpointing import BestAndLast
from callbacks.random_numbers import RandomNumbers
from tests.trainers import quiet_trainer


class Drawing(L.LightningModule):
    """Draws from every generator in training, and in validation too."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.drawn: list[tuple[float, ...]] = []

    def training_step(self, batch, batch_idx):
        self.drawn.append((torch.rand(()).item(), np.random.rand(), random.random()))
        return self.weight

    def validation_step(self, batch, batch_idx):
        self.log("val/error", torch.rand(()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("seeded", [True, False])
def test_a_resumed_training_draws_what_one_without_a_break_does(seeded: bool, tmp_path: Path) -> None:
    def drawn(epochs: int, folder: Path, resumed: Path | None = None) -> list[tuple[float, ...]]:
        L.seed_everything(7 if resumed is None else 8, verbose=False)  # the checkpoint's seed holds
        module, checkpoints = Drawing(), BestAndLast("val/error", dirpath=str(folder))
        callbacks = [checkpoints, *([RandomNumbers()] if seeded else [])]
        trainer = quiet_trainer(max_epochs=epochs, callbacks=callbacks, enable_checkpointing=True)
        loaders = DataLoader([0.0] * 3), DataLoader([0.0])
        trainer.fit(module, *loaders, ckpt_path=resumed, weights_only=True)
        return module.drawn

    whole = drawn(2, tmp_path / "whole")
    parts = drawn(1, tmp_path / "parts")
    parts += drawn(2, tmp_path / "parts", tmp_path / "parts" / "last.ckpt")
    assert len(set(whole)) == 6
    assert (parts == whole) == seeded


def test_processes_draw_differently() -> None:
    callback, first = RandomNumbers(), []
    for rank in (0, 1):
        trainer = SimpleNamespace(current_epoch=0, global_rank=rank)
        callback.on_train_batch_start(trainer, None, None, 0)  # type: ignore[arg-type]
        first.append(torch.rand(()).item())
    assert first[0] != first[1]
