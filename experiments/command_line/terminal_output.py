"""What a run shows in a terminal: its progress, and nothing of libraries that a user can do nothing with."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from callbacks.curriculum import CurriculumError, training_batches

NOISE = (
    r"LightningCLI's args parameter",
    r".*isinstance\(treespec, LeafSpec\)",
    # Our samplers begin where the checkpoint's epoch was left, without the protocol that Lightning looks for.
    r"You're resuming from a checkpoint that ended before the epoch",
    # Tables are gathered from all processes before their means are logged.
    r"It is recommended to use `self.log\('(val|test)/.*sync_dist=True",
    r"The number of training batches .* is smaller than the logging interval",
    r"Checkpoint directory .* exists and is not empty",
    # A best checkpoint is looked for after training batches, too, before there was a validation.
    r"`ModelCheckpoint\(monitor=.*\)` could not find the monitored key",
    # The strategy that GANs and curricula need looks for unused parameters where there are none, too.
    r"find_unused_parameters=True was specified",
    # A CPU has no float16 and computes in bfloat16, which is as good.
    r".*AMP with fp16 is not supported on CPU",
    r".*`srun` command is available on your system but is not used",
    r"The '.*_dataloader' does not have many workers",
    r"Glyph \d+ .* missing from",
    r"`torch.jit.script",
    r"GPU available but not used",
)
"""How warnings begin that say nothing to a user, as regular expressions."""


def silence_libraries() -> None:
    """Let libraries warn of what a user can change, and say nothing of what they do."""
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # What a store cannot do is said by the outbox in one sentence.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


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
