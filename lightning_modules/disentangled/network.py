"""Two encoders that take music apart, a decoder that puts it together patch by patch, and their judge.

::

    recording ─► style encoder   ─► one vector ────────────────┐
    recording ─► content encoder ─► a vector a patch ─► decoder ─► patch ─► patch ─► patch
                                                         ▲──────────┘ each sees those before it

A patch is ``P`` neighbouring frames, all bins. In a patch's vector the first frame comes first, in a frame
the lowest bin. Shapes: ``B`` examples, ``K`` bins that an encoder sees, ``F`` bins that the decoder gives,
``N`` frames, ``M = N / P`` patches, ``E`` numbers of an embedding, ``H`` attention heads, ``W`` patches of
the decoder's window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu, pad, scaled_dot_product_attention

from lightning_modules.layers.network_size import NetworkSizeError

SLOPE = 0.2
QUIET = 1e-3
"""Added to normalised magnitudes before their logarithm is taken."""


class WholeNorm(nn.GroupNorm):
    """Zero mean and unit variance over channels, bins and frames together: timbre stays.

    The document's batch normalisation would make an embedding depend on what else is in the batch.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__(1, n_channels)


class ChannelwiseNorm(nn.InstanceNorm2d):
    """Zero mean and unit variance over bins and frames of every channel by itself: removes much of timbre.

    Ulyanov et al., Instance Normalization, arXiv 1607.08022; Huang and Belongie, arXiv 1703.06868, section 3.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__(n_channels, affine=True)


class ResidualBlock(nn.Module):
    """Half as many bins, and frames where asked; two convolutions beside a shortcut (He et al., 1512.03385).

    Args:
        n_in: channels it sees.
        n_out: channels it gives.
        frame_stride: 2 for half as many frames, else 1.
        norm: makes the normalisation of so many channels.
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


class Trunk(nn.Module):
    """What both encoders are: residual blocks, then a transformer over patches.

    Args:
        n_bins: ``K``.
        patch_frames: ``P``, a power of 2; the first blocks halve the frames so often.
        channels: of each residual block.
        size: ``E``.
        n_layers: of the transformer.
        n_heads: of the transformer.
        hidden: width inside the transformer's layers.
        norm: of the residual blocks.
    """

    def __init__(
        self,
        n_bins: int,
        patch_frames: int,
        channels: Sequence[int],
        size: int,
        n_layers: int,
        n_heads: int,
        hidden: int,
        norm: type[nn.Module],
    ) -> None:
        super().__init__()
        self.n_bins, self.patch_frames, self.size = n_bins, patch_frames, size
        n_halvings = patch_frames.bit_length() - 1
        if patch_frames != 2**n_halvings or n_halvings > len(channels):
            raise NetworkSizeError(
                f"patch_frames must be a power of 2, at most 2 to the number of channels ({len(channels)}), "
                f"found {patch_frames}."
            )
        steps = enumerate(pairwise([3, *channels]))
        self.blocks = nn.Sequential(
            *(ResidualBlock(a, b, 2 if i < n_halvings else 1, norm) for i, (a, b) in steps)
        )
        n_high = math.ceil(n_bins / 2 ** len(channels))
        self.project = nn.Linear(channels[-1] * n_high, size)
        layer = nn.TransformerEncoderLayer(
            size, n_heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)

    def patches(self, spectra: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)``, any ``N``, → ``(B, ⌈N / P⌉, E)``, before the transformer."""
        if spectra.shape[2] != self.n_bins:
            raise NetworkSizeError(
                f"An encoder of {self.n_bins} bins was given {spectra.shape[2]}: set n_bins of both encoders "
                "to n_fft / 2 + 1 + n_semitones of the representation."
            )
        whole = pad(spectra, (0, -spectra.shape[-1] % self.patch_frames))
        # A convolution would need many channels to find the magnitude in real and imaginary part.
        loudness = (whole.square().sum(1, keepdim=True) + QUIET**2).log() / (-2 * math.log(QUIET))
        features = self.blocks(torch.cat([whole, loudness], dim=1))
        return self.project(features.flatten(1, 2).transpose(1, 2))


class StyleEncoder(nn.Module):
    """How something sounds, whatever is played: one vector for a recording of any length.

    Of a transformer over all patches and a class token, in any order (timbre has none), the class token's
    output is the embedding.

    Args:
        n_bins: see `Trunk`; so are the others.
    """

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
        self.trunk = Trunk(n_bins, patch_frames, channels, size, n_layers, n_heads, hidden, WholeNorm)
        self.class_token = nn.Parameter(0.02 * torch.randn(size))

    def forward(self, spectra: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)`` → ``(B, E)``, of mean 0 and variance 1."""
        patches = self.trunk.patches(spectra)
        token = self.class_token.expand(len(patches), 1, -1)
        outputs = self.trunk.transformer(torch.cat([token, patches], dim=1))
        return layer_norm(outputs[:, 0], outputs.shape[-1:])


