"""The blocks of the disentangled model: residual blocks of the encoders, attention layers of the decoder.

Shapes: ``B`` examples, ``K`` bins, ``N`` frames, ``M`` patches, ``E`` numbers of an embedding, ``H``
attention heads, ``W`` patches of the attention's window.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu, scaled_dot_product_attention

SLOPE = 0.2
"""The slope of every LeakyReLU for negative input."""


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


class KeyValueCache(NamedTuple):
    """The keys and values ``(B, H, ≤ W − 1, E / H)`` of the patches before, which a layer attends to."""

    keys: Tensor
    values: Tensor


class DecoderLayer(nn.Module):
    """Causal attention to the last ``W`` patches, then an MLP; style modulates the input of both.

    Attention has learned relative position biases (Raffel et al., arXiv 1910.10683, section 2.1), so that a
    piece can be of any length. Style scales and shifts as in FiLM (Perez et al., arXiv 1709.07871).

    Args:
        size: ``E``.
        n_heads: ``H``.
        hidden: width of the MLP.
        window: ``W``.
    """

    def __init__(self, size: int, n_heads: int, hidden: int, window: int) -> None:
        super().__init__()
        self.n_heads, self.window = n_heads, window
        self.qkv = nn.Linear(size, 3 * size)
        self.projection = nn.Linear(size, size)
        self.mlp = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))
        self.modulation = nn.Linear(size, 4 * size)
        self.relative_position_bias = nn.Parameter(torch.zeros(n_heads, window))

    def forward(self, x: Tensor, style: Tensor, cache: KeyValueCache | None) -> tuple[Tensor, KeyValueCache]:
        """Patches ``(B, M, E)`` and style ``(B, E)`` → ``(B, M, E)``, and the cache for the patches after."""
        scale, shift, mlp_scale, mlp_shift = self.modulation(style)[:, None].chunk(4, dim=-1)
        queries, keys, values = self._heads(modulated(x, scale, shift))
        if cache is not None:
            keys, values = torch.cat([cache.keys, keys], dim=2), torch.cat([cache.values, values], dim=2)
        attended = scaled_dot_product_attention(
            queries, keys, values, self._bias(queries.shape[2], keys.shape[2])
        )
        x = x + self.projection(attended.transpose(1, 2).flatten(2))
        x = x + self.mlp(modulated(x, mlp_scale, mlp_shift))
        first = max(0, keys.shape[2] - (self.window - 1))
        return x, KeyValueCache(keys[:, :, first:], values[:, :, first:])

    def _heads(self, x: Tensor) -> list[Tensor]:
        """``(B, M, E)`` → queries, keys and values ``(B, H, M, E / H)``."""
        return [part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)]

    def _bias(self, n_queries: int, n_keys: int) -> Tensor:
        """Attention bias ``(H, queries, keys)``, −∞ for keys that are later or beyond the window.

        The last query is at the position of the last key.
        """
        device = self.relative_position_bias.device
        positions = torch.arange(n_keys - n_queries, n_keys, device=device)
        distance = positions[:, None] - torch.arange(n_keys, device=device)
        visible = (distance >= 0) & (distance < self.window)
        bias = self.relative_position_bias[:, distance.clamp(0, self.window - 1)]
        return bias.masked_fill(~visible, -math.inf)


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise over the last dimension, multiply by ``1 + scale`` and add ``shift``: adaptive layer norm."""
    return layer_norm(x, x.shape[-1:]) * (1 + scale) + shift
