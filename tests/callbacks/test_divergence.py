"""A training that diverges ends at once, and leaves the checkpoints from before as they were."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.checkpointing import BestAndLast
from callbacks.divergence import DivergedError, Divergence
from tests.trainers import quiet_trainer

N_BATCHES = 4


class Squared(L.LightningModule):
    """Gradient descent on w² with a rate of 10³ multiplies w by −1999 in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.weight**2
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/error", self.weight.abs())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e3)


def train(folder: Path, *watchers: L.Callback, monitor: str = "val/error") -> None:
    """Epochs of four batches, with a checkpoint after each."""
    data = DataLoader(torch.zeros(N_BATCHES))
    checkpoints = BestAndLast(monitor, dirpath=str(folder))
    trainer = quiet_trainer(max_epochs=9, callbacks=[checkpoints, *watchers], enable_checkpointing=True)
    trainer.fit(Squared(), data, data)


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_its_checkpoints(tmp_path: Path) -> None:
    # 1999^11.6 is the largest float32; the loss, which is the square, is infinite from the seventh batch on.
    with pytest.raises(DivergedError, match=r"diverged at step 7: train/loss is inf\. Checkpoints .* kept"):
        train(tmp_path, Divergence(every_n_batches=1))
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == N_BATCHES
    assert kept["state_dict"]["weight"].item() == pytest.approx(1999.0**4, rel=1e-5)


def test_no_checkpoint_has_weights_that_are_not_finite(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="weights in weight are not finite"):
        train(tmp_path)
    for path in tmp_path.glob("*.ckpt"):
        assert torch.isfinite(torch.load(path, weights_only=True)["state_dict"]["weight"])


def test_a_monitored_value_that_no_validation_gives_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"checkpoint.monitor is val/eror.*Did you mean 'val/error'\?"):
        train(tmp_path, monitor="val/eror")
