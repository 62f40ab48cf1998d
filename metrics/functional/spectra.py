"""Spectra that several metrics share. Window and hop lengths are times, so every sample rate works.

Shapes: ``B`` examples, ``T`` samples, ``F`` frequency bins, ``M`` mel bands, ``N`` frames.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import create_dct, melscale_fbanks

POWER_FLOOR = 1e-10
"""Smallest power before a logarithm: −100 dB re unit RMS (``amin`` of `librosa.power_to_db`)."""


def rms_normalized(audio: Tensor) -> Tensor:
    """Scale ``(B, T)`` audio to unit RMS, so that a metric does not measure level; silence stays silence."""
    rms = audio.square().mean(-1, keepdim=True).sqrt()
    return audio / rms.clamp_min(torch.finfo(audio.dtype).eps)


def stft(audio: Tensor, window_length: int, hop_length: int, n_fft: int | None = None) -> Tensor:
    """STFT of ``(B, T)`` audio with a periodic Hann window, centred, zero-padded: complex ``(B, F, N)``.

    Zeros are padded, so that audio shorter than half a window has a spectrum as well.

    Args:
        audio: ``(B, T)``.
        window_length: in samples.
        hop_length: in samples.
        n_fft: length of the transform in samples; by default that of the window.
    """
    window = torch.hann_window(window_length, device=audio.device, dtype=audio.dtype)
    return torch.stft(
        audio,
        n_fft or window_length,
        hop_length,
        window_length,
        window,
        pad_mode="constant",
        return_complex=True,
    )


def power_spectrogram(audio: Tensor, window_length: int, hop_length: int, n_fft: int | None = None) -> Tensor:
    """|STFT|² of ``(B, T)`` audio, ``(B, F, N)``; the arguments are those of `stft`."""
    spectrum = stft(audio, window_length, hop_length, n_fft)
    return spectrum.real.square() + spectrum.imag.square()


def mel_power_spectrogram(
    audio: Tensor, sample_rate: int, n_mels: int = 128, window_s: float = 0.128, hop_s: float = 0.032
) -> Tensor:
    """Power in ``n_mels`` Slaney mel bands from 0 to Nyquist: ``(B, M, N)``.

    The default lengths are librosa's 2048 and 512 samples at 16 kHz.
    """
    window_length = round(window_s * sample_rate)
    power = power_spectrogram(audio, window_length, round(hop_s * sample_rate))
    return _mel_filters(sample_rate, window_length // 2 + 1, n_mels).to(power) @ power


def decibels(power: Tensor, dynamic_range_db: float | None = 80.0) -> Tensor:
    """``10·log10(power)``, floored at `POWER_FLOOR` and ``dynamic_range_db`` below each example's peak."""
    level_db = 10.0 * power.clamp_min(POWER_FLOOR).log10()
    if dynamic_range_db is None:
        return level_db
    peak_db = level_db.amax(dim=(-2, -1), keepdim=True)
    return level_db.maximum(peak_db - dynamic_range_db)


def mfcc(audio: Tensor, sample_rate: int, n_mfcc: int = 13, hop_s: float = 0.03125) -> Tensor:
    """Mel-frequency cepstral coefficients of 128 bands in dB, orthonormal DCT-II: ``(B, n_mfcc, N)``.

    At 16 kHz these are the coefficients of `librosa.feature.mfcc` with a hop of 500 samples, the ones
    SS-VQ-VAE is evaluated with (arXiv 2102.05749).
    """
    return cepstrum(decibels(mel_power_spectrogram(audio, sample_rate, hop_s=hop_s)), n_mfcc)


def cepstrum(level_db: Tensor, n_coefficients: int) -> Tensor:
    """The first coefficients of an orthonormal DCT-II over the bands: ``(B, M, N)`` to ``(B, C, N)``."""
    dct = create_dct(n_coefficients, level_db.shape[-2], norm="ortho").to(level_db)
    return dct.mT @ level_db


@lru_cache(maxsize=16)
def _mel_filters(sample_rate: int, n_bins: int, n_mels: int) -> Tensor:
    """Slaney-normalised triangular filters ``(M, F)``, built in double precision as librosa's are."""
    filters = melscale_fbanks(
        n_bins, 0.0, sample_rate / 2, n_mels, sample_rate, norm="slaney", mel_scale="slaney"
    )
    return filters.T.contiguous()
