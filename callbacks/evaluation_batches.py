"""What callbacks share that look at the batches of a validation or a test, one after another."""

from __future__ import annotations

from typing import Any, Literal

import lightning as L
from torch import Tensor

from datamodules.batch import TransferBatch

Stage = Literal["val", "test"]
"""The evaluation that a batch belongs to, as in the names of logged values."""


class EvaluationBatches(L.Callback):
    """Gives a subclass every batch of a validation and of a test, together with its transfers.

    A subclass overrides `begin`, which forgets what was there before, and `collect`.
    """

    def begin(self) -> None:
        """Start without any batch; called before the first one of every validation and test."""
        raise NotImplementedError

    def collect(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        batch: TransferBatch,
        transfers: Tensor,
        stage: Stage,
    ) -> None:
        """Take what is needed from a batch.

        Args:
            trainer: the trainer that evaluates.
            module: the module that is evaluated.
            batch: of this process.
            transfers: ``(B, T)``, what the module made of the batch's sources.
            stage: ``val`` or ``test``, as in the names of logged values.
        """
        raise NotImplementedError

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start without any batch."""
        self.begin()

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start without any batch."""
        self.begin()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect from a validation batch."""
        self.collect(trainer, pl_module, batch, outputs, "val")

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect from a test batch."""
        self.collect(trainer, pl_module, batch, outputs, "test")
