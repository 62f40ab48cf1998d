"""Audio of any length through a transform that works on slices of one length, without audible joins."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad


def in_slices(transform: Callable[[Tensor], Tensor], audio: Tensor, length: int, overlap: int) -> Tensor:
    """Apply ``transform`` to overlapping slices and cross-fade what they give.

    Slices are made one after the other, so that memory beyond the result does not grow with the audio. Fades
    are squared sines, whose sum is 1: where two slices agree, the join is exact. A fade gives least weight
    to the edges of a slice, where the transform knows least of what is around.

    Args:
        transform: ``(B, length)`` → ``(B, length)``.
        audio: ``(B, T)``, any ``T``; it is continued with silence to whole slices.
        length: samples in a slice.
        overlap: samples that neighbours share, at most half of ``length``.

    Returns:
        ``(B, T)``.
    """
    n_samples, step = audio.shape[-1], length - overlap
    n_slices = max(1, math.ceil((n_samples - overlap) / step))
    padded = pad(audio, (0, (n_slices - 1) * step + length - n_samples))
    result = torch.zeros_like(padded)
    rise = torch.linspace(0, math.pi / 2, overlap, dtype=audio.dtype, device=audio.device).sin().square()
    for i in range(n_slices):
        here = slice(i * step, i * step + length)
        gain = torch.ones(length, dtype=audio.dtype, device=audio.device)
        if i > 0:
            gain[:overlap] = rise
        if i < n_slices - 1:
            gain[length - overlap :] = 1 - rise
        result[:, here] += gain * transform(padded[:, here])
    return result[:, :n_samples]
