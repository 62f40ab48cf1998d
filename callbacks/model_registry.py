"""Every tested run's best checkpoint goes into MLflow's model registry, under its architecture's name."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from callbacks.run_record import architecture
from callbacks.tracking.checkpoints import BEST, checkpoint_path
from callbacks.tracking.tracker import tracker_of
from lightning_modules.transfer_module import TimbreTransferModule


class RegisteredModel(L.Callback):
    """Register ``best.ckpt`` when its test has ended.

    Args:
        enabled: whether checkpoints are registered.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Register the tested checkpoint, if it is the best of this run and not one of another run."""
        tracker = tracker_of(trainer)
        if not self.enabled or tracker is None or not isinstance(pl_module, TimbreTransferModule):
            return
        tested = Path(trainer.ckpt_path or "").resolve()
        if tested == checkpoint_path(tracker.run_dir, BEST).resolve():
            score = pl_module.test_table.means().get("joint_score") if pl_module.test_table else None
            tracker.register_model(architecture(pl_module), tested, score)
