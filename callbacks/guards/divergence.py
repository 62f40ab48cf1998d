"""A training whose numbers have become infinite or NaN ends with a sentence, and keeps its checkpoints."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from callbacks.tracking.tracker import n_batches_done
from runtime.errors import UserError

LARGEST_LOSS = 1e12
"""No loss of audio comes near it; what does has left the numbers that a training can come back from."""


class DivergedError(UserError):
    """The numbers of a training are infinite or NaN."""


class Divergence(L.Callback):
    """Ends a training at a loss that is NaN, infinite or beyond `LARGEST_LOSS`.

    Args:
        every_n_batches: batches from one look at the losses to the next; a look waits for the device.
    """

    def __init__(self, every_n_batches: int = 10) -> None:
        self.every_n_batches = every_n_batches

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at what was logged of the batch."""
        if batch_idx % self.every_n_batches and not trainer.is_last_batch:
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith("train/") and not value.abs() < LARGEST_LOSS:  # NaN is not below it either
                raise diverged(trainer, f"{name} is {value.item():.3g}")


def require_finite_weights(trainer: L.Trainer) -> None:
    """Raise `DivergedError` where a weight is no finite number, before it comes into a checkpoint."""
    for name, weight in trainer.lightning_module.named_parameters():
        if not torch.isfinite(weight).all():
            raise diverged(trainer, f"weights in {name} are not finite")


def diverged(trainer: L.Trainer, what: str) -> DivergedError:
    """Make the error of a training that has diverged."""
    return DivergedError(
        f"The training diverged at step {n_batches_done(trainer)}: {what}. Checkpoints from before are kept; "
        "train with a lower learning rate, which `lr_find` helps to find."
    )
