"""A few steps of a real trainer on batches that are given."""

import lightning as L

from tests.two_processes import Dealt


def fit(module, batches, folder):
    """Train on ``batches``; returns what was logged last."""
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, datamodule=Dealt(batches))
    return {name: value.item() for name, value in trainer.callback_metrics.items()}
