"""Slices of one length of audio of any length, for transforms that need it, without audible joins."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad


def in_slices(
    transform: Callable[[Tensor], Tensor], audio: Tensor, length: int, overlap: int, context: int = 0
) -> Tensor:
    """Apply ``transform`` to overlapping slices and cross-fade the results.

    Slices are transformed one after the other, so that memory beyond the result does not grow with the audio.
    Fades are squared sines, whose sum is 1: where two slices agree, the join is exact. The edges of a slice,
    where the transform sees least of what is around, have the least weight.

    Args:
        transform: ``(B, context + length + context)`` → ``(B, length)``, the part between the contexts.
        audio: ``(B, T)``, for any ``T``; it is padded with silence to whole slices and their contexts.
        length: samples in a slice.
        overlap: samples that neighbouring slices share, at most half of ``length``.
        context: samples on either side of a slice that the transform sees as well.

    Returns:
        ``(B, T)``.
    """
    n_samples, step = audio.shape[-1], length - overlap
    n_slices = max(1, math.ceil((n_samples - overlap) / step))
    n_padded = (n_slices - 1) * step + length
    padded = pad(audio, (context, n_padded - n_samples + context))
    result = audio.new_zeros(*audio.shape[:-1], n_padded)
    rise = torch.linspace(0, math.pi / 2, overlap, dtype=audio.dtype, device=audio.device).sin().square()
    for i in range(n_slices):
        start = i * step
        gain = torch.ones(length, dtype=audio.dtype, device=audio.device)
        if i > 0:
            gain[:overlap] = rise
        if i < n_slices - 1:
            gain[length - overlap :] = 1 - rise
        seen = padded[:, start : start + length + 2 * context]
        result[:, start : start + length] += gain * transform(seen)
    return result[:, :n_samples]


def whole_slices(audio: Tensor, length: int, context: int = 0) -> Tensor:
    """Cut training slices without overlap: ``(B, T)`` → ``(B · K, context + length + context)``.

    A rest shorter than a slice is dropped, or padded if it is all there is. All slices of the first recording
    come first.
    """
    seen = length + 2 * context
    enough = pad(audio, (0, max(0, seen - audio.shape[-1])))
    return enough.unfold(-1, seen, length).reshape(-1, seen)
