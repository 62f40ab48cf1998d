"""Budgets as options of `fit`."""

from __future__ import annotations

import pytest

from runtime.errors import UserError
from sweeps.budget import parse_budget


@pytest.mark.parametrize(
    ("text", "clock"),
    [("90s", "00:00:01:30"), ("30m", "00:00:30:00"), ("1.5h", "00:01:30:00"), ("2d", "02:00:00:00")],
)
def test_time_ends_the_training_and_nothing_else(text: str, clock: str) -> None:
    options = parse_budget(text).options(batches_per_epoch=None)
    assert options[options.index("--trainer.max_time") + 1] == clock
    assert "--trainer.max_steps=-1" in options


@pytest.mark.parametrize(
    ("steps", "batches_per_epoch", "n_epochs", "epoch"),
    [(1500, 250, 6, 250), (1000, 320, 3, 333), (100, 250, 1, 100), (1, 250, 1, 1)],
)
def test_steps_are_batches_in_whole_epochs(
    steps: int, batches_per_epoch: int, n_epochs: int, epoch: int
) -> None:
    options = parse_budget(f"{steps}steps").options(batches_per_epoch)
    assert options[options.index("--trainer.max_epochs") + 1] == str(n_epochs)
    assert options[options.index("--data.init_args.batches_per_epoch") + 1] == str(epoch)
    assert n_epochs * epoch <= steps + n_epochs / 2
    assert "--trainer.max_time=null" in options


def test_what_is_no_budget_is_refused() -> None:
    for text in ("30", "30 minutes", "0m", "-3m", "steps", "0.2s"):
        with pytest.raises(UserError, match=f"such as 30m .*found '{text}'"):
            parse_budget(text)
    with pytest.raises(UserError, match="no batches_per_epoch: give a time"):
        parse_budget("100steps").options(None)
