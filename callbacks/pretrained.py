"""Parts of a module, such as a vocoder, that were trained in another run."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
from torch import nn

from callbacks.tracking import checkpoints
from runtime.errors import UserError


class PretrainedParts(L.Callback):
    """Take parts of the module, such as a vocoder's generator, from another run's checkpoint.

    A checkpoint of the run itself (``--ckpt_path``) is loaded later and wins.

    Args:
        checkpoint: name, folder or experiment of the other run, or a checkpoint file of it.
        parts: attributes of both modules that are networks of the same sizes.
        frozen: whether the parts keep their weights in the training that follows.
        runs_dir: folder of all runs.
    """

    def __init__(
        self, checkpoint: str, parts: Sequence[str], frozen: bool = True, runs_dir: str = "runs"
    ) -> None:
        self.checkpoint = checkpoint
        self.parts = list(parts)
        self.frozen = frozen
        self.runs_dir = runs_dir

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Copy the weights, before optimizers are made.

        Raises:
            UserError: one of the modules has no such part, or its sizes differ.
        """
        path = checkpoints.find(self.checkpoint, runs_dir=self.runs_dir)
        other = checkpoints.load_module(path)
        for part in self.parts:
            ours, theirs = getattr(pl_module, part, None), getattr(other, part, None)
            if not isinstance(ours, nn.Module) or not isinstance(theirs, nn.Module):
                raise UserError(
                    f"{type(pl_module).__name__} cannot take '{part}' from {path}, a checkpoint of "
                    f"{type(other).__name__}: both need a network of that name."
                )
            self._copy(ours, theirs, f"'{part}' of {path}")

    def _copy(self, ours: nn.Module, theirs: nn.Module, what: str) -> None:
        try:
            ours.load_state_dict(theirs.state_dict())
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise UserError(f"{what} has other sizes than this experiment's: {reason}") from error
        ours.requires_grad_(not self.frozen)
