"""The equaliser finds a known filter, and changes nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchaudio.functional import highpass_biquad, treble_biquad

from metrics.functional.equaliser import equalised
from metrics.functional.signal import lsd_mel_db

RATE = 16000


def noise(seed: int, seconds: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, round(seconds * RATE), generator=generator)


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_a_reference_through_a_filter_gives_that_filter(rate: int) -> None:
    source, other = noise(0), noise(1, 3.0)
    wanted, reference = (treble_biquad(audio, rate, 15.0, 2000.0) for audio in (source, other))
    answer = equalised(source, reference, rate)
    assert lsd_mel_db(answer, wanted, rate) < 0.2 * lsd_mel_db(source, wanted, rate)
    lag = torch.fft.irfft(torch.fft.rfft(answer) * torch.fft.rfft(source).conj()).argmax()
    assert lag == 0


def test_the_sources_own_spectrum_changes_nothing() -> None:
    source = noise(0)
    assert torch.allclose(equalised(source, 3.0 * source, RATE), source, atol=1e-4)


def test_level_is_the_sources_and_notes_stay_in_time() -> None:
    source = noise(0)
    source[:, : source.shape[-1] // 2] = 0.0
    answer = equalised(source, highpass_biquad(noise(1), RATE, 1000.0), RATE)
    assert answer.square().mean() == pytest.approx(float(source.square().mean()), rel=1e-3)
    assert answer[:, : source.shape[-1] // 2 - RATE // 16].abs().max() < 1e-5
    assert torch.allclose(equalised(4.0 * source, noise(1), RATE), 4.0 * equalised(source, noise(1), RATE))


def test_silence_stays_silence_and_a_silent_reference_changes_nothing() -> None:
    silence, source = torch.zeros(1, RATE), noise(0, 1.0)
    assert not equalised(silence, source, RATE).any()
    assert torch.allclose(equalised(source, silence, RATE), source, atol=1e-4)
