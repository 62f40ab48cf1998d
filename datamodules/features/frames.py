"""Frame-wise features of monophonic audio (f0, confidence, loudness) and their cache beside a corpus.

Frame ``n`` is centred on sample ``round(n · sr / 250)``. The centre is rounded anew for every frame, so a
hop that is no whole number of samples (176.4 at 44.1 kHz) is never more than half a sample off and does
not add up over time. Audio of ``T`` samples has ``N = ceil(T · 250 / sr)`` frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.audio.levels import a_weighting
from datamodules.batch import FRAME_RATE_HZ
from datamodules.corpora.corpus import Corpus, CorpusError, Item, read_pcm
from datamodules.features.pitch import PitchTracker
from runtime.files import one_at_a_time, write_beside
from runtime.workers import run_jobs

LOUDNESS_FLOOR_DB = -80.0
"""Loudness of silence."""
WINDOW_S = 0.032
"""Length of the window; 512 samples at 16 kHz."""
_FRAMES_AT_ONCE = 16384
"""Bound on the memory of the framed audio (100 MB at 44.1 kHz), for audio of any length."""
_NPY_HEADER_BYTES = 128


def n_frames(n_samples: int, sample_rate: int) -> int:
    """Count the feature frames of ``n_samples`` samples: ``ceil(n_samples · 250 / sample_rate)``."""
    return -(-n_samples * FRAME_RATE_HZ // sample_rate)


def frame_centres(count: int, sample_rate: int, device: torch.device | None = None) -> Tensor:
    """Give the samples on which the first ``count`` frames are centred, ``(N,)`` long."""
    n = torch.arange(count, device=device)
    # round(n · sr / 250) in whole numbers is exact for hours of audio, which float32 is not.
    return (2 * n * sample_rate + FRAME_RATE_HZ) // (2 * FRAME_RATE_HZ)


def loudness_db(audio: Tensor, sample_rate: int) -> Tensor:
    """Measure the A-weighted power of each frame, in dB re full scale, at least −80.

    The power spectrum of a 32 ms Hann window (512 points at 16 kHz), weighted and summed; by Parseval's
    theorem the sum is the mean square of the windowed, A-weighted signal, so the value does not depend
    on the sample rate or on the FFT's length. Differentiable above the floor.

    Args:
        audio: ``(B, T)`` in [−1, 1], any length; it is taken as silent before its start and after its end.
        sample_rate: in Hz.

    Returns:
        ``(B, N)`` loudness in dB, 250 frames a second; a 1 kHz sine of amplitude 1 reads −3.01.
    """
    count = n_frames(audio.shape[-1], sample_rate)
    if count == 0:
        return audio.new_zeros(len(audio), 0)
    window, weights = (x.to(audio) for x in _window_and_weights(sample_rate))
    half = len(window) // 2
    padded = torch.nn.functional.pad(audio, (half, half + sample_rate // FRAME_RATE_HZ + 1))
    centres = frame_centres(count, sample_rate, audio.device)
    taps = torch.arange(len(window), device=audio.device)
    n_fft = 2 * (len(weights) - 1)
    blocks = []
    for block in centres.split(max(1, _FRAMES_AT_ONCE // max(1, len(audio)))):
        spectrum = torch.fft.rfft(padded[:, block[:, None] + taps] * window, n_fft)
        blocks.append((spectrum.real.square() + spectrum.imag.square()) @ weights)
    return 10 * torch.log10(torch.cat(blocks, dim=-1).clamp(min=10 ** (LOUDNESS_FLOOR_DB / 10)))


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept may meet gradients later
def _window_and_weights(sample_rate: int) -> tuple[Tensor, Tensor]:
    length = 2 * round(WINDOW_S * sample_rate / 2)
    n_fft = 2 ** math.ceil(math.log2(length))
    window = torch.hann_window(length, dtype=torch.float64)
    weights = torch.from_numpy(a_weighting(np.fft.rfftfreq(n_fft, 1 / sample_rate)))
    weights[1:-1] *= 2  # the negative frequencies that a real FFT leaves out
    return window.float(), (weights / (n_fft * window.square().sum())).float()  # Parseval


class FeatureCache:
    """Features of a corpus' items in ``<corpus>/features/<tracker>-250/<stem>.npy``, float32 ``(3, N)``.

    The rows are f0 in Hz, its confidence and the loudness in dB. `build` computes every file that is missing
    or has another length than its audio demands, so that an interrupted build is resumed.

    Args:
        corpus: an open corpus.
        pitch_tracker: gives f0 and confidence; its name is part of the folder's name.
    """

    def __init__(self, corpus: Corpus, pitch_tracker: PitchTracker) -> None:
        self.corpus = corpus
        self.pitch_tracker = pitch_tracker
        self.root = corpus.root / "features" / f"{pitch_tracker.name}-{FRAME_RATE_HZ}"

    def path(self, item: Item) -> Path:
        """Name the file with the features of ``item``."""
        return self.root / f"{item.stem}.npy"

    def missing(self, items: Iterable[Item]) -> list[Item]:
        """List the items whose features are missing or not whole."""
        return [item for item in items if not self._is_whole(item)]

    def read(self, item: Item, start: int = 0, count: int | None = None) -> np.ndarray:
        """Read frames ``start … start + count`` of ``item``, float32 ``(3, ≤ count)``; fewer at the end."""
        total = n_frames(item.n_samples, self.corpus.sample_rate)
        count = min(total - start, total if count is None else count)
        # Three seeks; mapping the file would cost ten times as much.
        with self.path(item).open("rb") as file:
            rows = np.empty((3, count), np.float32)
            for row in range(3):
                file.seek(_NPY_HEADER_BYTES + rows.itemsize * (row * total + start))
                rows[row] = np.fromfile(file, np.float32, count)
        return rows

    def build(self, items: Sequence[Item], workers: int | None = None, progress: bool = True) -> None:
        """Compute missing features with one process a core; where another process does so, wait for it.

        Args:
            items: items whose features are wanted.
            workers: processes; ``None`` is one a core.
            progress: show a progress bar.
        """
        if not self.missing(items):
            return
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(self.root):
                # Again, under the lock: another process may have done it meanwhile. Longest first, so that
                # no core is left with a long file at the end.
                items = sorted(self.missing(items), key=lambda item: -item.n_samples)
                jobs = [self._job(item) for item in items]
                title = f"Features ({self.pitch_tracker.name})"
                for _ in run_jobs(compute_features, jobs, title, workers, progress):
                    pass
        except OSError as error:
            raise CorpusError(
                f"{self.root} cannot be written: {error.strerror or error}. Make room or give write access, "
                "and start again; what is computed already is kept."
            ) from error

    def _job(self, item: Item) -> FeatureJob:
        audio_path, path = self.corpus.audio_path(item), self.path(item)
        return FeatureJob(audio_path, path, self.corpus.sample_rate, self.pitch_tracker)

    def _is_whole(self, item: Item) -> bool:
        frames = n_frames(item.n_samples, self.corpus.sample_rate)
        try:
            return self.path(item).stat().st_size == _NPY_HEADER_BYTES + 3 * 4 * frames
        except OSError:
            return False


class FeatureJob(NamedTuple):
    """The features of one file, to be computed by one process."""

    audio_path: Path
    feature_path: Path
    sample_rate: int
    pitch_tracker: PitchTracker

    def __str__(self) -> str:
        """Name the file."""
        return f"The features of {self.audio_path}"


def compute_features(job: FeatureJob) -> None:
    """Compute and write the features of one audio file."""
    audio = torch.from_numpy(read_pcm(job.audio_path))[None]
    with torch.inference_mode():
        pitch = job.pitch_tracker(audio, job.sample_rate)
        rows = torch.cat([pitch.f0_hz, pitch.confidence, loudness_db(audio, job.sample_rate)])
    with write_beside(job.feature_path) as file:
        np.save(file, rows.float().numpy())
