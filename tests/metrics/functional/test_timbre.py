import librosa
import numpy as np
import pytest
import torch

from metrics.functional.spectra import mfcc
from metrics.functional.timbre import mfcc40_distance, mfcc_distance
from tests.metrics.conftest import RATE, Quartet, melody, noise


def test_cepstra_are_librosas(quartet: Quartet):
    audio = quartet.keyboard[0]
    expected = librosa.feature.mfcc(y=audio.double().numpy(), sr=RATE, n_mfcc=13, hop_length=500)
    assert np.abs(mfcc(audio[None], RATE)[0].numpy() - expected).max() < 0.1  # of values up to 600


@pytest.mark.parametrize(("distance", "n_mfcc"), [(mfcc_distance, 13), (mfcc40_distance, 40)])
def test_distance_agrees_with_librosa_and_scipy(quartet: Quartet, distance, n_mfcc: int):
    from scipy.spatial.distance import cosine

    means = [
        librosa.feature.mfcc(y=x[0].double().numpy(), sr=RATE, n_mfcc=n_mfcc, hop_length=500)[1:].mean(1)
        for x in (quartet.keyboard, quartet.violin)
    ]
    ours = distance(quartet.keyboard[:1], quartet.violin[:1], RATE).item()
    assert ours == pytest.approx(cosine(*means), abs=1e-3)


def test_level_does_not_matter_and_the_reference_may_have_another_length(quartet: Quartet):
    assert mfcc_distance(0.1 * quartet.violin, quartet.violin, RATE).max() < 1e-3
    assert mfcc_distance(quartet.violin, quartet.violin[:, : 3 * RATE], RATE).max() < 0.05


def test_wrong_notes_on_the_right_instrument_are_nearer_than_the_right_notes_on_another(quartet: Quartet):
    wrong = mfcc_distance(quartet.wrong_violin, quartet.violin, RATE).mean()
    assert wrong < 0.5 * mfcc_distance(quartet.keyboard, quartet.violin, RATE).mean()


@pytest.mark.parametrize("rate", [16000, 24000, 44100])
def test_more_harmonics_are_another_timbre_at_every_rate(rate):
    dull, bright = (melody([60, 62, 64], harmonics=n, rate=rate) for n in (2, 12))
    same = melody([65, 67, 69], harmonics=12, rate=rate)
    assert mfcc_distance(dull, bright, rate) > 2 * mfcc_distance(same, bright, rate)


def test_silence_has_no_timbre():
    assert mfcc_distance(torch.zeros(1, RATE), noise(1.0), RATE).isnan()
