"""Two checkpoints a run: the best by a validation metric, and the last, also after Ctrl-C or an error."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

BEST, LAST = "best", "last"


class BestAndLast(ModelCheckpoint):
    """Keep ``best.ckpt`` and ``last.ckpt`` in the run's ``checkpoints`` folder.

    Args:
        monitor: validation metric that decides what is best.
        mode: ``min`` or ``max``: which values of it are better.
        last_every_minutes: ``last.ckpt`` is also written this often within an epoch.
        dirpath: another folder than the run's.
    """

    _BATCHES_BETWEEN_LOOKS = 20

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
        if batch_idx % self._BATCHES_BETWEEN_LOOKS or self._should_skip_saving_checkpoint(trainer):
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
