"""Constant-Q transform: tones fall into their bins, and librosa agrees."""

import math

import librosa
import pytest
import torch

from lightning_modules.layers.dsp.constant_q import C1_HZ, constant_q, window_lengths

RATE, HOP = 16_000, 256


def tone(hz, n_samples=RATE, rate=RATE):
    return torch.sin(2 * math.pi * hz * torch.arange(n_samples, dtype=torch.float64) / rate).float()[None]


@pytest.mark.parametrize("semitones", [24, 45, 83])
def test_a_full_scale_sine_has_magnitude_one_in_its_bin_and_none_an_octave_away(semitones):
    audio = tone(C1_HZ * 2 ** (semitones / 12), 2 * RATE)
    magnitude = constant_q(audio, RATE, HOP, n_frames=126).abs()[0, :, 63]
    assert magnitude.argmax() == semitones
    assert magnitude[semitones].item() == pytest.approx(1.0, abs=2e-3)
    assert magnitude[semitones - 12] < 1e-3


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_it_is_librosas(rate):
    torch.manual_seed(0)
    audio = 0.1 * torch.randn(1, 2 * rate) + tone(220.0, 2 * rate, rate) + tone(1000.0, 2 * rate, rate)
    settings = {"hop_length": HOP, "fmin": C1_HZ, "n_bins": 84, "pad_mode": "constant"}
    # By default librosa leaves out the weakest 1 % of each window's spectrum.
    theirs = torch.from_numpy(librosa.cqt(audio[0].numpy(), sr=rate, sparsity=0, **settings))
    scale = torch.tensor(window_lengths(rate)).sqrt()[:, None] / 2
    ours = constant_q(audio, rate, HOP, theirs.shape[-1])[0] * scale
    # librosa's windows are whole samples long, which in the highest octave is half a sample in a hundred off.
    assert (ours - theirs).norm() < 0.04 * theirs.norm()


@pytest.mark.parametrize("semitones", [0, 30, 83])
def test_it_is_the_sum_of_audio_times_window_times_oscillation(semitones):
    torch.manual_seed(0)
    audio, centre = torch.randn(1, 12_000), 6000
    length = window_lengths(RATE)[semitones]
    t = torch.arange(12_000, dtype=torch.float64) - centre
    window = torch.where(t.abs() < length / 2, 1 + torch.cos(2 * math.pi * t / length), 0) / length
    phase = 2 * math.pi * C1_HZ * 2 ** (semitones / 12) / RATE * t
    expected = 2 * (audio * window * torch.exp(-1j * phase)).sum()
    ours = constant_q(audio, RATE, HOP, 1, first_centre=centre)[0, semitones, 0]
    assert (ours - expected).abs() < 2e-3 * window.square().sum().sqrt()


def test_frames_are_centred_where_they_are_asked_for():
    audio = torch.randn(2, 9000)
    every = constant_q(audio, RATE, 64, 140)
    torch.testing.assert_close(constant_q(audio, RATE, HOP, 20, first_centre=512), every[..., 8::4][..., :20])


def test_silence_surrounds_the_audio():
    """What lies beyond one end does not come in at the other."""
    audio = torch.randn(1, 8000)
    longer = torch.nn.functional.pad(audio, (4096, 20_000))
    within = constant_q(longer, RATE, HOP, 32, first_centre=4096)
    torch.testing.assert_close(constant_q(audio, RATE, HOP, 32), within, atol=2e-4, rtol=1e-3)


def test_it_is_linear_and_examples_do_not_mix():
    audio = torch.randn(3, 5000)
    whole = constant_q(audio, RATE, HOP, 20)
    for i in range(3):
        torch.testing.assert_close(constant_q(2 * audio[i : i + 1], RATE, HOP, 20)[0], 2 * whole[i])


def test_it_is_differentiable():
    audio = torch.randn(1, 3000, requires_grad=True)
    constant_q(audio, RATE, HOP, 10).abs().square().sum().backward()
    assert audio.grad.isfinite().all() and (audio.grad != 0).float().mean() > 0.9
