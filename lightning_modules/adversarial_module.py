"""Manual optimisation of players: one turn of one optimizer, written once for every GAN.

A GAN sets ``automatic_optimization = False``. The length of its training is given in epochs
(``trainer.max_epochs`` times the data's ``batches_per_epoch``), because Lightning's ``max_steps`` and
``global_step`` count the steps of every optimizer; its clock is ``trainer.fit_loop.total_batch_idx``.

Lightning accumulates and clips gradients only where it optimises itself; here `Attempts` and `take_turn` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import lightning as L
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

Batch = TypeVar("Batch")
Attempt = TypeVar("Attempt")


@dataclass(frozen=True)
class Stepping:
    """What ``trainer.accumulate_grad_batches`` and ``trainer.gradient_clip_val`` ask of manual optimisation.

    Args:
        n_batches: batches of which one step is made.
        clip_val: gradients are scaled down to this norm; ``None`` leaves it to the architecture.
        clip_algorithm: ``norm``, or ``value`` to clamp every gradient by itself.
    """

    n_batches: int = 1
    clip_val: float | None = None
    clip_algorithm: str = "norm"


class Attempts(Generic[Batch, Attempt]):
    """What the players of one step judge and learn from: an attempt on each of the step's batches.

    Of one batch the attempt is made once, and its graph serves all players. Graphs of several batches would
    not fit into memory, so each is made when its turn comes.

    Args:
        make: batch → attempt.
        batches: of the step.
    """

    def __init__(self, make: Callable[[Batch], Attempt], batches: Sequence[Batch]) -> None:
        self._make = make
        self._batches = batches
        self._made = [make(batches[0])] if len(batches) == 1 else []

    def learn(self, loss: Callable[[Attempt], Tensor]) -> Iterator[Tensor]:
        """Parts of the mean loss of the player that makes the attempts."""
        for number, batch in enumerate(self._batches):
            if number == len(self._made):
                self._made.append(self._make(batch))
            yield loss(self._made[number]) / len(self._batches)

    def judge(self, loss: Callable[[Attempt], Tensor]) -> Iterator[Tensor]:
        """Parts of the mean loss of a player that does not; it may come before the other or after it."""
        for attempt in self._made or map(self._make, self._batches):
            yield loss(attempt) / len(self._batches)


def take_turn(
    module: L.LightningModule,
    optimizer: LightningOptimizer,
    losses: Iterable[Tensor],
    max_norm: float | None = None,
) -> None:
    """Let one optimizer make a step while the other players stand still.

    Args:
        module: whose ``training_step`` is running.
        optimizer: one of ``module.optimizers()``.
        losses: parts of the sum to minimise. Each is computed when its turn comes, after the other
            optimizers' parameters were frozen, so that a generator's loss goes through a discriminator
            without leaving gradients in it, and each graph is gone before the next.
        max_norm: the architecture's own limit of the gradient's norm, where ``module.stepping`` has none.
    """
    with optimizer.toggle_model():
        optimizer.zero_grad()
        for loss in losses:
            module.manual_backward(loss)  # not loss.backward(): under DDP the ranks would drift apart
        _clip(module, optimizer, max_norm)
        optimizer.step()


def _clip(module: L.LightningModule, optimizer: LightningOptimizer, max_norm: float | None) -> None:
    stepping = getattr(module, "stepping", Stepping())
    limit = max_norm if stepping.clip_val is None else stepping.clip_val
    if limit:
        scaler: Any = getattr(module.trainer.precision_plugin, "scaler", None)
        module.clip_gradients(
            optimizer.optimizer,
            # With float16 the gradients are still multiplied; the optimizer's step divides them.
            gradient_clip_val=limit if scaler is None else limit * scaler.get_scale(),
            gradient_clip_algorithm=stepping.clip_algorithm,
        )


def batches_a_step(trainer: L.Trainer) -> int:
    """Batches of which the trainer's module makes one step, whoever optimises it."""
    stepping = getattr(trainer.lightning_module, "stepping", Stepping())
    return max(trainer.accumulate_grad_batches, stepping.n_batches)
