import math
import os

import librosa
import numpy as np
import pytest
import torch

from datamodules.corpora.corpus import Corpus, CorpusError
from datamodules.features.frames import (
    FeatureCache,
    frame_centres,
    loudness_db,
    n_frames,
)
from datamodules.features.pitch import Pitch, PitchTracker

RATES = [16000, 22050, 24000, 44100, 48000]


def tone(frequency_hz: float, sample_rate: int, seconds: float = 1.0, amplitude: float = 1.0) -> torch.Tensor:
    times = torch.arange(round(seconds * sample_rate), dtype=torch.float64) / sample_rate
    return (amplitude * torch.sin(2 * math.pi * frequency_hz * times)).float()[None]


class CountingTracker(PitchTracker):
    """Tracks nothing, and leaves a mark for every call, across processes."""

    def __init__(self, marks: str, name: str = "counting") -> None:
        self.marks = marks
        self.name = name

    def __call__(self, audio: torch.Tensor, sample_rate: int) -> Pitch:
        with open(self.marks, "a") as file:
            file.write("x")
        frames = torch.full((1, n_frames(audio.shape[-1], sample_rate)), 220.0)
        return Pitch(frames, torch.ones_like(frames))


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("frequency_hz", [250.0, 1000.0, 4000.0])
def test_a_sine_reads_its_mean_square_plus_its_weight(frequency_hz: float, sample_rate: int) -> None:
    steady = loudness_db(tone(frequency_hz, sample_rate, amplitude=0.5), sample_rate)[0, 20:-20]
    mean_square_db = 10 * math.log10(0.5**2 / 2)
    expected_db = mean_square_db + librosa.A_weighting([frequency_hz])[0]
    assert torch.allclose(steady, torch.tensor(expected_db, dtype=torch.float32), atol=0.1)


def test_loudness_agrees_with_librosas_spectrogram() -> None:
    audio = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    power = np.abs(librosa.stft(audio[0].numpy(), n_fft=512, hop_length=64)) ** 2
    weights = 10 ** (librosa.A_weighting(librosa.fft_frequencies(sr=16000, n_fft=512), min_db=None) / 10)
    weights[1:-1] *= 2
    expected_db = 10 * np.log10(weights @ power / (512 * np.sum(np.hanning(513)[:-1] ** 2)))
    assert np.allclose(loudness_db(audio, 16000)[0], expected_db[:250], atol=0.01)


def test_silence_is_the_floor_and_gain_shifts_by_its_decibels() -> None:
    audio = torch.randn(1, 8000, generator=torch.Generator().manual_seed(1)) * 0.1
    assert torch.equal(loudness_db(torch.zeros(1, 8000), 16000), torch.full((1, 125), -80.0))
    assert torch.allclose(loudness_db(audio / 2, 16000), loudness_db(audio, 16000) - 6.0206, atol=1e-3)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("n_samples", [0, 1, 10, 63, 64, 65, 4000, 30001])
def test_any_length_has_the_promised_frames(n_samples: int, sample_rate: int) -> None:
    loudness = loudness_db(torch.ones(2, n_samples), sample_rate)
    assert loudness.shape == (2, math.ceil(n_samples * 250 / sample_rate))
    assert loudness.isfinite().all()


def test_frames_of_44100_hz_do_not_drift() -> None:
    centres = frame_centres(250 * 3600, 44100)
    exact = torch.arange(len(centres), dtype=torch.float64) * 44100 / 250
    assert (centres.double() - exact).abs().max() <= 0.5


def test_a_click_after_a_minute_is_loudest_in_its_own_frame() -> None:
    audio = torch.zeros(1, 44100 * 61)
    audio[0, 44100 * 60] = 1.0
    assert loudness_db(audio, 44100).argmax() == 60 * 250


def test_a_batch_equals_its_items_and_long_audio_its_blocks() -> None:
    audio = torch.randn(2, 16000 * 70, generator=torch.Generator().manual_seed(2)) * 0.1
    together = loudness_db(audio, 16000)
    assert torch.allclose(together[1:], loudness_db(audio[1:], 16000), atol=1e-4)
    middle = loudness_db(audio[:, 16000 * 34 : 16000 * 36], 16000)[:, 10:-10]
    assert torch.allclose(together[:, 250 * 34 + 10 : 250 * 36 - 10], middle, atol=1e-3)


def test_loudness_has_a_gradient() -> None:
    audio = torch.randn(1, 200, dtype=torch.float64) * 0.1
    assert torch.autograd.gradcheck(lambda x: loudness_db(x, 16000), audio.requires_grad_(), atol=1e-3)


def test_the_cache_is_resumed_and_read_back(tiny_corpus: Corpus, tmp_path) -> None:
    items = tiny_corpus.select("train", instrument="violin")[:3]
    marks = tmp_path / "marks"
    cache = FeatureCache(tiny_corpus, CountingTracker(str(marks), f"counting-{os.getpid()}"))
    cache.build(items[:2], workers=1, progress=False)
    cache.build(items, workers=1, progress=False)
    assert marks.read_text() == "xxx"

    cache.path(items[0]).write_bytes(cache.path(items[0]).read_bytes()[:-8])
    assert cache.missing(items) == [items[0]]
    cache.build(items, workers=1, progress=False)
    assert marks.read_text() == "xxxx"

    whole = cache.read(items[0])
    assert whole.shape == (3, n_frames(items[0].n_samples, tiny_corpus.sample_rate))
    assert np.array_equal(cache.read(items[0], 100, 50), whole[:, 100:150])
    audio = torch.from_numpy(tiny_corpus.read(items[0]))[None]
    assert np.allclose(whole[2], loudness_db(audio, tiny_corpus.sample_rate)[0], atol=1e-5)
    assert not list(cache.root.rglob("*.partial"))


def test_a_place_that_cannot_be_written_is_one_sentence(tiny_corpus: Corpus, tmp_path) -> None:
    items = tiny_corpus.select("train", instrument="violin")[:1]
    cache = FeatureCache(tiny_corpus, CountingTracker(str(tmp_path / "marks")))
    cache.root = tmp_path / "file" / "features"
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CorpusError, match="cannot be written") as error:
        cache.build(items, workers=1, progress=False)
    assert "\n" not in str(error.value)
