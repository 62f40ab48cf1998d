"""Augmentation of training audio: each effect draws its parameters once and gives a function of audio.

Drawing is apart from applying, so that a source and its target can pass through the *same* room or gain and
stay a pair. Every effect keeps the length and the alignment of what it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

Transform = Callable[[np.ndarray], np.ndarray]
"""Maps audio ``(T,)`` to audio ``(T,)``, with nothing left to chance."""


def unchanged(audio: np.ndarray) -> np.ndarray:
    """Return ``audio`` as it is, where an effect was not drawn."""
    return audio


class Effect:
    """One kind of change, and how often it happens; the fields of its dataclass are its config."""

    probability: float
    """Share of the examples that it changes, in [0, 1]."""

    def draw(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """Decide by ``rng`` alone whether the effect changes an example, and how."""
        return self.transform(rng, sample_rate) if rng.random() < self.probability else unchanged

    def transform(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """Draw the effect's parameters and return the change that they stand for."""
        raise NotImplementedError


@dataclass(frozen=True)
class Gain(Effect):
    """A change of level.

    Args:
        min_db: softest level, in dB relative to the original.
        max_db: loudest level, in dB relative to the original.
        probability: share of the examples that it changes, in [0, 1].
    """

    min_db: float = -12.0
    max_db: float = 0.0
    probability: float = 0.5

    def transform(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """See `Effect.transform`."""
        factor = np.float32(10 ** (rng.uniform(self.min_db, self.max_db) / 20))
        return lambda audio: audio * factor


@dataclass(frozen=True)
class Equalizer(Effect):
    """Peaking filters at random places, as a microphone or an amplifier colours a sound.

    Biquads of R. Bristow-Johnson's *Cookbook formulae for audio EQ biquad filter coefficients*.

    Args:
        bands: number of filters.
        max_db: largest boost or cut of a filter, in dB.
        min_hz: lowest centre frequency, in Hz.
        max_hz: highest centre frequency, in Hz; never above 0.45 of the sample rate.
        probability: share of the examples that it changes, in [0, 1].
    """

    bands: int = 3
    max_db: float = 6.0
    min_hz: float = 100.0
    max_hz: float = 8000.0
    probability: float = 0.5

    def transform(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """See `Effect.transform`."""
        highest = min(self.max_hz, 0.45 * sample_rate)
        centres_hz = self.min_hz * (highest / self.min_hz) ** rng.random(self.bands)
        gains_db = rng.uniform(-self.max_db, self.max_db, self.bands)
        qualities = rng.uniform(0.5, 2.0, self.bands)
        sections = np.stack(
            [peaking_filter(*band, sample_rate) for band in zip(centres_hz, gains_db, qualities, strict=True)]
        )
        return lambda audio: signal.sosfilt(sections, audio).astype(np.float32)


def peaking_filter(centre_hz: float, gain_db: float, quality: float, sample_rate: int) -> np.ndarray:
    """Design a second-order section, ``(6,)``, with ``gain_db`` at ``centre_hz`` and 0 dB far from it."""
    omega = 2 * math.pi * centre_hz / sample_rate
    alpha = math.sin(omega) / (2 * quality)
    amplitude = 10 ** (gain_db / 40)
    b = [1 + alpha * amplitude, -2 * math.cos(omega), 1 - alpha * amplitude]
    a = [1 + alpha / amplitude, -2 * math.cos(omega), 1 - alpha / amplitude]
    return np.array([*b, *a]) / a[0]


@dataclass(frozen=True)
class Reverb(Effect):
    """A room: exponentially decaying noise (J. A. Moorer, 1979), added to the direct sound, which stays.

    Args:
        min_t60_s: shortest time in which a tail decays by 60 dB, in seconds.
        max_t60_s: longest time in which a tail decays by 60 dB, in seconds.
        min_wet_db: energy of the faintest tail, in dB relative to the direct sound.
        max_wet_db: energy of the strongest tail, in dB relative to the direct sound.
        probability: share of the examples that it changes, in [0, 1].
    """

    min_t60_s: float = 0.15
    max_t60_s: float = 0.8
    min_wet_db: float = -25.0
    max_wet_db: float = -8.0
    probability: float = 0.5

    def transform(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """See `Effect.transform`."""
        t60_s = rng.uniform(self.min_t60_s, self.max_t60_s)
        wet_db = rng.uniform(self.min_wet_db, self.max_wet_db)
        response = room_response(rng, t60_s, wet_db, sample_rate)
        return lambda audio: signal.oaconvolve(audio, response)[: len(audio)].astype(np.float32)


def room_response(rng: np.random.Generator, t60_s: float, wet_db: float, sample_rate: int) -> np.ndarray:
    """Draw an impulse response: 1 at time 0, then a tail of energy ``wet_db`` with decay time ``t60_s``."""
    times_s = np.arange(1, round(t60_s * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(times_s)) * 10 ** (-3 * times_s / t60_s)
    tail *= 10 ** (wet_db / 20) / np.linalg.norm(tail)
    return np.concatenate([[1.0], tail]).astype(np.float32)


@dataclass(frozen=True)
class Delay(Effect):
    """Echoes, each one softer than the last.

    Args:
        min_delay_ms: shortest time between echoes, in ms.
        max_delay_ms: longest time between echoes, in ms.
        min_echo_db: faintest level of the first echo, in dB relative to the sound.
        max_echo_db: strongest level of the first echo, in dB relative to the sound; below 0.
        echoes: number of echoes; echo ``k`` has ``k`` times the first one's level in dB.
        probability: share of the examples that it changes, in [0, 1].
    """

    min_delay_ms: float = 60.0
    max_delay_ms: float = 400.0
    min_echo_db: float = -24.0
    max_echo_db: float = -9.0
    echoes: int = 3
    probability: float = 0.5

    def transform(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """See `Effect.transform`."""
        lag = round(rng.uniform(self.min_delay_ms, self.max_delay_ms) * sample_rate / 1000)
        feedback = np.float32(10 ** (rng.uniform(self.min_echo_db, self.max_echo_db) / 20))

        def with_echoes(audio: np.ndarray) -> np.ndarray:
            wet = audio.copy()
            for echo in range(1, self.echoes + 1):
                wet[echo * lag :] += feedback**echo * audio[: len(audio) - min(len(audio), echo * lag)]
            return wet

        return with_echoes


@dataclass(frozen=True)
class Noise(Effect):
    """The hiss or rumble of a recording: stationary noise, from white to pink.

    Its level is relative to the signal that it is added to, so that silence stays silent.

    Args:
        min_snr_db: lowest signal-to-noise ratio, in dB.
        max_snr_db: highest signal-to-noise ratio, in dB.
        max_slope: the noise is drawn from white up to pink (1: power ∝ 1/f) or brown (2); 0 is white only.
        probability: share of the examples that it changes, in [0, 1].
    """

    min_snr_db: float = 20.0
    max_snr_db: float = 50.0
    max_slope: float = 1.0
    probability: float = 0.5

    def transform(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        """See `Effect.transform`."""
        snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
        slope = rng.uniform(0, self.max_slope)
        seed = int(rng.integers(2**63))

        def with_noise(audio: np.ndarray) -> np.ndarray:
            noise = coloured_noise(np.random.default_rng(seed), len(audio), slope)
            wanted = np.linalg.norm(audio) * 10 ** (-snr_db / 20)
            return audio + noise * np.float32(wanted / max(float(np.linalg.norm(noise)), 1e-12))

        return with_noise


def coloured_noise(rng: np.random.Generator, n_samples: int, slope: float) -> np.ndarray:
    """Draw ``(n_samples,)`` noise without direct current whose power falls as ``f ** −slope``."""
    bins = n_samples // 2 + 1
    spectrum = rng.standard_normal(bins) + 1j * rng.standard_normal(bins)
    spectrum[0] = 0
    spectrum[1:] *= np.arange(1, bins) ** (-slope / 2)
    return np.fft.irfft(spectrum, n_samples).astype(np.float32)


@dataclass(frozen=True)
class Augmentation:
    """The effects that each signal of an example passes through, in the order given.

    Features, where a data module has them, describe the augmented audio.

    Args:
        shared: effects on source and target, with the same parameters for both: the pair stays a pair.
        source: effects on the source alone, after the shared ones; a model learns to undo them.
        reference: effects on the reference.
    """

    shared: Sequence[Effect] = ()
    source: Sequence[Effect] = ()
    reference: Sequence[Effect] = ()

    def of_pair(
        self, rng: np.random.Generator, source: np.ndarray, target: np.ndarray, sample_rate: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment ``(T,)`` source and target; what would leave [−1, 1] is scaled, both by one factor.

        Where both are one object and stay equal, one object is returned for both.
        """
        if not (self.shared or self.source):
            return source, target
        shared, alone = (_drawn(effects, rng, sample_rate) for effects in (self.shared, self.source))
        wanted = shared(target)
        played = alone(wanted if source is target else shared(source))
        peak = np.float32(max(1.0, _peak(played), _peak(wanted)))
        scaled = wanted / peak
        return (scaled if played is wanted else played / peak), scaled

    def of_source(self, rng: np.random.Generator, source: np.ndarray, sample_rate: int) -> np.ndarray:
        """Augment a ``(T,)`` source that has no target."""
        return self.of_pair(rng, source, source, sample_rate)[0]

    def of_reference(self, rng: np.random.Generator, reference: np.ndarray, sample_rate: int) -> np.ndarray:
        """Augment a ``(R,)`` reference; what would leave [−1, 1] is scaled."""
        if not self.reference:
            return reference
        audio = _drawn(self.reference, rng, sample_rate)(reference)
        return audio / np.float32(max(1.0, _peak(audio)))


def _drawn(effects: Sequence[Effect], rng: np.random.Generator, sample_rate: int) -> Transform:
    transforms = [effect.draw(rng, sample_rate) for effect in effects]

    def apply(audio: np.ndarray) -> np.ndarray:
        for transform in transforms:
            audio = transform(audio)
        return audio

    return apply


def _peak(audio: np.ndarray) -> float:
    return float(max(audio.max(initial=0), -audio.min(initial=0)))
