"""The timbre of a reference as one vector, without its notes.

An image of the reference beside that of the source would let its notes through: the U-Net can copy any bin of
an image into its output. So the reference is averaged over all of its time and over all bins before the U-Net
is told, and what it is told is the same for every bin and frame of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool1d, layer_norm, pad

from lightning_modules.pix2pix.network import encoder_block, first_encoder_block, initialise

SOUNDING = 1e-2
"""What is quieter than this share of a reference's loudest sample or frame, −40 dB, is no timbre."""


class StyleEncoder(nn.Module):
    """Encodes an image of any length as one vector.

    Args:
        size: ``E``, numbers of the vector.
        channels: of each block; every block halves bins and frames.
    """

    def __init__(self, size: int = 128, channels: Sequence[int] = (32, 64, 128, 128)) -> None:
        super().__init__()
        self.size = size
        blocks = (encoder_block(a, b) for a, b in pairwise(channels))
        # The second image is the height of each bin, which an average over bins would lose.
        self.blocks = nn.Sequential(first_encoder_block(2, channels[0]), *blocks)
        self.multiple = 2 ** len(channels)
        self.reach = 3 * self.multiple
        """Frames of silence after which what lies further behind makes no difference."""
        self.projection = nn.Linear(channels[-1], size)
        initialise(self)

    def forward(self, image: Tensor, sounding: Tensor) -> Tensor:
        """Average what is heard of an image.

        Args:
            image: ``(B, 1, K, N)`` magnitudes, −1 for silence.
            sounding: ``(B, N)`` boolean: the frames that count.

        Returns:
            ``(B, E)`` of mean 0 and variance 1.
        """
        height = torch.linspace(-1, 1, image.shape[-2], device=image.device)[:, None].expand_as(image)
        features = self.blocks(torch.cat([image, height], dim=1)).mean(-2)
        weights = adaptive_max_pool1d(sounding.to(features)[:, None], features.shape[-1])
        mean = (features * weights).sum(-1) / weights.sum(-1).clamp(min=1)
        return layer_norm(self.projection(mean), (self.size,))


def sounding_frames(spectrum: Tensor) -> Tensor:
    """Which frames of a complex ``(B, F, N)`` are heard: ``(B, N)`` boolean."""
    level = spectrum.abs().square().sum(1).sqrt()
    return level > SOUNDING * level.amax(-1, keepdim=True)


def from_first_sound(audio: Tensor) -> Tensor:
    """Move each of ``(B, R)`` to where it begins to sound, with silence behind it: ``(B, R)``."""
    loudness = audio.abs()
    heard = loudness > SOUNDING * loudness.amax(-1, keepdim=True)
    start = (heard.cumsum(-1) == 0).sum(-1, keepdim=True)
    n_samples = audio.shape[-1]
    positions = (start + torch.arange(n_samples, device=audio.device)).clamp(max=n_samples)
    return pad(audio, (0, 1)).gather(-1, positions)
