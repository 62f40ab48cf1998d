"""Characteristics of the files of a corpus: level, dynamics, rests, brightness, noisiness, and a map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.corpora.corpus import Corpus, Item, read_pcm
from datamodules.corpora.maps import Points, save_maps
from runtime.messages import say
from runtime.workers import run_jobs

N_FFT, HOP = 1024, 512
REST_DB = -60.0
"""A frame whose root mean square is below this level, in dB re full scale, is a rest."""
N_MFCC = 20


class Characteristics(NamedTuple):
    """What one file is like."""

    seconds: float
    """Length of the file."""
    peak_db: float
    """Highest absolute sample, in dB re full scale."""
    rms_db: float
    """Root mean square, in dB re full scale."""
    rests: float
    """Share of the frames below −60 dB."""
    centroid_hz: float
    """Mean frequency of a frame's magnitudes in Hz, averaged over the frames that are no rests."""
    bandwidth_hz: float
    """Standard deviation of frequency around the centroid in Hz, averaged over the same frames."""
    flatness: float
    """Geometric over arithmetic mean of power: near 0 for tones, 0.56 for white noise."""
    dynamics_db: float
    """Decibels from the softest to the loudest twentieth of the frames that are no rests."""


class Measurement(NamedTuple):
    """What is measured of one file."""

    characteristics: Characteristics
    mfcc: np.ndarray
    """``(2 · N_MFCC,)`` mean and standard deviation of the cepstral coefficients, near for files that sound
    alike."""


def measure_items(
    corpus: Corpus, items: Iterable[Item], progress: bool = True
) -> list[tuple[Item, Measurement]]:
    """Measure the files of ``items`` with one process a core; those that cannot be read are left out."""
    wanted = {corpus.audio_path(item): item for item in items}
    jobs = [(path, corpus.sample_rate) for path in wanted]
    results = run_jobs(_measure, jobs, "Measuring", None, progress, _left_out)
    found = {path: measurement for (path, _), measurement in results}
    return [(item, measurement) for path, item in wanted.items() if (measurement := found[path])]


def _left_out(job: tuple[Path, int], reason: str) -> None:
    say(f"{job[0]} is left out: {reason}")


def _measure(job: tuple[Path, int]) -> Measurement | None:
    path, sample_rate = job
    return measure(read_pcm(path), sample_rate)


def measure(audio: np.ndarray, sample_rate: int) -> Measurement:
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
    characteristics = Characteristics(
        seconds=len(audio) / sample_rate,
        peak_db=_db(np.abs(padded).max()),
        rms_db=_db(np.sqrt(np.mean(padded**2))),
        rests=float(1 - sounding.mean()),
        centroid_hz=float(centroid.mean()),
        bandwidth_hz=float(bandwidth.mean()),
        flatness=float(librosa.feature.spectral_flatness(S=magnitude).mean()),
        dynamics_db=_db(loud) - _db(soft),
    )
    return Measurement(characteristics, np.concatenate([mfcc.mean(1), mfcc.std(1)]))


def save_map(path: Path, files: Sequence[tuple[Item, Measurement]]) -> None:
    """Draw maps on which files that sound alike are near, by instrument and by split, into a PNG file."""
    values = np.stack([measurement.mfcc for _, measurement in files])
    maps = {
        "by instrument": Points(values, [item.instrument for item, _ in files]),
        "by split": Points(values, [item.split for item, _ in files]),
    }
    save_maps(path, maps)


def by_instrument(files: Iterable[tuple[Item, Measurement]]) -> dict[tuple[str, str], Characteristics]:
    """Average every characteristic over the files of each split and instrument."""
    groups: dict[tuple[str, str], list[Characteristics]] = defaultdict(list)
    for item, (characteristics, _) in files:
        groups[item.split, item.instrument].append(characteristics)
    return {key: Characteristics(*np.mean(group, axis=0).tolist()) for key, group in sorted(groups.items())}


def _db(amplitude: float) -> float:
    return float(20 * np.log10(max(amplitude, 1e-5)))
