"""Mel frames of any number → audio, in constant memory and without seams."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightning_modules.melgan.network import MIN_FRAMES

CONTEXT_FRAMES = 8
"""Mel frames on both sides that a sample of the output depends on, for the document's ratios: 3 of the first
convolution, 1 of the first upsampling, 13/8 of its residual blocks, less than 1/2 of all that follows."""


def vocode(
    generator: Callable[[Tensor], Tensor], mel: Tensor, hop: int, chunk_frames: int | None = None
) -> Tensor:
    """Generate chunk by chunk, each with as much context as its samples depend on.

    The result is that of the generator on the whole, to rounding: nothing is cross-faded.

    Args:
        generator: ``(B, M, N)`` → ``(B, N · hop)``.
        mel: ``(B, M, N)`` in [−1, 1], any N.
        hop: samples a frame.
        chunk_frames: frames at a time; ``None`` for all at once.

    Returns:
        ``(B, N · hop)``.
    """
    n_frames = mel.shape[-1]
    mel = pad(mel, (0, max(0, MIN_FRAMES - n_frames)), value=-1.0)  # followed by silence
    length = chunk_frames or mel.shape[-1]
    parts = [
        _chunk(generator, mel, i * length, length, hop) for i in range(math.ceil(mel.shape[-1] / length))
    ]
    return torch.cat(parts, dim=-1)[:, : n_frames * hop]


def _chunk(generator: Callable[[Tensor], Tensor], mel: Tensor, start: int, length: int, hop: int) -> Tensor:
    """Audio of the frames from ``start`` to ``start + length``, as far as there are any."""
    before = max(0, start - CONTEXT_FRAMES)
    end = min(start + length, mel.shape[-1])
    audio = generator(mel[..., before : end + CONTEXT_FRAMES])
    return audio[:, (start - before) * hop : (end - before) * hop]
