"""The progress bar of a training: which epoch of how many that will really be done."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from callbacks.curriculum import CurriculumError, training_batches


class Progress(RichProgressBar):
    """Lightning's bar, which counts epochs from 1 up to where the training ends by its steps.

    A config says how many steps it trains, and leaves ``max_epochs`` at a number that is never reached.
    """

    def _get_train_description(self, current_epoch: int) -> str:
        try:
            n_epochs = -(-training_batches(self.trainer) // max(1, int(self.trainer.num_training_batches)))
        except CurriculumError:  # only its clock ends the training
            return f"Epoch {current_epoch + 1}"
        return f"Epoch {current_epoch + 1} of {n_epochs}"

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """See the base class; without the run's name, which is printed once at the start."""
        shown = dict(super().get_metrics(trainer, pl_module))
        shown.pop("v_num", None)
        return shown
