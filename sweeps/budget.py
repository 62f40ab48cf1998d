"""The budget of a trial: a time or a number of batches, equal for all trials of a sweep."""

from __future__ import annotations

import re
from typing import NamedTuple

from runtime.errors import UserError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ENDLESS = "1000000"
BUDGET = re.compile(r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>s|m|h|d|steps)")


class Budget(NamedTuple):
    """The length of each trial's training. Validation of its best checkpoint comes after it."""

    text: str
    seconds: float | None = None
    steps: int | None = None
    """Number of training batches; it does not depend on the number of optimizers."""

    def options(self, batches_per_epoch: int | None) -> list[str]:
        """Make the options of `fit` by which this budget, and nothing else, ends the training.

        Raises:
            UserError: the budget counts batches, and the experiment's data has no ``batches_per_epoch``.
        """
        if self.seconds is not None:
            return [*_length(ENDLESS), "--trainer.max_time", _clock(self.seconds)]
        assert self.steps is not None
        if batches_per_epoch is None:
            raise UserError(
                f"--budget {self.text} counts batches, but the experiment's data has no batches_per_epoch: "
                "give a time, such as --budget 30m."
            )
        n_epochs = max(1, round(self.steps / batches_per_epoch))
        epoch = str(max(1, self.steps // n_epochs))
        return [
            *_length(str(n_epochs)),
            "--trainer.max_time=null",
            "--data.init_args.batches_per_epoch",
            epoch,
        ]


def _length(max_epochs: str) -> list[str]:
    return ["--trainer.max_epochs", max_epochs, "--trainer.max_steps=-1"]


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{day:02}:{hour:02}:{minute:02}:{second:02}"


def parse_budget(text: str) -> Budget:
    """Read ``30m``, ``90s``, ``2h``, ``1d`` or ``1500steps``.

    Raises:
        UserError: the text is none of these, or less than a second or a step.
    """
    found = BUDGET.fullmatch(text.strip())
    amount = float(found["amount"]) if found else 0
    if not found or amount * SECONDS.get(found["unit"], 1) < 1:
        raise UserError(
            f"A budget is the length of each trial's training, such as 30m (s, m, h, d) or 1500steps; found "
            f"'{text}'."
        )
    if found["unit"] == "steps":
        return Budget(text, steps=round(amount))
    return Budget(text, seconds=amount * SECONDS[found["unit"]])
