"""The constant-Q transform: bins a semitone apart, with equally many periods in each bin's window.

Brown, Calculation of a constant Q spectral transform, 1991. The transform is complex, batched, differentiable
and takes audio of any length.

Convolution with a window of ``L`` samples is a product in the frequency domain, and the spectrum of a Hann
window is a sum of three sincs. So the audio is transformed once as a whole. A bin is a narrow band of that
spectrum times the spectrum of its window; to sample it every ``hop`` samples is to fold the band onto as many
frequencies as there are frames.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

C1_HZ = 440 * 2 ** (-45 / 12)
"""32.703 Hz, the lowest C of a piano."""
REACH = 16
"""Half the width of a band in units of ``1 / L``; beyond it a Hann window is below −80 dB."""


class Band(NamedTuple):
    """The band of the spectrum of the whole audio that one bin weights."""

    first: int
    """Index of the lowest frequency."""
    weights: Tensor
    """Real weights, one for each frequency: the spectrum of the bin's window, 1 in the middle."""


def constant_q(
    audio: Tensor,
    sample_rate: int,
    hop: int,
    n_frames: int,
    first_centre: int = 0,
    n_bins: int = 84,
    lowest_hz: float = C1_HZ,
) -> Tensor:
    """Compute the constant-Q transform with twelve bins an octave and Hann windows.

    Args:
        audio: ``(B, T)``, padded with silence on either side.
        sample_rate: in Hz; the highest bin must lie below its half.
        hop: samples between frames.
        n_frames: number of frames.
        first_centre: the sample at the centre of the first frame.
        n_bins: number of bins, a semitone apart.
        lowest_hz: frequency of the lowest bin.

    Returns:
        Complex ``(B, n_bins, n_frames)``; a full-scale sine has magnitude 1 in its bin. librosa's
        transform is this times √L / 2 (`window_lengths`).
    """
    longest = math.ceil(window_lengths(sample_rate, n_bins, lowest_hz)[0])
    # The transform is circular, so half a window of silence keeps end and start apart.
    n_slots = max(math.ceil((audio.shape[-1] + longest / 2) / hop), n_frames)
    n_total = n_slots * hop
    spectrum = torch.fft.rfft(audio, n_total)
    if first_centre:
        spectrum = spectrum * _advanced(first_centre, n_total, spectrum)
    bands = _bands(n_total, sample_rate, n_bins, lowest_hz)
    folded = torch.stack([_folded(spectrum, band, n_slots) for band in bands], dim=1)
    return torch.fft.ifft(folded)[..., :n_frames] * (2 / hop)


def window_lengths(sample_rate: int, n_bins: int = 84, lowest_hz: float = C1_HZ) -> list[float]:
    """Length of each bin's window in samples, a fraction, the lowest bin first.

    The relative width of a bin is the distance of its neighbours over the sum of their frequencies.
    """
    octave = 2 ** (2 / 12)
    periods = (octave + 1) / (octave - 1)
    return [periods * sample_rate / (lowest_hz * 2 ** (k / 12)) for k in range(n_bins)]


def _advanced(n_samples: int, n_total: int, spectrum: Tensor) -> Tensor:
    """Factors that advance a spectrum of ``n_total`` samples by ``n_samples``."""
    turns = torch.arange(spectrum.shape[-1], dtype=torch.float64) * (n_samples / n_total)
    return torch.polar(torch.ones_like(turns), 2 * math.pi * (turns % 1)).to(spectrum)


def _folded(spectrum: Tensor, band: Band, n_slots: int) -> Tensor:
    """Weight a band and sum it modulo ``n_slots``: ``(B, n_total / 2 + 1)`` → ``(B, n_slots)``."""
    n_wide = len(band.weights)
    seen = spectrum[:, band.first : band.first + n_wide] * band.weights.to(spectrum.real)
    before = band.first % n_slots
    return pad(seen, (before, -(before + n_wide) % n_slots)).unflatten(-1, (-1, n_slots)).sum(-2)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept may meet gradients later
def _bands(n_total: int, sample_rate: int, n_bins: int, lowest_hz: float) -> list[Band]:
    bands = []
    for k, length in enumerate(window_lengths(sample_rate, n_bins, lowest_hz)):
        middle = lowest_hz * 2 ** (k / 12) * n_total / sample_rate
        width = REACH * n_total / length
        first = max(0, math.ceil(middle - width))
        last = min(n_total // 2, math.floor(middle + width))
        away = (torch.arange(first, last + 1, dtype=torch.float64) - middle) * (length / n_total)
        bands.append(Band(first, _hann_spectrum(away).float()))
    return bands


def _hann_spectrum(away: Tensor) -> Tensor:
    """The spectrum of a Hann window at ``away`` of its bins from the middle, where it is 1."""
    return torch.sinc(away) + (torch.sinc(away - 1) + torch.sinc(away + 1)) / 2
