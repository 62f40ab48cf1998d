import numpy as np
import pytest
import soxr

from metrics.functional import notes
from tests.metrics.conftest import RATE, melody


def sounding_at(found: notes.Notes, seconds: float) -> set[int]:
    frame = found.sounding[round(seconds / notes.FRAME_S)]
    return {notes.LOWEST_MIDI_PITCH + int(column) for column in np.flatnonzero(frame)}


def test_a_known_tune_is_heard_note_by_note_over_several_windows():
    pitches = [60, 64, 67, 72, 71, 67, 65, 62, 60, 55]
    found = notes.track_notes(melody(pitches)[0].numpy(), RATE)
    assert len(found.sounding) == round(5 / notes.FRAME_S + 0.5)
    for number, pitch in enumerate(pitches):
        assert pitch in sounding_at(found, 0.5 * number + 0.2)
    expected_s = 0.5 * np.arange(10)
    assert all(np.abs(found.onsets_s - onset).min() < 0.03 for onset in expected_s)


def test_two_notes_at_once():
    chord = melody([60, 60]) + melody([67, 67])
    assert {60, 67} <= sounding_at(notes.track_notes(chord[0].numpy(), RATE), 0.3)


def test_where_windows_join_makes_no_difference():
    """A pause of one window step before the tune shifts the result by exactly as many frames."""
    tune = soxr.resample(melody([60, 64, 67, 72, 71, 67])[0].numpy(), RATE, notes.MODEL_RATE_HZ)
    lead = 37
    late = np.concatenate([np.zeros(lead * notes.FRAME_SAMPLES, np.float32), tune])
    plain, _ = notes.posteriors(tune, notes.MODEL_RATE_HZ)
    shifted, _ = notes.posteriors(late, notes.MODEL_RATE_HZ)
    inside = slice(20, len(plain) - 20)
    assert np.abs(shifted[lead : lead + len(plain)][inside] - plain[inside]).mean() < 0.003


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
def test_the_sample_rate_makes_no_difference(rate):
    found = notes.track_notes(melody([60, 67], rate=rate)[0].numpy(), rate)
    assert 60 in sounding_at(found, 0.2) and 67 in sounding_at(found, 0.7)


def test_level_makes_no_difference_and_silence_is_silent():
    loud = melody([60, 64])[0].numpy()
    assert (
        notes.track_notes(loud, RATE).sounding == notes.track_notes(0.25 * loud, RATE).sounding
    ).mean() > 0.999
    silent = notes.track_notes(np.zeros(RATE, np.float32), RATE)
    assert not silent.sounding.any() and not len(silent.onsets_s)


def test_a_missing_network_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr(notes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(notes.NoteTrackerError, match="pip install --no-deps basic-pitch"):
        notes._model_path()
