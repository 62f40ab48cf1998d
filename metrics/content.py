"""Content group: whether the notes stayed.

``target`` is the paired target where there is one, else the source: both play the notes asked for.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from metrics.spectra import power_spectrogram

A4_HZ = 440.0
CHROMA_WINDOW_S = 0.256
"""Long enough to separate semitones from about 130 Hz up."""
CHROMA_HOP_S = 0.032


def chroma_cosine(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Cosine similarity of chroma, mean over the frames that sound in the target.

    ``mean_n cos(C_P[:, n], C_T[:, n])`` with C the energy of the 12 pitch classes (Ellis' Gaussian
    log-frequency map, A4 = 440 Hz). No unit, range [0, 1], higher is better. A frame counts where the
    target is within 60 dB of its loudest; a silent output scores 0 there. NaN where the target is silent.
    """
    p, t = (chroma(x, sample_rate) for x in (preds, target))
    energy = t.sum(1)
    sounding = energy > 1e-6 * energy.amax(-1, keepdim=True)
    similarity = torch.nn.functional.cosine_similarity(p, t, dim=1, eps=1e-12)
    return (similarity * sounding).sum(-1) / sounding.sum(-1)


def chroma(audio: Tensor, sample_rate: int) -> Tensor:
    """Energy per pitch class (C first) and frame of ``(B, T)`` audio: ``(B, 12, N)``."""
    window_length = round(CHROMA_WINDOW_S * sample_rate)
    power = power_spectrogram(audio, window_length, round(CHROMA_HOP_S * sample_rate))
    return _pitch_classes(sample_rate, window_length).to(power) @ power


@lru_cache(maxsize=8)
def _pitch_classes(sample_rate: int, window_length: int) -> Tensor:
    """Weights ``(12, F)`` that fold FFT bins to pitch classes, centred on octave 5 as in librosa's."""
    frequency_hz = torch.arange(window_length // 2 + 1) * sample_rate / window_length
    pitch = 12 * torch.log2(frequency_hz.clamp_min(1.0) / A4_HZ) + 9
    distance = torch.remainder(pitch - torch.arange(12)[:, None] + 6, 12) - 6
    octave = pitch / 12 - 1
    # A bin below 60 Hz spans more than three semitones and would smear over all classes.
    weights = torch.exp(-0.5 * (2 * distance) ** 2) * torch.exp(-0.5 * ((octave - 0) / 2) ** 2)
    return weights * (frequency_hz > 60.0)
