"""Levels of audio, in NumPy, so that corpora are built without importing torch."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from datamodules.audio.samples import BLOCK_SAMPLES, Samples, blocks_of

FRAME_LENGTH = 512
HOP_LENGTH = 256
FLOOR_DB = -80.0
"""Level of silence."""
AUDIBLE_DB = -60.0
"""Frames below this level are rests, which do not count in a mean level."""
CORPUS_DB = -23.0
"""Level to which corpora bring their files unless they are told another one."""
HIGHEST_PEAK = 0.97
SOUNDING_RANGE_DB = 40.0
"""Frames further below the loudest one do not count in the level of a recording: they are rests and hiss."""


def a_weighting(frequencies_hz: np.ndarray) -> np.ndarray:
    """A-weighting as a factor on power: 1 at 1 kHz, 0 at 0 Hz (IEC 61672-1, annex E, equation E.6).

    `librosa.A_weighting` gives the same curve in dB, but every process of a build would import librosa for a
    second.

    Args:
        frequencies_hz: any shape.

    Returns:
        The factors, of the same shape, float64.
    """
    f_squared = np.square(frequencies_hz, dtype=np.float64)
    pole_1, pole_2, pole_3, pole_4 = 20.598997**2, 107.65265**2, 737.86223**2, 12194.217**2
    amplitude = (pole_4 * f_squared**2) / (
        (f_squared + pole_1) * np.sqrt((f_squared + pole_2) * (f_squared + pole_3)) * (f_squared + pole_4)
    )
    return (10 ** (2.0 / 20) * amplitude) ** 2


def loudness_frames_db(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Measure the A-weighted mean square of Hann-windowed frames, in dB re full scale, at least −80 dB.

    A sine of amplitude 1 at 1 kHz reads −3 dB. Frames of 512 samples, 256 apart, not padded.

    Args:
        audio: ``(T,)`` in [−1, 1].
        sample_rate: in Hz.

    Returns:
        ``(max(1, 1 + (T − 512) // 256),)`` dB.
    """
    if len(audio) < FRAME_LENGTH:
        audio = np.pad(audio, (0, FRAME_LENGTH - len(audio)))
    frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME_LENGTH)[::HOP_LENGTH]
    window, weights = _window_and_weights(sample_rate)
    spectrum = np.fft.rfft(frames * window)
    power = spectrum.real**2 + spectrum.imag**2
    return np.maximum(10 * np.log10(power @ weights + 1e-20), FLOOR_DB)


@cache
def _window_and_weights(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    window = np.hanning(FRAME_LENGTH + 1)[:-1].astype(np.float32)
    gains = a_weighting(np.fft.rfftfreq(FRAME_LENGTH, 1 / sample_rate))
    # Parseval: twice the one-sided power over n · Σ window² is the mean square of the frame.
    return window, 2 * gains / (FRAME_LENGTH * np.sum(window.astype(np.float64) ** 2))


def mean_loudness_db(audio: np.ndarray, sample_rate: int) -> float:
    """Average the levels of the frames above −60 dB, in dB; −80 where there is none."""
    frames_db = loudness_frames_db(audio, sample_rate)
    audible = frames_db[frames_db > AUDIBLE_DB]
    return float(audible.mean()) if len(audible) else FLOOR_DB


def normalised(audio: np.ndarray, loudness_db: float, wanted_db: float) -> np.ndarray:
    """Scale ``audio`` from ``loudness_db`` to ``wanted_db``, or as far as its peak stays at `HIGHEST_PEAK`.

    One gain is applied to the whole, so that its dynamics stay and nothing clips.
    """
    highest = float(np.max(np.abs(audio), initial=0.0))
    if highest == 0.0:
        return audio
    return audio * np.float32(gain_to(wanted_db, loudness_db, highest))


def gain_to(wanted_db: float, loudness_db: float, peak: float) -> float:
    """Give the gain that brings audio to a loudness, or its peak to `HIGHEST_PEAK` if that is less."""
    return min(10 ** ((wanted_db - loudness_db) / 20), HIGHEST_PEAK / peak)


class Level(NamedTuple):
    """The level of a recording; another gain changes all of it alike, and padding with silence nothing."""

    loudness_db: float
    """Mean A-weighted loudness of the frames within 40 dB of the loudest one, in dB re full scale."""
    loudest_db: float
    """Loudness of the loudest frame."""
    peak: float
    """The largest magnitude of a sample."""

    @property
    def is_silent(self) -> bool:
        """Whether no frame is louder than −80 dB, as the noise of a 16-bit file is."""
        return self.loudest_db <= FLOOR_DB


def level_of(audio: Samples, sample_rate: int) -> Level:
    """Measure the level of audio of any length and loudness, block by block."""
    peak = max((float(np.abs(block).max()) for block in blocks_of(audio)), default=0.0)
    if peak == 0.0:
        return Level(FLOOR_DB, FLOOR_DB, peak)
    # At full scale, as the floor of loudness would flatten a quiet recording.
    frames_db = np.concatenate(
        [
            loudness_frames_db(
                audio[start : start + BLOCK_SAMPLES + FRAME_LENGTH - HOP_LENGTH] / peak, sample_rate
            )
            for start in range(0, max(1, len(audio) - FRAME_LENGTH + 1), BLOCK_SAMPLES)
        ]
    )
    peak_db, loudest_db = 20 * np.log10(peak), frames_db.max()
    sounding = frames_db[frames_db > loudest_db - SOUNDING_RANGE_DB]
    return Level(float(peak_db + sounding.mean()), float(peak_db + loudest_db), peak)
