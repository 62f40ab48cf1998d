"""What holds for the losses of every architecture: they are logged alike in training and in validation."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
import torch

from datamodules.batch import TransferBatch
from lightning_modules import TimbreTransferModule
from tests.trainers import fit


class RandomStates(L.Callback):
    """Keeps the state of the random numbers before and after the last validation."""

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.before = torch.get_rng_state()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.after = torch.get_rng_state()


def assert_validation_logs_the_losses(
    module: TimbreTransferModule, batch: TransferBatch, needing_targets: Sequence[str] = ()
) -> None:
    """Train once and validate with and without targets: loss names are equal, and random numbers go on.

    Args:
        module: untrained.
        batch: of training and, without its features, of validation, as the data modules give them.
        needing_targets: the losses that are absent where there are no targets.
    """
    states = RandomStates()
    held_out = batch._replace(features=None, source_features=None)
    logged = fit(module, [batch], states, val=[held_out]).callback_metrics
    assert all(value.isfinite() for value in logged.values())
    assert torch.equal(states.before, states.after)
    train, validation = (
        {name.partition("/")[2] for name in logged if name.startswith(f"{stage}/")}
        for stage in ("train", "val")
    )
    metrics = set(module._evaluation.compute().means())
    assert not metrics & train
    with torch.no_grad():
        measures = set(module.measures(held_out, batch.source))
    assert validation - metrics - measures == train
    with torch.no_grad():
        without = module.eval()._measured(batch._replace(target=None, features=None), batch.source)
    assert all(value.isfinite() for value in without.values())
    assert train - set(without) == set(needing_targets) & train
