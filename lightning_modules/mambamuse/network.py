"""MambaMuse: a U-Net over samples with Mamba in its blocks, whose timbre is a reference's statistics.

::

    source ─► block 1 ─► block 2 ─► block 3 ─► block 4 ─► block 5      each but the last halves the rate
                 │ T/2      │ T/4      │ T/8      │ T/16      │ T/16
               AdaIN      AdaIN      AdaIN      AdaIN       AdaIN  ◄── statistics of the reference, which goes
                 │          │          │          └────► + ◄──┘         through the same blocks
                 │          │          └─► + ◄───── decoder 1
                 │          └──► + ◄───── decoder 2                    each decoder block doubles the rate
                 └──────► + ◄──── decoder 3
    audio ◄── Conv 7 ◄── decoder 4

The network is that of the MambaMuse document. Tensors inside it are ``(B, T, C)``, time before channels. In
the causal configuration nothing looks ahead but the pooling, so that audio can be transferred as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import mul
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from lightning_modules.layers.causal import Cache, Convolution
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.mambamuse.adain import AdaIN, ChannelStatistics, channel_statistics, mean_statistics
from lightning_modules.mambamuse.blocks import SLOPE, BlockSizes, DecoderBlock, EncoderBlock
from runtime.arguments import fraction


@dataclass
class StyleStrengths:
    """How much of the reference's statistics each skip and the bottleneck take on, from 0 to 1.

    At 0 the source keeps its own statistics.
    """

    style: Annotated[float, fraction] = 1.0
    """A factor of all others, which turns from content to style."""
    bottleneck: Annotated[float, fraction] = 1.0
    """The strength at the bottleneck."""
    skip_4: Annotated[float, fraction] = 1.0
    """The strength at the skip of the fourth block, the coarsest."""
    skip_3: Annotated[float, fraction] = 1.0
    """The strength at the skip of the third block."""
    skip_2: Annotated[float, fraction] = 1.0
    """The strength at the skip of the second block."""
    skip_1: Annotated[float, fraction] = 0.0
    """The strength at the skip of the first block, the finest: by default it passes the source unchanged."""

    def from_finest(self) -> list[float]:
        """The strengths from the finest skip to the bottleneck, times `style`."""
        strengths = (self.skip_1, self.skip_2, self.skip_3, self.skip_4, self.bottleneck)
        return [self.style * strength for strength in strengths]


class Encoded(NamedTuple):
    """The output of the encoder."""

    skips: list[Tensor]
    """``(B, T / 2, C)``, ``(B, T / 4, C)``, …: the output of each block that lowers the rate."""
    bottleneck: Tensor
    """``(B, T / stride, C)``."""


Style = list[ChannelStatistics]
"""The statistics of each skip, from the finest on, then of the bottleneck."""


class UNet(nn.Module):
    """Audio and a style → audio with that style.

    Args:
        channels: of the encoder's blocks; the last two are equal, as the bottleneck is added to its skip.
        kernels: taps of the encoder's convolutions.
        n_mamba: Mamba layers of each encoder block.
        strides: what each block but the last divides the rate by; the document's halve it.
        decoder_kernels: taps of the decoder's transposed convolutions, from the bottleneck on.
        n_decoder_mamba: Mamba layers of each decoder block.
        causal: whether audio can be transferred as it comes. AdaIN then measures the content's past instead
            of the whole.
        window: length of that past in samples; see `AdaIN`.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128, 256, 256),
        kernels: Sequence[int] = (4, 4, 4, 4, 3),
        n_mamba: Sequence[int] = (2, 2, 2, 2, 3),
        strides: Sequence[int] = (2, 2, 2, 2),
        decoder_kernels: Sequence[int] = (4, 4, 8, 8),
        n_decoder_mamba: Sequence[int] = (2, 2, 2, 2),
        causal: bool = False,
        window: int = 16_000,
    ) -> None:
        super().__init__()
        _require_fitting_sizes(channels, kernels, n_mamba, strides, decoder_kernels, n_decoder_mamba)
        self.causal = causal
        self.stride = math.prod(strides)
        """Samples that are transferred together."""
        self.encoder = nn.ModuleList(
            EncoderBlock(BlockSizes(n_in, n_out, *sizes), causal)
            for (n_in, n_out), *sizes in zip(
                pairwise([1, *channels]), kernels, n_mamba, [*strides, 1], strict=True
            )
        )
        self.adain = nn.ModuleList(
            AdaIN(window / steps if causal else None) for steps in [*accumulate(strides, mul), self.stride]
        )
        widths = [*channels[:0:-1][1:], channels[0], channels[0] // 2]
        self.decoder = nn.ModuleList(
            DecoderBlock(BlockSizes(n_in, n_out, *sizes), causal)
            for (n_in, n_out), *sizes in zip(
                pairwise(widths), decoder_kernels, n_decoder_mamba, reversed(strides), strict=True
            )
        )
        self.head = Convolution(widths[-1], 1, 7, causal=causal)

    def encode(self, audio: Tensor, cache: Cache | None = None) -> Encoded:
        """``(B, T)``, T a multiple of the stride → skips and bottleneck."""
        x, outputs = audio.unsqueeze(-1), []
        for number, block in enumerate(self.encoder):
            x = block(x, cache)
            outputs.append(x)
            x = block.norm(x)  # type: ignore[operator]
            if number < len(self.encoder) - 1:
                x = leaky_relu(x, SLOPE)
        return Encoded(outputs[:-1], x)

    def style(self, references: Sequence[Tensor]) -> Style:
        """Measure the style of one or several references ``(B, R)``, each of any length."""
        of_each = []
        for reference in references:
            encoded = self.encode(self.whole_strides(reference))
            of_each.append(
                [channel_statistics(features) for features in (*encoded.skips, encoded.bottleneck)]
            )
        return [mean_statistics(of_level) for of_level in zip(*of_each, strict=True)]

    def decode(self, encoded: Encoded, cache: Cache | None = None) -> Tensor:
        """Skips and bottleneck → ``(B, T)``, in (−1, 1)."""
        x = encoded.bottleneck
        for block, skip in zip(self.decoder, reversed(encoded.skips), strict=True):
            x = block(leaky_relu(x, SLOPE) + skip, cache)
        return torch.tanh(self.head(leaky_relu(x, SLOPE), cache)).squeeze(-1)

    def forward(
        self, audio: Tensor, style: Style, strengths: StyleStrengths, cache: Cache | None = None
    ) -> Tensor:
        """Transfer audio to a style.

        Args:
            audio: ``(B, T)``, T a multiple of the stride.
            style: the style of a reference, see `style`.
            strengths: how much of it each skip and the bottleneck take on.
            cache: of a stream, of which ``audio`` is the next block; only for causal networks.

        Returns:
            ``(B, T)``, in (−1, 1).
        """
        encoded = self.encode(audio, cache)
        levels = zip(
            self.adain, (*encoded.skips, encoded.bottleneck), style, strengths.from_finest(), strict=True
        )
        *skips, bottleneck = (adain(x, wanted, strength, cache) for adain, x, wanted, strength in levels)
        return self.decode(Encoded(skips, bottleneck), cache)

    def whole_strides(self, audio: Tensor) -> Tensor:
        """Pad ``(B, T)`` with silence to a multiple of the stride, at least one."""
        n_strides = max(1, math.ceil(audio.shape[-1] / self.stride))
        return pad(audio, (0, n_strides * self.stride - audio.shape[-1]))


def _require_fitting_sizes(
    channels: Sequence[int],
    kernels: Sequence[int],
    n_mamba: Sequence[int],
    strides: Sequence[int],
    decoder_kernels: Sequence[int],
    n_decoder_mamba: Sequence[int],
) -> None:
    of_encoder, of_decoder = (channels, kernels, n_mamba), (strides, decoder_kernels, n_decoder_mamba)
    lengths = [len(sizes) for sizes in (*of_encoder, *of_decoder)]
    if lengths != [5, 5, 5, 4, 4, 4] or channels[3] != channels[4]:
        raise NetworkSizeError(
            "network needs five channels, of which the last two are equal, five kernels and five n_mamba, "
            f"and four strides, decoder_kernels and n_decoder_mamba, found {', '.join(map(str, of_encoder))} "
            f"and {', '.join(map(str, of_decoder))}."
        )
    if any(kernel % stride for kernel, stride in zip(decoder_kernels, reversed(strides), strict=True)):
        raise NetworkSizeError(
            f"decoder_kernels must be multiples of the strides, from the last stride to the first, found "
            f"{decoder_kernels} and {strides}."
        )
