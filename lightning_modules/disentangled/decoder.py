"""The decoder, which predicts the spectrogram patch by patch from content, style and the patches before.

::

    recording ─► style encoder   ─► one vector ────────────────────┐
    recording ─► content encoder ─► a vector for each patch ─► decoder ─► patch ─► patch ─► patch
                                                                ▲──────────┘ each sees those before it

A patch is ``P`` neighbouring frames with all bins, as a vector in which the first frame comes first, and in a
frame the lowest bin. Shapes: ``B`` examples, ``F`` bins, ``N`` frames, ``M = N / P`` patches, ``E`` numbers
of an embedding, ``H`` attention heads, ``W`` patches of the attention's window.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention


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
