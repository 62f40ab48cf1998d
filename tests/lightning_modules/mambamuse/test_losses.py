"""Losses with numbers that can be done by hand."""

import math

import pytest
import torch

from lightning_modules.mambamuse.losses import mel_distance
from tests.lightning_modules.mambamuse.conftest import tone


def noise(seed=0):
    return torch.randn(1, 16_000, generator=torch.Generator().manual_seed(seed))


def test_half_the_level_is_the_logarithm_of_two():
    assert mel_distance(noise(), noise(), 16_000).item() == 0
    assert mel_distance(0.5 * noise(), noise(), 16_000).item() == pytest.approx(math.log(2), rel=0.01)


def test_another_pitch_is_farther_than_another_level():
    low, high = (tone(hz, n_samples=16_000, sample_rate=16_000) for hz in (440.0, 880.0))
    assert mel_distance(high, low, 16_000) > mel_distance(0.8 * low, low, 16_000) > 0


def test_a_full_scale_sine_in_a_band_has_magnitude_one():
    """With a floor of 1 it is at ln 2 where silence is at 0: at most that, and near it in some band."""
    sine = tone(1000.0, (1 / 0.3,), 16_000, 16_000)
    one_band = 80 * mel_distance(sine, torch.zeros_like(sine), 16_000, floor=1.0).item()
    assert 0.5 * math.log(2) < one_band < 4 * math.log(2)  # a Hann window reaches neighbouring bands


def test_the_gradient_reaches_the_audio():
    audio = (0.1 * noise(1)).requires_grad_()
    mel_distance(audio, noise(), 16_000).backward()
    assert audio.grad.abs().sum() > 0 and audio.grad.isfinite().all()


def test_silence_has_a_finite_gradient():
    audio = torch.zeros(1, 4000, requires_grad=True)
    mel_distance(audio, noise()[:, :4000], 16_000).backward()
    assert audio.grad.isfinite().all()
