"""The style encoder and the content encoder: residual blocks, then a transformer over patches.

A patch is ``P`` neighbouring frames with all bins. Shapes: ``B`` examples, ``K`` bins, ``N`` frames,
``M = ⌈N / P⌉`` patches, ``E`` numbers of an embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu, pad

from lightning_modules.layers.network_size import NetworkSizeError

SLOPE = 0.2
"""The slope of every LeakyReLU for negative input."""
QUIET = 1e-3
"""Added to normalised magnitudes before their logarithm is taken."""


class GlobalLayerNorm(nn.GroupNorm):
    """Normalisation over channels, bins and frames together, which keeps timbre.

    The document's batch normalisation would make an embedding depend on what else is in the batch.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__(1, n_channels)


class InstanceNorm(nn.InstanceNorm2d):
    """Normalisation over bins and frames of each channel by itself, which removes much of timbre.

    Ulyanov et al., Instance Normalization, arXiv 1607.08022; Huang and Belongie, arXiv 1703.06868, section 3.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__(n_channels, affine=True)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; they halve bins and, if asked, frames (He et al., 1512.03385).

    Args:
        n_in: channels in.
        n_out: channels out.
        frame_stride: 2 to halve the frames, else 1.
        norm: class of the normalisations, which is built with the number of channels.
    """

    def __init__(self, n_in: int, n_out: int, frame_stride: int, norm: type[nn.Module]) -> None:
        super().__init__()
        stride = (2, frame_stride)
        self.block = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False),
            norm(n_out),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            norm(n_out),
        )
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, n_in, K, N)`` → ``(B, n_out, ⌈K/2⌉, N / frame_stride)``."""
        return leaky_relu(self.block(x) + self.shortcut(x), SLOPE)


class PatchEncoder(nn.Module):
    """The common network of both encoders; they differ in their normalisation and in what they read out.

    Args:
        n_bins: ``K``.
        patch_frames: ``P``, a power of 2; as many of the first blocks halve the frames.
        channels: of each residual block.
        size: ``E``.
        n_layers: of the transformer.
        n_heads: attention heads of the transformer.
        hidden: width of the MLPs of the transformer.
    """

    norm: type[nn.Module]
    """Class of the normalisations of the residual blocks."""

    def __init__(
        self,
        n_bins: int = 597,
        patch_frames: int = 4,
        channels: Sequence[int] = (32, 64, 128, 256, 512, 512),
        size: int = 256,
        n_layers: int = 4,
        n_heads: int = 4,
        hidden: int = 452,
    ) -> None:
        super().__init__()
        self.n_bins, self.patch_frames, self.size = n_bins, patch_frames, size
        n_halvings = patch_frames.bit_length() - 1
        if patch_frames != 2**n_halvings or n_halvings > len(channels):
            raise NetworkSizeError(
                f"patch_frames must be a power of 2, at most 2 to the number of channels ({len(channels)}), "
                f"found {patch_frames}."
            )
        widths = enumerate(pairwise([3, *channels]))
        self.residual_blocks = nn.Sequential(
            *(ResidualBlock(a, b, 2 if i < n_halvings else 1, self.norm) for i, (a, b) in widths)
        )
        n_high = math.ceil(n_bins / 2 ** len(channels))
        self.patch_embedding = nn.Linear(channels[-1] * n_high, size)
        layer = nn.TransformerEncoderLayer(
            size, n_heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)

    def embed_patches(self, spectra: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)``, for any ``N`` → ``(B, M, E)``, the input of the transformer."""
        if spectra.shape[2] != self.n_bins:
            raise NetworkSizeError(
                f"An encoder of {self.n_bins} bins was given {spectra.shape[2]}: set n_bins of both encoders "
                "to n_fft / 2 + 1 + n_semitones of the representation."
            )
        padded = pad(spectra, (0, -spectra.shape[-1] % self.patch_frames))
        # A convolution would need many channels to find the magnitude in real and imaginary part.
        log_power = (padded.square().sum(1, keepdim=True) + QUIET**2).log() / (-2 * math.log(QUIET))
        features = self.residual_blocks(torch.cat([padded, log_power], dim=1))
        return self.patch_embedding(features.flatten(1, 2).transpose(1, 2))


class StyleEncoder(PatchEncoder):
    """Encodes how a recording sounds, whatever is played, as one vector for any length.

    The transformer sees all patches and a class token, without positions, as timbre has no order. The class
    token's output is the embedding.

    Args:
        sizes: the arguments of `PatchEncoder`.
    """

    norm = GlobalLayerNorm

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.class_token = nn.Parameter(0.02 * torch.randn(self.size))

    def forward(self, spectra: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)`` → ``(B, E)``, of mean 0 and variance 1."""
        patches = self.embed_patches(spectra)
        token = self.class_token.expand(len(patches), 1, -1)
        outputs = self.transformer(torch.cat([token, patches], dim=1))
        return layer_norm(outputs[:, 0], outputs.shape[-1:])


class ContentEncoder(PatchEncoder):
    """Encodes what is played, whatever it sounds like, as one vector for each patch; see `PatchEncoder`."""

    norm = InstanceNorm

    def forward(self, spectra: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)`` → ``(B, M, E)``, each of mean 0 and variance 1."""
        patches = self.embed_patches(spectra)
        outputs = self.transformer(patches + _positional_encoding(patches))
        return layer_norm(outputs, outputs.shape[-1:])


def _positional_encoding(like: Tensor) -> Tensor:
    """Sines and cosines of the positions, ``(M, E)`` (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    n_patches, size = like.shape[-2:]
    rates = torch.exp(torch.arange(0, size, 2, device=like.device) * (-math.log(10_000) / size))
    angles = torch.arange(n_patches, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(like)
