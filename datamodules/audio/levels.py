"""How loud audio is, in NumPy: for building corpora without importing torch."""

from __future__ import annotations

from functools import cache

import numpy as np

FRAME_LENGTH = 512
HOP_LENGTH = 256
FLOOR_DB = -80.0
AUDIBLE_DB = -60.0
"""Frames below this are rests; they do not count in a mean level."""


@cache
def a_weighting(sample_rate: int, n_fft: int = FRAME_LENGTH) -> np.ndarray:
    """``(n_fft // 2 + 1,)`` power gain of the A curve (IEC 61672-1, annex E) at FFT bins; 1 at 1 kHz."""
    f_squared = np.fft.rfftfreq(n_fft, 1 / sample_rate) ** 2
    pole_1, pole_2, pole_3, pole_4 = 20.598997**2, 107.65265**2, 737.86223**2, 12194.217**2
    amplitude = (pole_4 * f_squared**2) / (
        (f_squared + pole_1) * np.sqrt((f_squared + pole_2) * (f_squared + pole_3)) * (f_squared + pole_4)
    )
    return (10 ** (2.0 / 20) * amplitude) ** 2


def loudness_frames_db(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """A-weighted mean square of Hann-windowed frames in dB re full scale, floor −80 dB.

    A sine of amplitude 1 at 1 kHz reads −3 dB. Frames of 512 samples, 256 apart, not padded.

    Args:
        audio: ``(T,)``, in [−1, 1].
        sample_rate: in Hz.

    Returns:
        ``(max(1, 1 + (T − 512) // 256),)`` dB.
    """
    if len(audio) < FRAME_LENGTH:
        audio = np.pad(audio, (0, FRAME_LENGTH - len(audio)))
    frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME_LENGTH)[::HOP_LENGTH]
    window = np.hanning(FRAME_LENGTH + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * window)
    power = spectrum.real**2 + spectrum.imag**2
    # Parseval: twice the one-sided power over n · Σ window² is the mean square of the frame.
    weights = 2 * a_weighting(sample_rate) / (FRAME_LENGTH * np.sum(window.astype(np.float64) ** 2))
    return np.maximum(10 * np.log10(power @ weights + 1e-20), FLOOR_DB)


def mean_loudness_db(audio: np.ndarray, sample_rate: int) -> float:
    """Mean of the frames above −60 dB, in dB; −80 where there is none (silence)."""
    frames_db = loudness_frames_db(audio, sample_rate)
    audible = frames_db[frames_db > AUDIBLE_DB]
    return float(audible.mean()) if len(audible) else FLOOR_DB


def normalised(audio: np.ndarray, loudness_db: float, wanted_db: float, peak: float = 0.97) -> np.ndarray:
    """Scale ``audio`` from ``loudness_db`` to ``wanted_db``, or as far as its peak stays at ``peak``.

    One gain for the whole, so that dynamics stay; never clips.
    """
    highest = float(np.max(np.abs(audio), initial=0.0))
    if highest == 0.0:
        return audio
    return audio * np.float32(min(10 ** ((wanted_db - loudness_db) / 20), peak / highest))
