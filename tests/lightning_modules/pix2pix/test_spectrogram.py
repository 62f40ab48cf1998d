"""The document's scale and its inverse; known sounds have known images."""

import librosa
import numpy as np
import pytest
import torch

from lightning_modules.pix2pix.spectrogram import (
    AMIN,
    HighBand,
    PredictedHighBand,
    SourceHighBand,
    Spectrogram,
    from_scale,
    to_scale,
)
from tests.lightning_modules.pix2pix.conftest import tone


def test_denormalising_what_was_normalised_is_the_identity():
    magnitude = torch.logspace(-6, 0, 200, dtype=torch.float64)
    torch.testing.assert_close(from_scale(to_scale(magnitude)), magnitude)
    value = torch.linspace(-1, 1, 201, dtype=torch.float64)
    torch.testing.assert_close(to_scale(from_scale(value)), value)


def test_silence_is_minus_one_and_full_scale_is_one():
    assert to_scale(torch.tensor([0.0, 1.0])).tolist() == [-1.0, 1.0]
    assert from_scale(torch.tensor([-1.0, -1.5])).tolist() == [0.0, 0.0]


def test_a_tenth_of_the_scale_is_4_8_db():
    loud, soft = from_scale(torch.tensor([0.5, 0.4]))
    assert 20 * torch.log10(loud / soft).item() == pytest.approx(4.8, abs=0.05)


def test_the_image_is_the_documents():
    audio = 0.1 * torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    magnitude = np.abs(librosa.stft(audio[0].numpy(), n_fft=1024, hop_length=512, pad_mode="constant"))
    magnitude = 2 * magnitude / np.hanning(1024).sum()
    expected = 2 * np.log1p(magnitude / AMIN) / np.log1p(1 / AMIN) - 1
    spectrogram = Spectrogram()
    image = spectrogram.image(spectrogram.analyse(torch.nn.functional.pad(audio, (512, 512))))[0, 0].numpy()
    # The document's window is the symmetric one and ours the periodic, whose sum is larger by 0.1 %.
    np.testing.assert_allclose(image, expected[:256], atol=5e-4)


@pytest.mark.parametrize("n_fft", [256, 512, 1024])
def test_a_full_scale_sine_has_magnitude_one_whatever_the_window(n_fft):
    spectrogram = Spectrogram(n_fft, n_fft // 4, n_fft // 2)
    audio = tone(1000.0, n_samples=8000) / 0.3
    assert spectrogram.analyse(audio)[0, :, 10].abs().max().item() == pytest.approx(1.0, abs=1e-3)


def test_audio_comes_back_without_its_context():
    spectrogram, audio = Spectrogram(1024, 512, 256), torch.randn(2, 512 + 20 * 512 + 512)
    back = spectrogram.synthesise(spectrogram.analyse(audio))
    torch.testing.assert_close(back, audio[:, 512:-512], atol=1e-5, rtol=0)


def test_a_steady_tone_looks_the_same_in_every_frame():
    spectrogram = Spectrogram(256, 64, 128)
    image = spectrogram.image(spectrogram.analyse(tone(1000.0, n_samples=20 * 64)))[:, :, 31:34]  # its bins
    torch.testing.assert_close(image, image[..., :1].expand_as(image), atol=1e-3, rtol=0)


def test_the_magnitude_of_a_perfect_prediction_is_the_targets():
    spectrogram = Spectrogram(256, 64, 128)
    source, target = (spectrogram.analyse(torch.randn(1, 2048)) for _ in range(2))
    magnitude = spectrogram.magnitude(spectrogram.image(target), source)
    torch.testing.assert_close(magnitude[:, :128], target[:, :128].abs(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(magnitude[:, 128:], source[:, 128:].abs())


def test_what_is_above_is_silent_kept_or_follows_the_octave_below():
    source = torch.ones(1, 8, 3)
    kept = 0.5 * source[:, :4]
    assert HighBand()(kept, source)[0, :, 0].tolist() == [0.5] * 4 + [0.0] * 4
    assert SourceHighBand()(kept, source)[0, :, 0].tolist() == [0.5] * 4 + [1.0] * 4
    assert PredictedHighBand()(kept, source)[0, :, 0].tolist() == [0.5] * 8
    assert PredictedHighBand(max_gain_db=20.0)(1000 * kept, source)[0, 7, 0].item() == pytest.approx(10.0)
