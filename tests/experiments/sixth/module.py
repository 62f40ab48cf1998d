"""The Lightning module of sixth: what it makes of a recording, and which losses train it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from datamodules.batch import TransferBatch
from lightning_modules import TimbreTransferModule
from tests.experiments.sixth.losses import LossWeights, magnitude, waveform
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
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (copied below)
        optimizer: OptimizerCallable = torch.optim.Adam,
    ) -> None:
        super().__init__(sample_rate, instruments)
        self.loss_weights = replace(loss_weights)
        self.network = ToneColour(len(instruments), n_taps)
        self.optimizer = optimizer

    def transfer(
        self, source: Tensor, reference: Tensor | None = None, target_instrument: Tensor | None = None
    ) -> Tensor:
        """Filter ``source`` for ``target_instrument``."""
        return self.network(source, target_instrument)

    def loss_terms(self, batch: TransferBatch) -> dict[str, Tensor]:
        """Compare the transfer with the target."""
        preds, target = self.transfer_batch(batch), self.targets_of(batch)
        return {"magnitude": magnitude(preds, target), "waveform": waveform(preds, target)}
