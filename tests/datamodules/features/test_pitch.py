import importlib.util
import math

import pytest
import torch

from datamodules.corpora.corpus import CorpusError
from datamodules.features.frames import n_frames
from datamodules.features.pitch import CrepeTracker, PestoTracker, PitchTracker, PyinTracker

needs_crepe = pytest.mark.skipif(
    importlib.util.find_spec("torchcrepe") is None, reason="the optional package torchcrepe is not installed"
)
TRACKERS = [
    pytest.param(PestoTracker(), id="pesto"),
    pytest.param(PyinTracker(), id="pyin"),
    pytest.param("crepe", id="crepe", marks=needs_crepe),
]
STEADY = slice(60, -60)
BRIGHT = [1 / h for h in range(1, 13)]
HOLLOW = [1, 0, 0.5, 0, 0.3, 0, 0.2]
"""Odd harmonics, as a clarinet's."""
DARK = [1.0, 0.2, 0.05]


@pytest.fixture
def tracker(request: pytest.FixtureRequest) -> PitchTracker:
    return CrepeTracker("tiny") if request.param == "crepe" else request.param


def harmonic_tone(
    f0_hz: float, sample_rate: int, harmonics: list[float], seconds: float = 1.0
) -> torch.Tensor:
    times = torch.arange(round(seconds * sample_rate), dtype=torch.float64) / sample_rate
    partials = [
        a * torch.sin(2 * math.pi * f0_hz * h * times + h)
        for h, a in enumerate(harmonics, 1)
        if f0_hz * h < 0.45 * sample_rate
    ]
    return (0.2 * torch.stack(partials).sum(0)).float()[None]


def cents(f0_hz: torch.Tensor, true_hz: float) -> torch.Tensor:
    return 1200 * torch.log2(f0_hz / true_hz).abs()


@pytest.mark.parametrize("harmonics", [BRIGHT, HOLLOW, DARK], ids=["bright", "hollow", "dark"])
@pytest.mark.parametrize("f0_hz", [80.0, 146.8, 261.6, 440.0, 698.5, 1000.0])
@pytest.mark.parametrize("sample_rate", [16000, 24000, 44100])
def test_pesto_hears_a_known_tone(sample_rate: int, f0_hz: float, harmonics: list[float]) -> None:
    pitch = PestoTracker()(harmonic_tone(f0_hz, sample_rate, harmonics), sample_rate)
    assert cents(pitch.f0_hz[:, STEADY], f0_hz).max() < 35
    assert pitch.confidence[:, STEADY].min() > 0.9


@pytest.mark.parametrize("tracker", TRACKERS[1:], indirect=True)
@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_the_other_trackers_hear_it_too(tracker: PitchTracker, sample_rate: int) -> None:
    for f0_hz in (110.0, 440.0, 1000.0):
        pitch = tracker(harmonic_tone(f0_hz, sample_rate, BRIGHT, 0.8), sample_rate)
        assert cents(pitch.f0_hz[:, STEADY], f0_hz).max() < 35
        assert pitch.confidence[:, STEADY].min() > 0.5


@pytest.mark.parametrize("tracker", TRACKERS, indirect=True)
def test_silence_is_unvoiced_and_noise_is_doubtful(tracker: PitchTracker) -> None:
    noise = torch.randn(1, 12000, generator=torch.Generator().manual_seed(0)) * 0.1
    assert tracker(torch.zeros(1, 8000), 16000).confidence.max() == 0
    assert tracker(noise, 16000).confidence.median() < 0.35


@pytest.mark.parametrize("gain_db", [-40, -20, 0])
def test_the_level_of_a_tone_or_a_noise_does_not_change_confidence(gain_db: int) -> None:
    gain = 10 ** (gain_db / 20)
    noise = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)) * 0.3
    assert PestoTracker()(gain * harmonic_tone(330.0, 16000, BRIGHT), 16000).confidence[:, STEADY].min() > 0.9
    assert PestoTracker()(gain * noise, 16000).confidence.median() < 0.35


@pytest.mark.parametrize("tracker", TRACKERS, indirect=True)
@pytest.mark.parametrize("n_samples", [0, 1, 10, 441, 5000])
def test_any_length_has_the_promised_frames(tracker: PitchTracker, n_samples: int) -> None:
    for sample_rate in (16000, 44100):
        pitch = tracker(torch.randn(2, n_samples) * 0.1, sample_rate)
        assert pitch.f0_hz.shape == pitch.confidence.shape == (2, n_frames(n_samples, sample_rate))
        assert pitch.f0_hz.isfinite().all() and (n_samples == 0 or pitch.f0_hz.min() > 0)
        assert ((pitch.confidence >= 0) & (pitch.confidence <= 1)).all()


@pytest.mark.parametrize("tracker", TRACKERS, indirect=True)
@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_a_change_of_pitch_is_heard_when_it_happens(tracker: PitchTracker, sample_rate: int) -> None:
    first, second = (harmonic_tone(f, sample_rate, BRIGHT, 0.5) for f in (330.0, 494.0))
    f0_hz = tracker(torch.cat([first, second], -1), sample_rate).f0_hz[0]
    change_s = (f0_hz > math.sqrt(330.0 * 494.0)).int().argmax().item() / 250
    assert abs(change_s - 0.5) < 0.025


def test_a_minute_at_44100_hz_does_not_drift() -> None:
    audio = torch.zeros(1, 44100 * 60)
    audio[:, 44100 * 59 :] = harmonic_tone(330.0, 44100, BRIGHT)
    confidence = PestoTracker()(audio, 44100).confidence[0]
    onset_s = (confidence > 0.5).int().argmax().item() / 250
    assert abs(onset_s - 59) < 0.05


def test_crepe_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"torchcrepe.*pip install"):
        CrepeTracker()
