"""The representation: what goes in comes back, with and without normalisation."""

import math

import pytest
import torch

from datamodules.features.spectrum_statistics import Statistics
from lightning_modules.disentangled.spectra import Normalisation, Representation, parts

RATE = 16_000
REPRESENTATION = Representation(n_fft=512, hop=128, n_semitones=60)


@pytest.fixture
def audio():
    torch.manual_seed(0)
    return 0.1 * torch.randn(2, 512 + 128 * 20)


@pytest.fixture
def normalisation():
    torch.manual_seed(0)
    normalisation = Normalisation(REPRESENTATION.n_bins)
    normalisation.adopt(Statistics(0.01 * torch.randn(2, 317), 0.1 * torch.rand(2, 317) + 0.01))
    return normalisation


def test_a_full_scale_sine_has_magnitude_one_in_both_transforms():
    t = torch.arange(RATE) / RATE
    magnitude = REPRESENTATION.analyse(torch.sin(2 * math.pi * 1000 * t)[None], RATE).abs()[0, :, 60]
    assert magnitude[:257].argmax() == 32 and magnitude[32].item() == pytest.approx(1, abs=1e-3)
    assert magnitude[257:].argmax() == round(12 * math.log2(1000 / 32.703))


def test_synthesis_inverts_analysis(audio):
    spectra = REPRESENTATION.analyse(audio, RATE)
    assert spectra.shape == (2, 257 + 60, 21)
    back = REPRESENTATION.synthesise(spectra[:, :257])
    assert back.shape[-1] == REPRESENTATION.n_samples(21)
    torch.testing.assert_close(back, audio[:, 256:-256], atol=1e-5, rtol=1e-4)


def test_both_transforms_are_of_the_same_frames():
    """A click is loudest in the same frame of both."""
    click = torch.zeros(1, 512 + 128 * 20)
    click[0, 256 + 128 * 7] = 1.0
    magnitude = REPRESENTATION.analyse(click, RATE).abs()[0]
    assert magnitude[:257].sum(0).argmax() == 7
    assert magnitude[-12:].sum(0).argmax() == 7


def test_denormalising_inverts_normalising(audio, normalisation):
    spectra = REPRESENTATION.analyse(audio, RATE)
    torch.testing.assert_close(normalisation.inverse(normalisation(spectra)), spectra, atol=1e-6, rtol=1e-4)


def test_spectra_are_normalised_by_their_own_statistics(audio):
    spectra = parts(REPRESENTATION.analyse(audio, RATE))
    normalisation = Normalisation(REPRESENTATION.n_bins)
    frames = spectra.transpose(0, 2).flatten(2).transpose(0, 1)  # (2, K, B · N)
    normalisation.adopt(Statistics(frames.mean(-1), frames.std(-1)))
    normalised = normalisation(REPRESENTATION.analyse(audio, RATE))
    assert normalised.mean((0, 3)).abs().max() < 1e-4
    real = normalised[:, 0].transpose(0, 1).flatten(1)  # the lowest and highest bin have no imaginary part
    torch.testing.assert_close(real.std(-1), torch.ones(317), atol=1e-3, rtol=1e-3)


def test_bins_that_are_nearly_empty_in_the_corpus_do_not_amplify_noise():
    """Where the corpus has nothing, noise 60 dB below its loudest bin is no louder than music elsewhere."""
    normalisation = Normalisation(REPRESENTATION.n_bins)
    deviation = torch.full((2, 317), 1e-9)
    deviation[:, 20:40] = 0.1
    normalisation.adopt(Statistics(torch.zeros(2, 317), deviation))
    noise, music = (torch.full((1, 317, 5), level, dtype=torch.complex64) for level in (1e-4, 0.1))
    assert normalisation(noise).abs().max() <= 0.1 + 1e-6
    assert normalisation(music)[:, 0, 20:40].mean() == pytest.approx(1)


def test_magnitudes_come_back_from_levels(audio, normalisation):
    magnitude = REPRESENTATION.analyse(audio, RATE)[:, :257].abs()
    torch.testing.assert_close(
        normalisation.magnitude(normalisation.level(magnitude)), magnitude, atol=1e-4, rtol=1e-3
    )


def test_the_scale_of_levels(normalisation):
    deviation = normalisation.std.square().sum(0).sqrt()[:257, None].expand(1, -1, 3)
    assert normalisation.level(0 * deviation).abs().max() < 1e-5
    torch.testing.assert_close(normalisation.level(deviation), torch.ones(1, 257, 3), atol=1e-3, rtol=0)
    assert normalisation.magnitude(torch.full((1, 257, 3), -1.0)).max() < 1e-6
