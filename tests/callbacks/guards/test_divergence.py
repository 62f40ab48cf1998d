"""A training that diverges ends at once, and leaves the checkpoints from before as they were."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.checkpointing import BestAndLast
from callbacks.guards.divergence import DivergedError, Divergence
from tests.trainers import quiet_trainer

N_BATCHES = 4


class Squared(L.LightningModule):
    """Gradient descent on w² from w = 1: every step multiplies w by 1 − 2 · rate."""

    def __init__(self, rate: float = 5.0) -> None:
        super().__init__()
        self.rate = rate
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.weight**2
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/error", self.weight.abs())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def train(module: Squared, folder: Path, *watchers: L.Callback, monitor: str = "val/error") -> None:
    """Epochs of four batches, with a checkpoint after each."""
    data = DataLoader(torch.zeros(N_BATCHES))
    checkpoints = BestAndLast(monitor, dirpath=str(folder))
    trainer = quiet_trainer(max_epochs=9, callbacks=[checkpoints, *watchers], enable_checkpointing=True)
    trainer.fit(module, data, data)


def test_a_loss_beyond_all_bounds_ends_the_training_and_keeps_its_checkpoints(tmp_path: Path) -> None:
    # w is multiplied by −9, so the loss of batch k is 81^(k−1), and that of batch 8 is 2.3e13.
    with pytest.raises(DivergedError, match=r"diverged at step 8: train/loss is 2\.29e\+13\. Checkpoints"):
        train(Squared(), tmp_path, Divergence(every_n_batches=1))
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["global_step"] == N_BATCHES and kept["state_dict"]["weight"].item() == 9.0**N_BATCHES


@pytest.mark.parametrize("rate", [1e30, float("nan")])
def test_a_loss_that_is_no_number_is_seen_before_the_epoch_ends(tmp_path: Path, rate: float) -> None:
    with pytest.raises(DivergedError, match=r"diverged at step 4: train/loss is (nan|inf)"):
        train(Squared(rate), tmp_path, Divergence(every_n_batches=100))
    assert not list(tmp_path.iterdir())


def test_no_checkpoint_has_weights_that_are_not_finite(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="weights in weight are not finite"):
        train(Squared(1e3), tmp_path)
    for path in tmp_path.glob("*.ckpt"):
        assert torch.isfinite(torch.load(path, weights_only=True)["state_dict"]["weight"])


def test_a_monitored_value_that_no_validation_gives_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"checkpoint.monitor is val/eror.*Did you mean 'val/error'\?"):
        train(Squared(), tmp_path, monitor="val/eror")
