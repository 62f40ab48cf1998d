"""The Lightning module of the sixth architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from datamodules.batch import TransferBatch
from lightning_modules.transfer_module import TimbreTransferModule
from tests.experiments.sixth import losses
from tests.experiments.sixth.network import ToneColour


class SixthModule(TimbreTransferModule):
    """Give a source the tone colour of an instrument with one learned filter.

    Args:
        sample_rate: rate in Hz of all audio.
        instruments: names behind the instrument ids.
        n_taps: length of the filters in samples.
        loss_weights: weight of every loss term.
        optimizer: makes the optimizer.
    """

    def __init__(
        self,
        sample_rate: int,
        instruments: Sequence[str] = (),
        n_taps: int = 33,
        loss_weights: losses.LossWeights = losses.LossWeights(),  # noqa: B008  (never changed)
        optimizer: OptimizerCallable = torch.optim.Adam,
    ) -> None:
        super().__init__(sample_rate, instruments)
        self.save_hyperparameters()
        self.network = ToneColour(len(instruments), n_taps)
        self.loss_weights = loss_weights
        self.optimizer = optimizer

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Filter ``source`` for ``target_instrument``."""
        return self.network(source, target_instrument)

    def training_step(self, batch: TransferBatch, batch_idx: int) -> Tensor:
        """Weigh and log every term once."""
        preds = self.transfer(batch.source, None, batch.target_instrument)
        terms = {name: getattr(losses, name)(preds, batch.target) for name in asdict(self.loss_weights)}
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return sum(weight * terms[name] for name, weight in asdict(self.loss_weights).items())

    def configure_optimizers(self) -> Any:
        """One optimizer for everything."""
        return self.optimizer(self.parameters())
