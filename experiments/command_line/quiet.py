"""What libraries print that a user of the suite can do nothing with, silenced in one place."""

from __future__ import annotations

import logging
import os
import warnings

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
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
