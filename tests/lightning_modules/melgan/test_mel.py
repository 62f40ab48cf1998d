"""Mel frames lie where a tanh can reach all of them, and can be taken back."""

import librosa
import numpy as np
import pytest
import torch

from lightning_modules.melgan.mel import LogMel, mel_filters
from tests.lightning_modules.melgan.conftest import tone

SIGNALS = {
    "silence": torch.zeros(1, 16_000),
    "tone": tone(440.0, 16_000, 1.0, partials=(1,)),
    "low tone": tone(97.0, 16_000, 1.0, partials=(1,)),
    "square": tone(200.0, 16_000, 1.0, partials=(1,)).sign(),
    "noise": torch.rand(1, 16_000, generator=torch.Generator().manual_seed(0)).mul(2).sub(1).sign(),
}


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 44_100])
@pytest.mark.parametrize("name", SIGNALS)
def test_full_scale_audio_stays_in_range(name, sample_rate):
    frames = LogMel()(SIGNALS[name], sample_rate)
    assert frames.min() >= -1 and frames.max() <= 1


@pytest.mark.parametrize("n_mels", [80, 128])
def test_the_range_is_used_and_not_wasted(n_mels):
    loudest = max(LogMel(n_mels)(audio, 22_050).max().item() for audio in SIGNALS.values())
    assert loudest > 0.9
    assert (LogMel(n_mels)(SIGNALS["silence"], 22_050) == -1).all()


def test_denormalising_undoes_normalising():
    mel = LogMel()
    magnitudes = mel.magnitudes(SIGNALS["square"], 16_000).clamp(min=mel.floor)
    frames = mel.normalised(magnitudes, 16_000)
    torch.testing.assert_close(mel.denormalised(frames, 16_000), magnitudes, rtol=1e-4, atol=0)
    torch.testing.assert_close(mel.normalised(mel.denormalised(frames, 16_000), 16_000), frames)


def test_a_tenth_of_the_level_is_a_fixed_step_down():
    mel, audio = LogMel(), SIGNALS["tone"]
    loud, quiet = mel(audio, 16_000)[0, :, 20], mel(audio / 10, 16_000)[0, :, 20]
    heard = quiet > -1
    step = 2 * np.log(10) / np.log(mel.ceiling(16_000) / mel.floor)
    torch.testing.assert_close(
        (loud - quiet)[heard], torch.full((int(heard.sum()),), step).float(), atol=1e-3, rtol=0
    )


def test_filters_are_those_of_librosa():
    expected = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=80).T
    np.testing.assert_allclose(mel_filters(22_050, 1024, 80).numpy(), expected, atol=1e-6)


def test_a_click_is_in_the_frame_whose_samples_hold_it():
    audio = torch.zeros(1, 4096)
    audio[0, 8 * 256 + 128] = 1.0
    assert LogMel().magnitudes(audio, 16_000)[0].sum(0).argmax().item() == 8


@pytest.mark.parametrize(("n_samples", "n_frames"), [(1, 1), (255, 1), (256, 1), (257, 2), (8192, 32)])
def test_frames_cover_the_audio(n_samples, n_frames):
    assert LogMel()(torch.randn(2, n_samples).clamp(-1, 1), 16_000).shape == (2, 80, n_frames)
