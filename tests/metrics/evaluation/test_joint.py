import math

import pytest

from metrics.evaluation.joint import (
    ContentBaseline,
    TimbreDistances,
    content_score,
    joint_score,
    timbre_score,
)


def test_content_runs_from_unrelated_to_oracle():
    baseline = ContentBaseline(best=0.1, unrelated=0.9)
    assert [content_score(jd, baseline) for jd in (0.05, 0.1, 0.5, 0.9, 1.0)] == pytest.approx(
        [1, 1, 0.5, 0, 0]
    )


def test_content_of_a_rest_is_undefined():
    assert math.isnan(content_score(0.0, ContentBaseline(0.0, 0.0)))


def test_timbre_of_target_copy_third_instrument_and_silence():
    assert timbre_score(TimbreDistances(to_target=0.0, to_source=0.6, of_copy=0.6)) == 1
    assert timbre_score(TimbreDistances(to_target=0.6, to_source=0.0, of_copy=0.6)) == 0
    assert timbre_score(TimbreDistances(0.6, 0.6, 0.6)) == pytest.approx(0.5 / math.e)
    assert timbre_score(TimbreDistances(math.nan, math.nan, 0.6)) == 0


def test_no_nearer_than_a_copy_but_elsewhere_still_beats_the_copy():
    assert timbre_score(TimbreDistances(0.7, 0.6, 0.6)) > timbre_score(TimbreDistances(0.6, 0.05, 0.6))


def test_equal_instruments_leave_nothing_to_transfer():
    assert math.isnan(timbre_score(TimbreDistances(0.0, 0.0, 0.0)))
    assert math.isnan(timbre_score(TimbreDistances(0.3, 0.3, 1.2e-7))), "a resynthesis, but for rounding"


def test_the_joint_score_is_a_harmonic_mean():
    assert joint_score(0.5, 1.0) == pytest.approx(2 / 3)
    assert joint_score(0.0, 1.0) == joint_score(1.0, 0.0) == joint_score(0.0, 0.0) == 0
    assert math.isnan(joint_score(math.nan, 1.0))
