from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.corpora.corpus import CorpusError
from datamodules.scores.melodies import intervals
from datamodules.scores.notes import Note, Score
from datamodules.scores.performance import Performance, fitting_shift

PITCHES = (55, 59, 62, 67, 62, 59, 55)
SCORE = Score("tune", "monophonic", tuple(Note(n / 2, n / 2 + 0.4, p) for n, p in enumerate(PITCHES)), "here")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(st.lists(st.integers(20, 110), min_size=1), st.integers(30, 70), st.integers(12, 40))
def test_a_melody_fits_or_is_too_wide(pitches: list[int], low: int, width: int) -> None:
    shift = fitting_shift(pitches, low, low + width)
    if max(pitches) - min(pitches) > width:
        assert shift is None
    else:
        assert shift is not None and low <= min(pitches) + shift and max(pitches) + shift <= low + width


def test_octaves_are_preferred() -> None:
    assert fitting_shift([50, 55], 60, 84) == 24  # the octave nearest the middle of the range
    assert fitting_shift([60, 84], 60, 84) == 0
    assert fitting_shift([59, 80], 60, 84) == 1  # an octave would leave at the top


def test_the_tune_stays_the_tune() -> None:
    how = Performance(pitch_range=(60, 84), random_semitones=5, random_tempo=(0.8, 1.25))
    played = how.play(SCORE, rng(), varied=True)
    assert played is not None and played != how.play(SCORE, rng())
    assert intervals(played.notes) == intervals(SCORE.notes)
    assert all(60 <= note.pitch <= 84 for note in played.notes)
    pace = {round(p.start_s / s.start_s, 6) for p, s in zip(played.notes[1:], SCORE.notes[1:], strict=True)}
    assert len(pace) == 1 and 0.8 <= 1 / pace.pop() <= 1.25


def test_dynamics_are_random_seeded_in_range_and_only_where_the_score_has_none() -> None:
    many = replace(SCORE, notes=tuple(Note(n, n + 1, 60) for n in range(500)))
    first, again = (Performance(velocity_range=(40, 120)).play(many, rng()) for _ in range(2))
    assert first is not None and first == again
    velocities = [note.velocity for note in first.notes]
    assert min(velocities) >= 40 and max(velocities) <= 120 and np.std(velocities) > 15
    marked = replace(SCORE, notes=tuple(note._replace(velocity=99) for note in SCORE.notes))
    assert {note.velocity for note in Performance().play(marked, rng()).notes} == {99}  # type: ignore[union-attr]


def test_speed_length_and_transposition_of_the_pix2pix_document() -> None:
    chord = replace(SCORE, track="polyphonic", notes=(Note(0, 1, 60), Note(0, 1, 64), Note(2, 3, 60)))
    played = Performance(playback_speed=2, duration_rate=4, transpose=-3).play(chord, rng())
    assert played is not None
    got = [(n.start_s, n.end_s, n.pitch) for n in played.notes]
    assert got == [(0, 1, 57), (0, 2, 61), (1, 3, 57)]  # the first 57 ends where it begins again


def test_a_longer_melody_note_never_reaches_into_the_next() -> None:
    played = Performance(duration_rate=4).play(SCORE, rng())
    assert played is not None
    assert [n.end_s for n in played.notes[:-1]] == [n.start_s for n in played.notes[1:]]


def test_a_compass_wider_than_the_range_cannot_be_played() -> None:
    assert (
        Performance(pitch_range=(60, 72)).play(replace(SCORE, notes=(Note(0, 1, 50), Note(1, 2, 70))), rng())
        is None
    )


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [({"playback_speed": 0}, "0.1 ≤ playback_speed"), ({"random_tempo": (1.2, 0.8)}, "lower first"),
     ({"velocity_range": (0, 200)}, "≤ 127"), ({"pitch_range": (60, 65)}, "octave")],
)  # fmt: skip
def test_nonsense_is_refused(wrong: dict, rule: str) -> None:
    with pytest.raises(CorpusError, match=rule):
        Performance(**wrong)
