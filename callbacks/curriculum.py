"""Curricula: values that change over a training. The schedule is data in an experiment's YAML.

Everything here is stateless. A value is a pure function of the training's progress, which is read from the
trainer's own clocks, so resuming needs nothing, and a schedule written as fractions fits every scale.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Timer

from lightning_modules.adversarial_module import batches_a_step
from runtime.errors import UserError

FORGIVEN = 0.1
"""Share of a training's time that does not count, see `training_progress`."""


class CurriculumError(UserError):
    """A schedule that cannot be followed; the message is one sentence meant for the user."""


class Schedule(Callback):
    """A value that follows straight lines between points; a subclass says what it is the value of.

    Args:
        points: ``[progress, value]`` pairs; progress is the share of the training that is done, see
            `training_progress`, in [0, 1] and rising. Before the first and behind the last point the value
            is constant.
        n_batches: length of the training in batches. Default: from ``trainer.max_steps``, with every
            optimizer stepping once a batch (or as many as are accumulated), or from ``trainer.max_epochs``.
    """

    name: str

    def __init__(self, points: list[list[float]], n_batches: int | None = None) -> None:
        times = [point[0] for point in points]
        if not points or any(len(point) != 2 for point in points) or times != sorted(times):
            raise CurriculumError(
                f"points of {type(self).__name__} must be [progress, value] pairs with rising progress, "
                f"found {points}."
            )
        self.points = points
        self.n_batches = n_batches

    @property
    def state_key(self) -> str:
        """Tells schedules of one class apart."""
        return f"{type(self).__qualname__}({self.name})"

    def value_at(self, progress: float) -> float:
        """The value when this share of the training is done."""
        if progress < self.points[0][0]:
            return float(self.points[0][1])
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:], strict=False):
            if progress < x1:
                return y0 + (y1 - y0) * (progress - x0) / (x1 - x0)
        return float(self.points[-1][1])

    def apply(self, trainer: L.Trainer, pl_module: L.LightningModule, value: float) -> None:
        """Let the value take effect."""
        raise NotImplementedError

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set and log the value of this batch."""
        value = self.value_at(training_progress(trainer, self.n_batches))
        self.apply(trainer, pl_module, value)
        pl_module.log(f"curriculum/{self.name}", value)


class AttributeSchedule(Schedule):
    """Schedules one number of the module, such as a loss weight.

    The module's own value is what holds without a curriculum and after loading a checkpoint, so a schedule
    should end on it.

    Args:
        attribute: dotted path below the module, such as ``loss_weights.adversarial``.
        points: see `Schedule`.
        n_batches: see `Schedule`.
    """

    def __init__(self, attribute: str, points: list[list[float]], n_batches: int | None = None) -> None:
        super().__init__(points, n_batches)
        self.name = attribute

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse an attribute that is not there, before anything is trained."""
        try:
            current = attrgetter(self.name)(pl_module)
        except AttributeError:
            current = None
        if not isinstance(current, int | float):
            raise CurriculumError(
                f"A curriculum schedules '{self.name}', but {type(pl_module).__name__} has no such number: "
                "correct trainer.callbacks or leave the schedule out."
            )

    def apply(self, trainer: L.Trainer, pl_module: L.LightningModule, value: float) -> None:
        """Write the attribute."""
        owner_path, _, leaf = self.name.rpartition(".")
        setattr(attrgetter(owner_path)(pl_module) if owner_path else pl_module, leaf, value)


class LearningRateSchedule(Schedule):
    """Scales the learning rate of every optimizer by the scheduled value.

    Args:
        points: see `Schedule`; 1 is the optimizer's own rate.
        n_batches: see `Schedule`.
    """

    name = "learning_rate"

    def apply(self, trainer: L.Trainer, pl_module: L.LightningModule, value: float) -> None:
        """Scale each group's rate from its initial one, which the optimizer's own state keeps."""
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = value * group.setdefault("initial_lr", group["lr"])


def training_progress(trainer: L.Trainer, n_batches: int | None = None) -> float:
    """The share of the training that is done: of its batches, or of its time where that ends it first.

    Batches are counted by ``trainer.fit_loop.total_batch_idx``, whatever the number of optimizers. Time is
    that of Lightning's own timer (``trainer.max_time``), which a resumed training goes on with. It counts
    only beyond its first tenth, so that a training which ends by its batches, with some time left, is the
    same on every machine, however slowly it began.

    Args:
        trainer: in training.
        n_batches: length of the training; default `training_batches`.
    """
    of_batches = trainer.fit_loop.total_batch_idx / max(1, n_batches or training_batches(trainer))
    timer = next((c for c in trainer.callbacks if isinstance(c, Timer)), None)  # type: ignore[attr-defined]
    remaining_s = None if timer is None else timer.time_remaining()
    if timer is None or remaining_s is None:
        return of_batches
    elapsed_s = timer.time_elapsed()
    of_time = (elapsed_s / (elapsed_s + remaining_s) - FORGIVEN) / (1 - FORGIVEN)
    # One clock for all processes, or their learning rates would differ.
    return max(of_batches, trainer.strategy.broadcast(of_time))


def training_batches(trainer: L.Trainer) -> int:
    """Batches in the whole training. Raises `CurriculumError` where only time or the user ends it."""
    if trainer.max_steps and trainer.max_steps > 0:
        return trainer.max_steps // max(1, len(trainer.optimizers)) * batches_a_step(trainer)
    if trainer.max_epochs and trainer.max_epochs > 0:
        return trainer.max_epochs * int(trainer.num_training_batches)
    raise CurriculumError(
        "A curriculum needs to know how long the training is: set trainer.max_steps (or max_epochs), or "
        "n_batches of the schedule."
    )
