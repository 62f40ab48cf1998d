"""Two checkpoints of a run: the best by a validation metric, and the last, from which training goes on.

Both are written where a step of all optimizers, or an epoch, has ended, and nowhere else. They hold what
an uninterrupted training has at that moment, and a resumed one reaches the same weights, bit for bit. So
Ctrl-C waits for the end of the step (`DeferredInterrupt`), and an error leaves the last checkpoint alone.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import lightning as L
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from callbacks.guards.divergence import require_finite_weights
from callbacks.tracking import checkpoint_files
from callbacks.tracking.checkpoints import BEST
from callbacks.tracking.tracker import n_batches_done
from lightning_modules.adversarial_module import batches_a_step
from runtime.errors import UserError, nearest
from runtime.files import write_beside
from runtime.messages import say
from runtime.ranges import Positive


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint and its hash beside its place and renames it.

    Lightning's own writes into the system's temporary folder and moves the file. Between two file systems
    that is a copy, and a process killed in it has lost the old checkpoint and has half of the new one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """See `lightning.fabric.plugins.CheckpointIO`."""
        try:
            with write_beside(path) as file:
                checkpoint_files.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            # torch's writer raises its own error over that of the file it could not write to.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            reason = f"{cause.strerror}, a checkpoint was not written"
            raise OSError(cause.errno, reason, str(path)) from error


class DeferredInterrupt:
    """Ctrl-C that waits: the first one is noted, the second one interrupts at once."""

    def __init__(self) -> None:
        self.is_noted = False
        self._process = 0
        self._interrupt: Any = signal.SIG_DFL

    def install(self) -> None:
        """Take Ctrl-C over, unless the process ignores it or this is not its main thread."""
        self.is_noted = False
        self._process, self._interrupt = os.getpid(), signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(self._interrupt):
            signal.signal(signal.SIGINT, self._note)

    def uninstall(self) -> None:
        """Give Ctrl-C back. After an exception Lightning does, when it tears the trainer down."""
        if signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._interrupt)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that loads data, which ends with its parent
            return
        if self.is_noted:
            self._interrupt(number, frame)
        self.is_noted = True
        # Not print: the signal may have come in the middle of another one.
        os.write(2, b"\nStopping after this step; Ctrl-C again stops at once.\n")


class BestAndLast(ModelCheckpoint):
    """Keep ``best.ckpt`` and ``last.ckpt`` in the run's ``checkpoints`` folder.

    Args:
        monitor: validation metric that decides what is best.
        mode: ``min`` or ``max``: which values of it are better.
        last_every_minutes: ``last.ckpt`` is also written this often within an epoch, so that an error costs
            no more of the training.
        dirpath: another folder than the run's.
    """

    _STEPS_BETWEEN_LOOKS = 20
    """Steps after which several processes, which wait for one another to agree, look at clock and Ctrl-C."""

    def __init__(
        self,
        monitor: str = "val/mr_stft",
        mode: Literal["min", "max"] = "min",
        last_every_minutes: Positive = 10,
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
        self._n_batches_written = 0
        self._interrupt = DeferredInterrupt()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let Ctrl-C wait for the end of a step."""
        super().on_train_start(trainer, pl_module)
        self._n_batches_written = n_batches_done(trainer)  # of the checkpoint that is resumed
        self._interrupt.install()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let Ctrl-C interrupt again."""
        super().on_train_end(trainer, pl_module)
        self._interrupt.uninstall()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write ``last.ckpt`` where a step has ended, if the one there is old or Ctrl-C was pressed."""
        n_steps = self._STEPS_BETWEEN_LOOKS if trainer.world_size > 1 else 1
        # Gradients that wait for more batches are not in a checkpoint. After the last batch comes validation,
        # which a training that went on from here would leave out.
        in_step = (batch_idx + 1) % (n_steps * batches_a_step(trainer))
        if in_step or trainer.is_last_batch or self._should_skip_saving_checkpoint(trainer):
            return
        is_old = time.monotonic() - self._last_written_s > self.last_every_s
        is_interrupted = self._agreed(trainer, self._interrupt.is_noted)
        if self._agreed(trainer, is_old) or is_interrupted:
            self._write_last(trainer)
        if is_interrupted:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write ``last.ckpt`` whether or not it is the best; Lightning's own writes both or none."""
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._write_last(trainer)
        if self._agreed(trainer, self._interrupt.is_noted):
            raise KeyboardInterrupt

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Say from where training goes on. SIGTERM comes here after a batch, and writes ``last.ckpt``."""
        n_batches, n_written = n_batches_done(trainer), self._n_batches_written
        if trainer.state.fn != TrainerFn.FITTING or n_written == n_batches or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if isinstance(exception, SIGTERMException) and trainer.training and _step_has_ended(trainer):
            self._write_last(trainer)
        elif trainer.is_global_zero:
            written = f"last.ckpt is of batch {n_written}" if n_written else "there is no checkpoint yet"
            say(f"Training ended at batch {n_batches}; {written}.")

    @staticmethod
    def _agreed(trainer: L.Trainer, decision: bool) -> bool:
        """Whether any process wants it: all write together and stop together, or none."""
        return trainer.strategy.reduce_boolean_decision(decision, all=False)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse to choose by a metric that the validation did not give."""
        known = trainer.callback_metrics
        if not self._should_skip_saving_checkpoint(trainer) and self.monitor not in known:
            require_finite_weights(trainer)
            measured = [name for name in known if name.startswith("val/")]
            raise UserError(
                f"checkpoint.monitor is {self.monitor}, and the validation gave no such value."
                f"{nearest(str(self.monitor), measured)} It gave {', '.join(sorted(measured)) or 'none'}."
            )
        super().on_validation_end(trainer, pl_module)

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        """Write a checkpoint, unless the weights would be of no use to anybody."""
        require_finite_weights(trainer)
        super()._save_checkpoint(trainer, filepath)

    def _write_last(self, trainer: L.Trainer) -> None:
        seen = self._last_global_step_saved
        self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._last_global_step_saved = seen  # or Lightning would think that this step's best is decided

    def _save_last_checkpoint(self, trainer: L.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Note when that was, also where Lightning writes a new best checkpoint and the last one with it."""
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._last_written_s = time.monotonic()
        self._n_batches_written = n_batches_done(trainer)


def _step_has_ended(trainer: L.Trainer) -> bool:
    """Whether the training stands between two batches and no gradients wait for more of them."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    in_step = progress.current.completed % batches_a_step(trainer)
    return progress.total.ready == progress.total.completed and not in_step
