"""The times of control frames: frame ``n`` belongs to sample ``n·hop``.

Between two frames controls are interpolated; after the last one they are held.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from datamodules.batch import FRAME_RATE_HZ


def hop_samples(sample_rate: int) -> int:
    """Samples between control frames: the whole number next to ``sample_rate / 250`` (176 at 44.1 kHz)."""
    return round(sample_rate / FRAME_RATE_HZ)


def n_hops(n_samples: int, sample_rate: int) -> int:
    """Number of hops that cover ``n_samples``, at least one."""
    return max(1, math.ceil(n_samples / hop_samples(sample_rate)))


def on_hop_grid(frames: Tensor, sample_rate: int, n_samples: int) -> Tensor:
    """Resample ``(B, N)`` values at 250 frames a second to ``(B, n_hops)`` at the times of whole hops.

    The two grids are the same at 16, 24, 32 and 48 kHz. At 44.1 kHz a hop is 176 samples instead of 176.4,
    and values are interpolated linearly.
    """
    n_frames = n_hops(n_samples, sample_rate)
    hop_frames = hop_samples(sample_rate) * FRAME_RATE_HZ / sample_rate
    return interpolate_frames(frames, torch.arange(n_frames, device=frames.device) * hop_frames)


def interpolate_frames(values: Tensor, times: Tensor) -> Tensor:
    """Read ``values (B, N)`` at fractional frame ``times (N',)``; the last value is held."""
    times = times.clamp(max=values.shape[-1] - 1)
    left = times.floor().long()
    right = (left + 1).clamp(max=values.shape[-1] - 1)
    share = (times - left).to(values.dtype)
    return torch.lerp(values[:, left], values[:, right], share)


def with_next(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Each frame of ``(B, N, …)`` and its successor; the last is its own."""
    return frames, torch.cat([frames[:, 1:], frames[:, -1:]], dim=1)