class ContentEncoder(nn.Module):
    """What is played, whatever it sounds like: a vector for each patch.

    Args:
        n_bins: see `Trunk`; so are the others.
    """

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
        self.trunk = Trunk(n_bins, patch_frames, channels, size, n_layers, n_heads, hidden, ChannelwiseNorm)

    def forward(self, spectra: Tensor) -> Tensor:
        """Normalised ``(B, 2, K, N)`` → ``(B, ⌈N / P⌉, E)``, each of mean 0 and variance 1."""
        patches = self.trunk.patches(spectra)
        outputs = self.trunk.transformer(patches + _positions(patches))
        return layer_norm(outputs, outputs.shape[-1:])


def _positions(like: Tensor) -> Tensor:
    """Sines and cosines of places, ``(M, E)`` (Vaswani et al., arXiv 1706.03762, section 3.5)."""
    n_patches, size = like.shape[-2:]
    rates = torch.exp(torch.arange(0, size, 2, device=like.device) * (-math.log(10_000) / size))
    angles = torch.arange(n_patches, device=like.device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(like)


class Past(NamedTuple):
    """What a layer keeps of the patches before: keys and values ``(B, H, ≤ W − 1, E / H)``."""

    keys: Tensor
    values: Tensor


class DecoderLayer(nn.Module):
    """Attention to the last ``W`` patches, then a layer for each patch; style scales and shifts both.

    Places are known from learned biases for each distance (Raffel et al., arXiv 1910.10683, section 2.1), so
    there is no longest piece. Style enters as in FiLM (Perez et al., arXiv 1709.07871).

    Args:
        size: ``E``.
        n_heads: ``H``.
        hidden: width of the layer for each patch.
        window: ``W``.
    """

    def __init__(self, size: int, n_heads: int, hidden: int, window: int) -> None:
        super().__init__()
        self.n_heads, self.window = n_heads, window
        self.attend = nn.Linear(size, 3 * size)
        self.join = nn.Linear(size, size)
        self.think = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))
        self.modulate = nn.Linear(size, 4 * size)
        self.distance_bias = nn.Parameter(torch.zeros(n_heads, window))

    def forward(self, x: Tensor, style: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """``(B, M, E)``, ``(B, E)`` and what was kept of patches before → ``(B, M, E)`` and what to keep."""
        scale, shift, scale_2, shift_2 = self.modulate(style)[:, None].chunk(4, dim=-1)
        queries, keys, values = self._heads(modulated(x, scale, shift))
        if past is not None:
            keys, values = torch.cat([past.keys, keys], dim=2), torch.cat([past.values, values], dim=2)
        attended = scaled_dot_product_attention(
            queries, keys, values, self._bias(queries.shape[2], keys.shape[2])
        )
        x = x + self.join(attended.transpose(1, 2).flatten(2))
        x = x + self.think(modulated(x, scale_2, shift_2))
        kept = max(0, keys.shape[2] - (self.window - 1))
        return x, Past(keys[:, :, kept:], values[:, :, kept:])

    def _heads(self, x: Tensor) -> list[Tensor]:
        return [
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in self.attend(x).chunk(3, -1)
        ]

    def _bias(self, n_queries: int, n_keys: int) -> Tensor:
        """``(H, queries, keys)``: −∞ for what is later or too long ago. The last query is the last key's."""
        device = self.distance_bias.device
        now = torch.arange(n_keys - n_queries, n_keys, device=device)
        distance = now[:, None] - torch.arange(n_keys, device=device)
        visible = (distance >= 0) & (distance < self.window)
        bias = self.distance_bias[:, distance.clamp(0, self.window - 1)]
        return bias.masked_fill(~visible, -math.inf)


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalised over the last dimension, then scaled by ``1 + scale`` and shifted."""
    return layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


class Decoder(nn.Module):
    """Levels of one patch after another, from content, style and the patches before.

    In training the patches before are the target's (teacher forcing), in generation its own; both come in
    through `inputs`. Where they are not known, at the beginning and for a share of them in training, a
    learned vector stands for them: the decoder must not live on copying the past, which is exact in training
    and its own guess when it plays.

    Args:
        n_bins: ``F``.
        patch_frames: ``P``.
        size: ``E``, as that of the encoders.
        n_layers: number of layers.
        n_heads: ``H``.
        hidden: width inside the layers and before the output.
        window: ``W``, patches that a layer sees; a patch depends on ``n_layers · (W − 1)`` before it.
        forgetting: share of the patches before that are withheld in training, in [0, 1].
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
        forgetting: float = 0.5,
    ) -> None:
        super().__init__()
        self.n_bins, self.patch_frames, self.forgetting = n_bins, patch_frames, forgetting
        self.listen = nn.Linear(patch_frames * n_bins, size)
        self.unknown = nn.Parameter(torch.zeros(size))
        self.read = nn.Linear(size, size)
        self.layers = nn.ModuleList(DecoderLayer(size, n_heads, hidden, window) for _ in range(n_layers))
        self.modulate = nn.Linear(size, 2 * size)
        self.paint = nn.Sequential(
            nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, patch_frames * n_bins)
        )

    def forward(self, content: Tensor, style: Tensor, target: Tensor | None = None) -> Tensor:
        """All patches at once.

        Args:
            content: ``(B, M, E)``.
            style: ``(B, E)``.
            target: levels ``(B, F, N)``, of which a patch sees those before it; ``None`` withholds them all.

        Returns:
            Levels ``(B, F, M · P)``.
        """
        known = content.new_zeros(content.shape[:2], dtype=torch.bool)
        previous = content.new_zeros(*content.shape[:2], self.patch_frames * self.n_bins)
        if target is not None:
            previous[:, 1:] = self.cut(target)[:, :-1]
            known[:, 1:] = True
            if self.training and self.forgetting:
                known &= torch.rand(known.shape, device=known.device) >= self.forgetting
        return self.joined(self._patches(self.inputs(previous, known, content), style, None)[0])

    def generate(self, content: Tensor, style: Tensor) -> Tensor:
        """One patch after another, each seeing those generated before: linear in time, in constant memory.

        Args:
            content: ``(B, M, E)``.
            style: ``(B, E)``.

        Returns:
            Levels ``(B, F, M · P)``.
        """
        previous = content.new_zeros(len(content), 1, self.patch_frames * self.n_bins)
        patches: list[Tensor] = []
        past = None
        for heard in content.split(1, dim=1):
            known = torch.full(previous.shape[:2], bool(patches), device=content.device)
            previous, past = self._patches(self.inputs(previous, known, heard), style, past)
            patches.append(previous)
        return self.joined(torch.cat(patches, dim=1))

    def inputs(self, previous: Tensor, known: Tensor, content: Tensor) -> Tensor:
        """What the layers see of a patch: content, and the patch before as far as ``known`` ``(B, M)``."""
        return self.read(content) + torch.where(known[..., None], self.listen(previous), self.unknown)

    def cut(self, levels: Tensor) -> Tensor:
        """``(B, F, M · P)`` → ``(B, M, P · F)``."""
        return levels.unflatten(-1, (-1, self.patch_frames)).permute(0, 2, 3, 1).flatten(2)

    def joined(self, patches: Tensor) -> Tensor:
        """The inverse of `cut`."""
        return patches.unflatten(-1, (self.patch_frames, self.n_bins)).permute(0, 3, 1, 2).flatten(2)

    def _patches(self, x: Tensor, style: Tensor, past: list[Past] | None) -> tuple[Tensor, list[Past]]:
        kept = []
        for i, layer in enumerate(self.layers):
            x, keep = layer(x, style, past[i] if past else None)
            kept.append(keep)
        scale, shift = self.modulate(style)[:, None].chunk(2, dim=-1)
        return self.paint(modulated(x, scale, shift)), kept


class Discriminator(nn.Sequential):
    """Names the instrument from an embedding, of style or content.

    Args:
        size: ``E``.
        n_instruments: classes.
        hidden: widths between.
    """

    def __init__(self, size: int = 256, n_instruments: int = 2, hidden: Sequence[int] = (128, 128)) -> None:
        widths = [size, *hidden]
        inner = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(SLOPE))]
        super().__init__(*inner, nn.Linear(widths[-1], n_instruments))
