"""Random numbers of training (dropout, noise, masks) that a resumed training draws again."""

from __future__ import annotations

import random
from typing import Any

import lightning as L
import numpy as np
import torch


class RandomNumbers(L.Callback):
    """Begin every training batch with random numbers that depend on seed, epoch, batch and process alone.

    So nothing of PyTorch's, NumPy's and Python's generators needs to be kept: a batch that is trained
    again, after a kill, draws what it drew before, whatever validation, loaders or other callbacks have
    drawn in between.
    """

    def __init__(self) -> None:
        self._seed = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take the seed of the run; that of a checkpoint is loaded later and wins."""
        if stage == "fit":
            self._seed = torch.initial_seed()

    def state_dict(self) -> dict[str, Any]:
        """Keep the seed in checkpoints: one that was drawn when the run began is not in its config."""
        return {"seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the seed from a checkpoint."""
        self._seed = state_dict["seed"]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed all generators, differently in each process, as the examples of one large batch draw."""
        entropy = [self._seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        number = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
        torch.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)
