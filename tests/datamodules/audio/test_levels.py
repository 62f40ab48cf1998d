"""Levels against the tabulated A curve and against the feature that training uses."""

import librosa
import numpy as np
import pytest
import torch

from datamodules.audio import levels
from datamodules.audio.levels import (
    a_weighting,
    level_of,
    loudness_frames_db,
    mean_loudness_db,
    normalised,
)
from datamodules.features.frames import loudness_db

RATE = 16000


def sine(hz: float, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.float32)


def test_the_a_curve_is_that_of_librosa_and_nothing_at_0_hz() -> None:
    frequencies_hz = np.geomspace(10, 20000, 500)
    expected_db = librosa.A_weighting(frequencies_hz, min_db=None)
    np.testing.assert_allclose(10 * np.log10(a_weighting(frequencies_hz)), expected_db, atol=1e-9)
    assert a_weighting(np.zeros(1)) == 0


@pytest.mark.parametrize(("hz", "curve_db"), [(1000, 0.0), (250, -8.7), (500, -3.2), (4000, 1.0)])
def test_a_sine_reads_as_the_a_curve_says(hz: float, curve_db: float) -> None:
    # Values of IEC 61672-1, table 3; a sine's mean square is half its amplitude's: −3.01 dB.
    assert mean_loudness_db(sine(hz), RATE) == pytest.approx(curve_db - 3.01, abs=0.25)


def test_half_the_amplitude_is_six_db_less() -> None:
    assert mean_loudness_db(sine(500), RATE) - mean_loudness_db(sine(500, 0.5), RATE) == pytest.approx(
        6.02, abs=0.01
    )


def test_it_agrees_with_the_feature_of_the_same_name() -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    feature_db = loudness_db(torch.from_numpy(audio)[None], RATE)[0, 5:-5].mean().item()
    assert float(loudness_frames_db(audio, RATE).mean()) == pytest.approx(feature_db, abs=0.3)


def test_rests_do_not_count_and_silence_is_the_floor() -> None:
    with_rest = np.concatenate([sine(1000), np.zeros(RATE, np.float32)])
    assert mean_loudness_db(with_rest, RATE) == pytest.approx(-3.01, abs=0.3)
    assert mean_loudness_db(np.zeros(RATE, np.float32), RATE) == -80.0
    assert mean_loudness_db(np.zeros(10, np.float32), RATE) == -80.0


def test_normalising_reaches_the_level_unless_it_would_clip() -> None:
    quiet = sine(1000, 0.01)
    level_db = mean_loudness_db(quiet, RATE)
    assert mean_loudness_db(normalised(quiet, level_db, -23), RATE) == pytest.approx(-23, abs=0.01)
    click = np.zeros(RATE, np.float32)
    click[::4000] = 0.02
    assert np.abs(normalised(click, mean_loudness_db(click, RATE), -23)).max() == pytest.approx(
        0.97, abs=1e-6
    )
    assert not normalised(np.zeros(5, np.float32), -80, -23).any()


def test_a_gain_changes_a_level_by_itself_and_rests_change_nothing() -> None:
    t = np.arange(4 * RATE) / RATE
    audio = (0.3 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    level = level_of(audio, RATE)
    assert level.loudness_db == pytest.approx(20 * np.log10(0.3) - 3.01, abs=0.05)
    assert level.peak == pytest.approx(0.3, abs=1e-4)
    for gain in (1e-3, 0.1, 3.0):
        assert level_of(gain * audio, RATE).loudness_db == pytest.approx(
            level.loudness_db + 20 * np.log10(gain), abs=1e-3
        )
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(8 * RATE).astype(np.float32)
    assert level_of(np.concatenate([hiss, audio, hiss]), RATE).loudness_db == pytest.approx(
        level.loudness_db, abs=0.2
    )


def test_a_level_is_that_of_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = np.random.default_rng(0).standard_normal(50_001).astype(np.float32) * np.linspace(0, 0.2, 50_001)
    whole = level_of(audio, RATE)
    monkeypatch.setattr(levels, "BLOCK_SAMPLES", 10_240)
    assert level_of(audio, RATE) == pytest.approx(whole)


def test_the_noise_of_a_16_bit_file_is_silence() -> None:
    dither = np.random.default_rng(0).integers(-1, 2, RATE) / np.float32(32768)
    assert level_of(dither, RATE).is_silent
    assert level_of(np.zeros(RATE, np.float32), RATE).is_silent
    assert level_of(np.zeros(0, np.float32), RATE).is_silent
    assert not level_of(0.01 * np.sin(np.arange(RATE, dtype=np.float32)), RATE).is_silent
