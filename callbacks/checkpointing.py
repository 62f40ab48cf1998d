"""Two checkpoints a run: the best by a validation metric, and the last, also after Ctrl-C or an error."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

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
        self.last_every = timedelta(minutes=last_every_minutes)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Write ``last.ckpt``, from which training resumes. ``best.ckpt`` stays what it is."""
        if trainer.training and not getattr(trainer, "fast_dev_run", False) and trainer.global_step > 0:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


def checkpoint_path(run_dir: Path, which: str) -> Path:
    """Where ``best`` or ``last`` of a run is."""
    return run_dir / "checkpoints" / f"{which}.ckpt"
