"""What the files of a corpus are like, measured: level, dynamics, rests, brightness, noisiness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.corpora.corpus import Corpus, Item, read_pcm
from datamodules.corpora.maps import Points, save_maps
from runtime.workers import run_jobs

N_FFT, HOP = 1024, 512
REST_DB = -60.0
"""A frame whose root mean square is below this, re full scale, is a rest."""
N_MFCC = 20


class Trace(NamedTuple):
    """Characteristics of one file."""

    seconds: float
    peak_db: float
    """Highest sample, re full scale."""
    rms_db: float
    """Root mean square, re full scale."""
    rests: float
    """Share of the frames below −60 dB."""
    centroid_hz: float
    """Mean frequency of a frame's magnitudes, mean over frames that are no rests."""
    bandwidth_hz: float
    """Standard deviation of frequency around it, likewise."""
    flatness: float
    """Geometric over arithmetic mean of power: near 0 for tones, 0.56 for white noise."""
    dynamics_db: float
    """From the softest to the loudest twentieth of the frames that are no rests."""


class Measured(NamedTuple):
    """A file and what it is like."""

    trace: Trace
    sound: np.ndarray
    """``(2 · N_MFCC,)`` mean and deviation of its cepstral coefficients: near for files that sound alike."""


def measured(corpus: Corpus, items: Iterable[Item], progress: bool = True) -> list[tuple[Item, Measured]]:
    """Measure the files of ``items``, one process a core."""
    wanted = {corpus.audio_path(item): item for item in items}
    jobs = [(path, corpus.sample_rate) for path in wanted]
    found = {job[0]: result for job, result in run_jobs(_measure, jobs, "Measuring", None, progress)}
    return [(item, found[path]) for path, item in wanted.items()]


def _measure(job: tuple[Path, int]) -> Measured:
    path, sample_rate = job
    return measure(read_pcm(path), sample_rate)


def measure(audio: np.ndarray, sample_rate: int) -> Measured:
    """Measure ``(T,)`` audio in [−1, 1]."""
    import librosa

    padded = np.pad(audio, (0, max(0, N_FFT - len(audio))))
    power = np.abs(librosa.stft(padded, n_fft=N_FFT, hop_length=HOP)) ** 2
    rms = librosa.feature.rms(y=padded, frame_length=N_FFT, hop_length=HOP)[0]
    sounding = rms > 10 ** (REST_DB / 20)
    heard = power[:, sounding] if sounding.any() else power
    magnitude, hz = np.sqrt(heard) + 1e-9, np.fft.rfftfreq(N_FFT, 1 / sample_rate)[:, None]
    share = magnitude / magnitude.sum(0)
    centroid = (share * hz).sum(0)
    bandwidth = np.sqrt((share * (hz - centroid) ** 2).sum(0))
    soft, loud = np.quantile(rms[sounding], (0.05, 0.95)) if sounding.any() else (1.0, 1.0)
    mfcc = librosa.feature.mfcc(y=padded, sr=sample_rate, n_mfcc=N_MFCC)
    trace = Trace(
        seconds=len(audio) / sample_rate,
        peak_db=_db(np.abs(padded).max()),
        rms_db=_db(np.sqrt(np.mean(padded**2))),
        rests=float(1 - sounding.mean()),
        centroid_hz=float(centroid.mean()),
        bandwidth_hz=float(bandwidth.mean()),
        flatness=float(librosa.feature.spectral_flatness(S=magnitude).mean()),
        dynamics_db=_db(loud) - _db(soft),
    )
    return Measured(trace, np.concatenate([mfcc.mean(1), mfcc.std(1)]))


def save_variety(path: Path, files: Sequence[tuple[Item, Measured]]) -> None:
    """Draw a map of the files into a PNG, those that sound alike near each other, by instrument and split."""
    values = np.stack([found.sound for _, found in files])
    maps = {
        "by instrument": Points(values, [item.instrument for item, _ in files]),
        "by split": Points(values, [item.split for item, _ in files]),
    }
    save_maps(path, maps)


def by_instrument(files: Iterable[tuple[Item, Measured]]) -> dict[tuple[str, str], Trace]:
    """Mean of every characteristic, by split and instrument."""
    groups: dict[tuple[str, str], list[Trace]] = defaultdict(list)
    for item, (trace, _) in files:
        groups[item.split, item.instrument].append(trace)
    return {key: Trace(*np.mean(traces, axis=0).tolist()) for key, traces in sorted(groups.items())}


def _db(amplitude: float) -> float:
    return float(20 * np.log10(max(amplitude, 1e-5)))
