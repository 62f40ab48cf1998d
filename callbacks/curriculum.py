"""Curricula: values that change over a training. They are data in an experiment's YAML::

    curriculum:
      points:
        learning_rate: [[0.4, 1.0], [1.0, 0.02]]
        loss_weights.adversarial: [[0.3, 0.0], [0.5, 1.0]]

A config that is layered over it changes one schedule by its name, or drops it with
``loss_weights.adversarial: null``; so does ``--curriculum.points.loss_weights.adversarial null``.

Everything here is stateless. A value is a pure function of the training's progress, which is read from the
trainer's own clocks, so resuming needs nothing, and a schedule written as fractions fits every scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Timer

from lightning_modules.adversarial_module import batches_a_step
from runtime.errors import UserError

LEARNING_RATE = "learning_rate"
"""The schedule of this name scales the learning rate of every optimizer; 1 is the optimizer's own rate."""
FORGIVEN = 0.1
"""Share of a training's time that does not count, see `training_progress`."""


class CurriculumError(UserError):
    """A curriculum that cannot be followed; the message is one sentence meant for the user."""


class Schedule:
    """A value that follows straight lines between points.

    Args:
        name: what it is the value of.
        points: ``[progress, value]`` pairs; progress is the share of the training that is done, see
            `training_progress`, in [0, 1] and rising. Before the first and behind the last point the value
            is constant; two points at the same progress are a step.

    Raises:
        CurriculumError: ``points`` are something else.
    """

    def __init__(self, name: str, points: Any) -> None:
        if not _are_points(points):
            raise CurriculumError(
                f"The curriculum's points of '{name}' must be [progress, value] pairs with rising progress, "
                f"found {points}."
            )
        self.points: list[list[float]] = points

    def value_at(self, progress: float) -> float:
        """The value when this share of the training is done."""
        if progress < self.points[0][0]:
            return float(self.points[0][1])
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:], strict=False):
            if progress < x1:
                return y0 + (y1 - y0) * (progress - x0) / (x1 - x0)
        return float(self.points[-1][1])


def _are_points(points: Any) -> bool:
    if not isinstance(points, list) or not points:
        return False
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        return False
    times = [point[0] for point in points]
    return all(isinstance(x, int | float) for point in points for x in point) and times == sorted(times)


class Curriculum(Callback):
    """Sets and logs, at every training batch, the numbers of the module that are scheduled.

    A number of the module is what holds without a curriculum and after loading a checkpoint, so its schedule
    should end on it.

    Args:
        points: the points of a `Schedule` for each dotted path below the module, such as
            ``loss_weights.adversarial``, and for `LEARNING_RATE`; ``null`` drops a schedule. The parts of a
            name may also be nested, as the command line does: ``{loss_weights: {adversarial: null}}``.
        n_batches: length of the training in batches. Default: from ``trainer.max_steps``, with every
            optimizer stepping once a batch (or as many as are accumulated), or from ``trainer.max_epochs``.

    Raises:
        CurriculumError: points are no schedule.
    """

    def __init__(self, points: dict[str, Any] | None = None, n_batches: int | None = None) -> None:
        self.schedules = {
            name: Schedule(name, found) for name, found in scheduled(points).items() if found is not None
        }
        self.n_batches = n_batches

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse an attribute that the module does not have, before anything is trained."""
        for name in self.schedules.keys() - {LEARNING_RATE}:
            _require_number(pl_module, name)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set and log the values of this batch."""
        if not self.schedules:
            return
        progress = training_progress(trainer, self.n_batches)
        for name, schedule in self.schedules.items():
            value = schedule.value_at(progress)
            if name == LEARNING_RATE:
                _scale_rates(trainer, value)
            else:
                _set_number(pl_module, name, value)
            pl_module.log(f"curriculum/{name}", value)


def scheduled(points: Mapping[str, Any] | None) -> dict[str, Any]:
    """The points of a curriculum by dotted names, of which later ones win."""
    return dict(_flat(points or {}))


def _flat(points: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, found in points.items():
        if isinstance(found, Mapping):
            yield from _flat(found, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", found


def _require_number(module: L.LightningModule, name: str) -> None:
    try:
        current = attrgetter(name)(module)
    except AttributeError:
        current = None
    if not isinstance(current, int | float):
        raise CurriculumError(
            f"The curriculum schedules '{name}', but {type(module).__name__} has no such number: correct the "
            "name in curriculum.points, or give it null."
        )


def _set_number(module: L.LightningModule, name: str, value: float) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(attrgetter(owner)(module) if owner else module, leaf, value)


def _scale_rates(trainer: L.Trainer, factor: float) -> None:
    """Scale the rate of each group from its initial one, which the optimizer's own state keeps."""
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


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
        "curriculum.n_batches."
    )
