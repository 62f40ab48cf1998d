"""A training that the clock cut short says so; one that had its batches does not."""

import warnings

import pytest

from callbacks.guards.time_guard import TimeGuard
from tests.callbacks.test_curriculum import Pacemaker, Weighted, fit


def test_a_training_that_the_clock_ends_is_said_to_be_short():
    with pytest.warns(UserWarning, match=r"ended the training after 5 of 12 batches.*--ckpt_path last"):
        fit(Weighted(), Pacemaker(batch_s=5.0), TimeGuard(), max_steps=12, max_time={"seconds": 18})


@pytest.mark.parametrize(
    "settings",
    [
        {"max_steps": 8, "max_time": {"seconds": 1000}},
        {"max_steps": 8},
        {"max_steps": -1, "max_time": {"seconds": 18}},  # nothing but the clock was to end it
    ],
)
def test_a_training_that_had_what_it_was_promised_is_not(settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The clock")
        fit(
            Weighted(), *([Pacemaker(batch_s=5.0)] if "max_time" in settings else []), TimeGuard(), **settings
        )
