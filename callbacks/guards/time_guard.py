"""A warning where the clock ended a training before it had its budget of batches."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.curriculum import CurriculumError, training_batches
from callbacks.tracking.tracker import n_batches_done, tracker_of

ENDED_BY_CLOCK = "ended_by_clock"
"""Tag of runs whose training the clock ended."""


class TimeGuard(Callback):
    """Says it, and tags the run, when ``trainer.max_time`` ends a training before its last batch.

    Budgets are batches, so that a training comes to the same result on every machine. The clock is a guard
    only: a model that it cut short is worse than the config promises.
    """

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare the batches that were done with the budget."""
        done, budget = n_batches_done(trainer), _budget(trainer)
        if budget is None or done >= budget or not _is_time_over(trainer):
            return
        rank_zero_warn(
            f"The clock (trainer.max_time) ended the training after {done} of {budget} batches: the model is "
            "worse than it would be. Go on with `--ckpt_path last` and a later --trainer.max_time."
        )
        if (tracker := tracker_of(trainer)) is not None:
            tracker.set_tags({ENDED_BY_CLOCK: f"{done} of {budget} batches"})


def _budget(trainer: L.Trainer) -> int | None:
    try:
        return training_batches(trainer)
    except CurriculumError:
        return None  # the clock is all that ends it, as in a sweep with equal times


def _is_time_over(trainer: L.Trainer) -> bool:
    timers = [c for c in trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
    return any((remaining := timer.time_remaining()) is not None and remaining <= 0 for timer in timers)
