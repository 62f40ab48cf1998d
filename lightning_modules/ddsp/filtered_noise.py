"""The noise synthesizer: white noise through a filter that changes with every frame (DDSP, section 3.5).

Shape letters: ``B`` examples, ``N`` frames, ``H`` samples of a hop, ``M`` noise bands.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def noise_filters(magnitudes: Tensor) -> Tensor:
    """Design linear-phase filters: magnitudes ``(…, M)`` → taps ``(…, 2·(M − 1))``, centred on tap ``M − 1``.

    The zero-phase response of the magnitudes is rotated to the centre and windowed (Hann), which smooths
    the response over neighbouring bands.
    """
    size = 2 * (magnitudes.shape[-1] - 1)
    window = torch.hann_window(size, dtype=magnitudes.dtype, device=magnitudes.device)
    return torch.fft.irfft(magnitudes, size).roll(size // 2, dims=-1) * window


def noise_audio(noise_magnitudes: Tensor, hop: int, noise: Tensor) -> Tensor:
    """Filter noise hop by hop and overlap-add the results, without the filters' delay.

    Args:
        noise_magnitudes: ``(B, N, M)`` linear gains.
        hop: samples of a frame.
        noise: ``(B or 1, N·H)`` white noise in [−1, 1].

    Returns:
        ``(B, N·H)``.
    """
    if not noise.shape[1]:
        return noise.expand(len(noise_magnitudes), 0)
    filters = noise_filters(noise_magnitudes)
    n_fft = hop + filters.shape[-1] - 1
    n_pieces = math.ceil(n_fft / hop)
    hops = noise.unflatten(1, (-1, hop))
    filtered = torch.fft.irfft(torch.fft.rfft(hops, n_fft) * torch.fft.rfft(filters, n_fft), n_fft)
    pieces = torch.nn.functional.pad(filtered, (0, n_pieces * hop - n_fft)).unflatten(-1, (n_pieces, hop))
    return _overlap_add(pieces, delay=filters.shape[-1] // 2)


def _overlap_add(pieces: Tensor, delay: int) -> Tensor:
    """Sum ``(B, N, P, H)`` with piece ``p`` of frame ``n`` at hop ``n + p``, and drop ``delay`` samples."""
    n_batch, n_frames, n_pieces, hop = pieces.shape
    total = pieces.new_zeros(n_batch, n_frames + n_pieces, hop)
    for p in range(n_pieces):
        total[:, p : p + n_frames] += pieces[:, :, p]
    return total.flatten(1)[:, delay : delay + n_frames * hop]


NOISE_BLOCK = 1 << 20
"""Samples of a noise that are drawn together; a shorter signal has no more than the first block."""


def noise_between(start: int, stop: int, seed: int) -> Tensor:
    """Uniform noise in [−1, 1] that is the same wherever a part of a signal begins, and on every device.

    Args:
        start: number of the first sample.
        stop: number of the sample after the last.
        seed: of the whole noise.

    Returns:
        ``(1, stop − start)``, on the CPU.
    """
    first = start // NOISE_BLOCK
    blocks = [
        torch.rand(1, NOISE_BLOCK, generator=torch.Generator().manual_seed(seed + number))
        for number in range(first, max(first + 1, -(-stop // NOISE_BLOCK)))
    ]
    offset = first * NOISE_BLOCK
    return torch.cat(blocks, dim=1)[:, start - offset : stop - offset] * 2 - 1
