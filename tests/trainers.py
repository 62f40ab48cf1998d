"""A real trainer, quiet and on a CPU, and a few steps of it on batches that are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from torch.utils.data import DataLoader

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
    "num_sanity_val_steps": 0,
}


def quiet_trainer(**settings: Any) -> L.Trainer:
    """One epoch, if ``settings`` say nothing else, that leaves neither files nor lines behind."""
    return L.Trainer(**{"max_epochs": 1, **QUIET, **settings})


def fit(
    module: L.LightningModule,
    batches: Sequence[Any],
    *callbacks: L.Callback,
    val: Sequence[Any] = (),
    folder: Path | None = None,
) -> L.Trainer:
    """Train once on each of ``batches``; validate on ``val``, if there are any."""
    trainer = quiet_trainer(callbacks=list(callbacks), log_every_n_steps=1, default_root_dir=folder)
    loaders = [DataLoader(part, batch_size=None) for part in (batches, val) if part]  # type: ignore[arg-type]
    trainer.fit(module, *loaders)
    return trainer


def logged_after(
    module: L.LightningModule, batches: Sequence[Any], folder: Path, callbacks: Sequence[L.Callback] = ()
) -> dict[str, float]:
    """What was logged last in training once on each of ``batches``."""
    trainer = fit(module, batches, *callbacks, folder=folder)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}
