"""Two encoders, of style and of content, and a decoder that predicts levels patch by patch from both.

::

    recording ─► style encoder   ─► one vector ────────────────────┐
    recording ─► content encoder ─► a vector for each patch ─► decoder ─► patch ─► patch ─► patch
                                                                ▲──────────┘ each sees those before it

A patch is ``P`` neighbouring frames with all bins, as a vector in which the first frame comes first, and in a
frame the lowest bin. Shapes: ``B`` examples, ``K`` bins of the encoders, ``F`` bins of the decoder,
``N`` frames, ``M = ⌈N / P⌉`` patches, ``E`` numbers of an embedding, ``H`` attention heads, ``W`` patches of
the attention's window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad

from lightning_modules.disentangled.blocks import (
    DecoderLayer,
    GlobalLayerNorm,
    InstanceNorm,
    KeyValueCache,
    ResidualBlock,
    modulated,
)
from lightning_modules.layers.network_size import NetworkSizeError

QUIET = 1e-3
"""Added to normalised magnitudes before their logarithm or a power of them is taken."""
COMPRESSION = 0.3
"""The power that magnitudes are raised to before the encoders see real and imaginary parts.

On a linear scale a bin 40 dB above its deviation counts a hundred times as much as others, here four times.
"""


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
        power = padded.square().sum(1, keepdim=True) + QUIET**2
        compressed = padded * power ** ((COMPRESSION - 1) / 2)
        # A convolution would need many channels to find the magnitude in real and imaginary part.
        log_power = power.log() / (-2 * math.log(QUIET))
        features = self.residual_blocks(torch.cat([compressed, log_power], dim=1))
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


class Decoder(nn.Module):
    """Predicts the levels of one patch after another from content, style and the patches before.

    In training the patches before are the target's (teacher forcing), in generation the decoder's own; both
    come in through `inputs`. Where they are not known, at the beginning and for a share of them in training,
    a mask token stands for them. Otherwise the decoder would learn to copy the past, which is exact in
    training but its own estimate in generation.

    Args:
        n_bins: ``F``.
        patch_frames: ``P``.
        size: ``E``, the same as that of the encoders.
        n_layers: number of layers.
        n_heads: ``H``.
        hidden: width of the MLPs of the layers and of the head.
        window: ``W``, patches that a layer attends to; a patch depends on ``n_layers · (W − 1)`` before it.
        history_dropout: share of the patches before that are masked in training, in [0, 1].
    """

    def __init__(
        self,
        n_bins: int = 513,
        patch_frames: int = 4,
        size: int = 256,
        n_layers: int = 4,
        n_heads: int = 4,
        hidden: int = 1024,
        window: int = 32,
        history_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.n_bins, self.patch_frames, self.history_dropout = n_bins, patch_frames, history_dropout
        self.patch_embedding = nn.Linear(patch_frames * n_bins, size)
        self.mask_token = nn.Parameter(torch.zeros(size))
        self.content_projection = nn.Linear(size, size)
        self.layers = nn.ModuleList(DecoderLayer(size, n_heads, hidden, window) for _ in range(n_layers))
        self.modulation = nn.Linear(size, 2 * size)
        self.head = nn.Sequential(
            nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, patch_frames * n_bins)
        )

    def forward(self, content: Tensor, style: Tensor, target: Tensor | None = None) -> Tensor:
        """Decode all patches at once, with the target's patches as their past.

        Args:
            content: ``(B, M, E)``.
            style: ``(B, E)``.
            target: levels ``(B, F, N)``, of which a patch sees those before it; ``None`` masks them all.

        Returns:
            Levels ``(B, F, M · P)``.
        """
        known = content.new_zeros(content.shape[:2], dtype=torch.bool)
        previous = content.new_zeros(*content.shape[:2], self.patch_frames * self.n_bins)
        if target is not None:
            previous[:, 1:] = self.to_patches(target)[:, :-1]
            known[:, 1:] = True
            if self.training and self.history_dropout:
                known &= torch.rand(known.shape, device=known.device) >= self.history_dropout
        return self.from_patches(self._decode(self.inputs(previous, known, content), style, None)[0])

    def generate(self, content: Tensor, style: Tensor) -> Tensor:
        """Decode patch by patch, each with those generated before as its past.

        Time is linear in the number of patches, and the memory of the cache constant.

        Args:
            content: ``(B, M, E)``.
            style: ``(B, E)``.

        Returns:
            Levels ``(B, F, M · P)``.
        """
        previous = content.new_zeros(len(content), 1, self.patch_frames * self.n_bins)
        patches: list[Tensor] = []
        caches = None
        for of_patch in content.split(1, dim=1):
            known = torch.full(previous.shape[:2], bool(patches), device=content.device)
            previous, caches = self._decode(self.inputs(previous, known, of_patch), style, caches)
            patches.append(previous)
        return self.from_patches(torch.cat(patches, dim=1))

    def inputs(self, previous: Tensor, known: Tensor, content: Tensor) -> Tensor:
        """Embed the content and, where ``known`` ``(B, M)``, the patch before: the input of the layers."""
        history = torch.where(known[..., None], self.patch_embedding(previous), self.mask_token)
        return self.content_projection(content) + history

    def to_patches(self, levels: Tensor) -> Tensor:
        """``(B, F, M · P)`` → ``(B, M, P · F)``."""
        return levels.unflatten(-1, (-1, self.patch_frames)).permute(0, 2, 3, 1).flatten(2)

    def from_patches(self, patches: Tensor) -> Tensor:
        """Invert `to_patches`: ``(B, M, P · F)`` → ``(B, F, M · P)``."""
        return patches.unflatten(-1, (self.patch_frames, self.n_bins)).permute(0, 3, 1, 2).flatten(2)

    def _decode(
        self, x: Tensor, style: Tensor, caches: list[KeyValueCache] | None
    ) -> tuple[Tensor, list[KeyValueCache]]:
        """Inputs ``(B, M, E)`` → patches ``(B, M, P · F)``, and the cache of each layer."""
        new_caches = []
        for i, layer in enumerate(self.layers):
            x, cache = layer(x, style, caches[i] if caches else None)
            new_caches.append(cache)
        scale, shift = self.modulation(style)[:, None].chunk(2, dim=-1)
        return self.head(modulated(x, scale, shift)), new_caches
