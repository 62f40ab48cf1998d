"""Raw network outputs → named physical controls (DDSP, arXiv 2001.04643, section 3.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lightning_modules.ddsp.network import RawControls


class Controls(NamedTuple):
    """The controls of the synthesizers, one of each for every frame."""

    f0_hz: Tensor
    """``(B, N)`` fundamental frequency"""
    amplitude: Tensor
    """``(B, N, 1)`` sum of the harmonics' amplitudes, linear, in [0, 2]"""
    harmonic_distribution: Tensor
    """``(B, N, K)`` share of each harmonic in the amplitude; sums to 1, 0 at and above Nyquist"""
    noise_magnitudes: Tensor
    """``(B, N, M)`` linear gain of the noise filter at ``M`` frequencies from 0 Hz to Nyquist, in [0, 2]"""


def exp_sigmoid(x: Tensor) -> Tensor:
    """``2·sigmoid(x)^ln 10 + 1e-7``: in (1e-7, 2], and 20 dB less for each 1 that a low ``x`` falls.

    Loudness is heard on a logarithmic scale; this is a sigmoid that is logarithmic below (DDSP, equation 5).
    """
    return 2.0 * torch.exp(math.log(10.0) * logsigmoid(x)) + 1e-7


def physical_controls(
    raw: RawControls, f0_hz: Tensor, sample_rate: int, noise_bias: float = -10.0
) -> Controls:
    """Map the raw outputs of the network to their physical ranges.

    Args:
        raw: outputs of the network.
        f0_hz: ``(B, N)``.
        sample_rate: in Hz; harmonics at or above half of it are silenced, as they would alias.
        noise_bias: added to the raw noise magnitudes, so that an untrained network is nearly noiseless.
    """
    harmonics = remove_above_nyquist(exp_sigmoid(raw.harmonic_distribution), f0_hz, sample_rate)
    return Controls(
        f0_hz=f0_hz,
        amplitude=exp_sigmoid(raw.amplitude),
        harmonic_distribution=harmonics / harmonics.sum(dim=-1, keepdim=True).clamp(min=1e-7),
        noise_magnitudes=exp_sigmoid(raw.noise_magnitudes + noise_bias),
    )


def remove_above_nyquist(harmonics: Tensor, f0_hz: Tensor, sample_rate: int) -> Tensor:
    """Zero the harmonics ``(B, N, K)`` whose frequency ``k·f0`` is at or above half the sample rate."""
    numbers = torch.arange(1, harmonics.shape[-1] + 1, device=harmonics.device, dtype=f0_hz.dtype)
    return harmonics * (f0_hz.unsqueeze(-1) * numbers < sample_rate / 2)
