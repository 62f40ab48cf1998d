"""Use of CPU, memory and GPU by the training process, over time."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import psutil
import torch

from callbacks.tracking.tracker import n_batches_done, tracker_of

MIB = 2**20


class SystemMetrics(L.Callback):
    """Log ``system/…`` every ``every_s`` seconds of training.

    Args:
        every_s: seconds between two readings; 0 turns them off.
    """

    def __init__(self, every_s: float = 10.0) -> None:
        self.every_s = every_s
        self._process = psutil.Process()
        self._last = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log a reading, if the last one is old enough."""
        tracker = tracker_of(trainer)
        if tracker is None or not self.every_s or time.monotonic() - self._last < self.every_s:
            return
        self._last = time.monotonic()
        tracker.log_metrics(self.read(pl_module.device), n_batches_done(trainer))

    def read(self, device: torch.device) -> dict[str, float]:
        """Read CPU in per cent of one core since the last reading, memory in MiB, and on CUDA its memory."""
        values = {
            "system/cpu_percent": self._process.cpu_percent(),
            "system/memory_mib": self._process.memory_info().rss / MIB,
            "system/machine_memory_percent": psutil.virtual_memory().percent,
        }
        if device.type == "cuda":
            values["system/gpu_memory_mib"] = torch.cuda.memory_allocated(device) / MIB
            values["system/gpu_peak_memory_mib"] = torch.cuda.max_memory_allocated(device) / MIB
        return values
