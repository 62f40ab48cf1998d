"""Two checkpoints a run: the best by a validation metric, and the last, also after Ctrl-C or an error."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_modules.adversarial_module import batches_a_step
from runtime.files import write_beside

BEST, LAST = "best", "last"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it.

    Lightning's own writes into the system's temporary folder and moves the file. Between two file systems
    that is a copy, and a process killed in it has lost the old checkpoint and has half of the new one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """See `lightning.fabric.plugins.CheckpointIO`."""
        with write_beside(path) as file:
            torch.save(checkpoint, file)


class BestAndLast(ModelCheckpoint):
    """Keep ``best.ckpt`` and ``last.ckpt`` in the run's ``checkpoints`` folder.

    Args:
        monitor: validation metric that decides what is best.
        mode: ``min`` or ``max``: which values of it are better.
        last_every_minutes: ``last.ckpt`` is also written this often within an epoch.
        dirpath: another folder than the run's.
    """

    _BATCHES_BETWEEN_LOOKS = 20
    """Where all processes must agree, and wait for one another."""

    def __init__(
        self,
        monitor: str = "val/mr_stft",
        mode: str = "min",
        last_every_minutes: float = 10,
        dirpath: str | None = None,
    ) -> None:
        super().__init__(
            dirpath,
            filename=BEST,
            monitor=monitor,
            mode=mode,
            save_last=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.last_every_s = 60.0 * last_every_minutes
        self._last_written_s = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write ``last.ckpt`` whether or not it is the best; Lightning's own writes both or none."""
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._write_last(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write ``last.ckpt`` if the one there is old."""
        every = self._BATCHES_BETWEEN_LOOKS if trainer.world_size > 1 else 1
        in_mid_step = (batch_idx + 1) % batches_a_step(trainer)  # gradients are not in a checkpoint
        if batch_idx // batches_a_step(trainer) % every or in_mid_step:
            return
        if self._should_skip_saving_checkpoint(trainer):
            return
        # All ranks save together, or none: the first one's clock decides.
        if trainer.strategy.broadcast(time.monotonic() - self._last_written_s > self.last_every_s):
            self._write_last(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Write ``last.ckpt``, from which training resumes. ``best.ckpt`` stays what it is."""
        if trainer.training and not getattr(trainer, "fast_dev_run", False) and trainer.global_step > 0:
            self._write_last(trainer)

    def _write_last(self, trainer: L.Trainer) -> None:
        seen = self._last_global_step_saved
        self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._last_global_step_saved = seen  # or Lightning would think that this step's best is decided
        self._last_written_s = time.monotonic()


def checkpoint_path(run_dir: Path, which: str) -> Path:
    """Where ``best`` or ``last`` of a run is."""
    return run_dir / "checkpoints" / f"{which}.ckpt"
