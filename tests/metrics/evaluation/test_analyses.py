import numpy as np

from metrics.evaluation import analyses
from metrics.evaluation.analyses import Analyses
from tests.metrics.conftest import RATE, melody

AUDIO = melody([60, 64])[0].numpy()


def test_an_analysis_is_made_once_and_found_by_another_process(tmp_path, monkeypatch):
    made = Analyses(tmp_path).notes(AUDIO, RATE)

    def refuse(*_: object) -> None:
        raise AssertionError("tracked again")

    monkeypatch.setattr(analyses, "track_notes", refuse)
    found = Analyses(tmp_path).notes(AUDIO.copy(), RATE)
    assert np.array_equal(found.sounding, made.sounding) and np.array_equal(found.onsets_s, made.onsets_s)


def test_outputs_stay_in_memory_and_a_damaged_file_is_made_again(tmp_path):
    Analyses(tmp_path).notes(AUDIO, RATE, keep=False)
    assert not list(tmp_path.iterdir())
    made = Analyses(tmp_path).notes(AUDIO, RATE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"cut off")
    assert np.array_equal(Analyses(tmp_path).notes(AUDIO, RATE).sounding, made.sounding)


def test_other_samples_or_another_rate_are_other_clips(tmp_path):
    kept = Analyses(tmp_path)
    for audio, rate in ((AUDIO, RATE), (0.5 * AUDIO, RATE), (AUDIO, 24000)):
        kept.notes(audio, rate)
    assert len(list(tmp_path.iterdir())) == 3


def test_pitch_comes_back_as_tensors():
    pitch = Analyses().pitch(AUDIO, RATE)
    assert pitch.f0_hz.shape == pitch.confidence.shape == (1, 250)
