"""Phases: the source's fits itself, a turn turns, Griffin-Lim makes a spectrogram fit real audio."""

import math

import pytest
import torch

from lightning_modules.pix2pix.network import UNet
from lightning_modules.pix2pix.phase import (
    GriffinLim,
    PhaseChannels,
    PhaseNetwork,
    SourcePhase,
    direction,
    phase_images,
    rotated,
)
from lightning_modules.pix2pix.spectrogram import Spectrogram
from tests.lightning_modules.pix2pix.conftest import tone

SPECTROGRAM = Spectrogram(256, 64, 128)


def spectrum_of(audio):
    """Of audio that begins and ends in silence."""
    return SPECTROGRAM.analyse(torch.nn.functional.pad(audio, (128, 128)))


def resynthesised(phase, magnitude, source):
    empty = torch.zeros(len(source), 2, 128, source.shape[-1])
    directions = phase.directions(source, empty, empty[:, : phase.n_channels])
    spectrum = phase(magnitude, directions, SPECTROGRAM)
    return SPECTROGRAM.synthesise(spectrum)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("phase", [SourcePhase(), PhaseChannels(), GriffinLim(n_iterations=5)], ids=type)
def test_the_sources_own_magnitude_gives_the_source_and_not_its_negative(phase, sign):
    audio = sign * torch.randn(1, 40 * 64).abs()  # asymmetric, so that polarity shows
    source = spectrum_of(audio)
    torch.testing.assert_close(resynthesised(phase, source.abs(), source), audio, atol=1e-3, rtol=0)


def test_a_turn_turns_what_it_covers_and_nothing_above():
    source = spectrum_of(torch.randn(1, 640))
    turn = torch.zeros(1, 2, 100, source.shape[-1])
    turn[:, 0], turn[:, 1] = -1.0, 2.0  # 1 is added to the real part: a quarter turn
    angle = (rotated(source, turn) * source.conj()).angle()
    torch.testing.assert_close(angle[:, :100], torch.full_like(angle[:, :100], math.pi / 2))
    torch.testing.assert_close(angle[:, 100:], torch.zeros_like(angle[:, 100:]), atol=1e-5, rtol=0)


def test_the_phase_of_a_steady_tone_advances_evenly():
    images = phase_images(spectrum_of(tone(1000.0, n_samples=64 * 40)), 128)
    # 1000 Hz at 8 kHz and hop 64 is exactly eight cycles a frame: no advance is left.
    torch.testing.assert_close(images[0, 0, 32, 5:-5], torch.ones(31), atol=1e-3, rtol=0)
    torch.testing.assert_close(images[0, 1, 32, 5:-5], torch.zeros(31), atol=1e-3, rtol=0)


def inconsistency(phase, magnitude, source):
    """How far the magnitude of the resynthesis is from the wanted one, in dB of energy."""
    heard = spectrum_of(resynthesised(phase, magnitude, source)).abs()
    return 10 * math.log10((heard - magnitude).square().sum() / magnitude.square().sum())


def test_griffin_lim_comes_nearer_to_the_wanted_magnitude_and_momentum_helps():
    source, target = tone(440.0, n_samples=64 * 60), tone(440.0, (0.5, 0.4, 0.3), n_samples=64 * 60)
    target = target * torch.linspace(1, 0, 60 * 64).pow(2)
    source, magnitude = spectrum_of(source + 0.01 * torch.randn(1, 60 * 64)), spectrum_of(target).abs()
    as_it_is = inconsistency(SourcePhase(), magnitude, source)
    plain = inconsistency(GriffinLim(n_iterations=20, momentum=0.0), magnitude, source)
    fast = inconsistency(GriffinLim(n_iterations=20), magnitude, source)
    assert plain < as_it_is - 3
    assert fast < plain


def test_a_second_network_sees_magnitudes_and_phase_and_does_not_teach_the_first():
    torch.manual_seed(0)
    phase = PhaseNetwork(UNet(4, 2, channels=(8, 8)))
    source = spectrum_of(torch.randn(1, 64 * 15))
    images = torch.rand(1, 2, 128, 16, requires_grad=True)
    directions = phase.directions(source, images, images[:, :0])
    (directions * direction(source).conj()).imag.square().sum().backward()
    assert images.grad is None
    assert all(parameter.grad.abs().sum() > 0 for parameter in phase.network.encoder.parameters())


def test_silence_has_no_phase_and_a_finite_gradient():
    turn = torch.full((1, 2, 129, 4), -1.0, requires_grad=True)
    result = rotated(torch.zeros(1, 129, 4, dtype=torch.complex64), turn)
    result.abs().sum().backward()
    assert not result.any() and turn.grad.isfinite().all()
