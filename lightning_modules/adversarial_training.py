"""Manual optimisation of two players: one turn of one optimizer, written once for every GAN.

A GAN sets ``automatic_optimization = False``. The length of its training is given in epochs
(``trainer.max_epochs`` times the data's ``batches_per_epoch``), because Lightning's ``max_steps`` and
``global_step`` count the steps of every optimizer; its clock is ``trainer.fit_loop.total_batch_idx``.
"""

from __future__ import annotations

from collections.abc import Callable

import lightning as L
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor


def take_turn(
    module: L.LightningModule,
    optimizer: LightningOptimizer,
    loss: Callable[[], Tensor],
    max_norm: float | None = None,
) -> None:
    """Let one optimizer make a step while the other players stand still.

    Args:
        module: whose ``training_step`` is running.
        optimizer: one of ``module.optimizers()``.
        loss: computes what to minimise. It is called after the other optimizers' parameters were frozen, so
            that a generator's loss goes through a discriminator without leaving gradients in it.
        max_norm: the gradient is scaled down to at most this norm; ``None`` leaves it as it is.
    """
    with optimizer.toggle_model():
        optimizer.zero_grad()
        module.manual_backward(loss())  # not loss.backward(): under DDP the ranks would drift apart
        if max_norm is not None:
            module.clip_gradients(
                optimizer.optimizer, gradient_clip_val=max_norm, gradient_clip_algorithm="norm"
            )
        optimizer.step()
