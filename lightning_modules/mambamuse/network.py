"""MambaMuse: a U-Net over samples with Mamba in its blocks, whose timbre is a reference's statistics.

::

    source ─► block 1 ─► block 2 ─► block 3 ─► block 4 ─► block 5      each but the last halves the rate
                 │ L/2      │ L/4      │ L/8      │ L/16      │ L/16
               AdaIN      AdaIN      AdaIN      AdaIN       AdaIN  ◄── statistics of the reference, which goes
                 │          │          │          └────► + ◄──┘         through the same blocks
                 │          │          └─► + ◄────── stage 1
                 │          └──► + ◄────── stage 2                     each stage doubles the rate
                 └──────► + ◄───── stage 3
    audio ◄── Conv 7 ◄── stage 4

As in the MambaMuse document. Tensors inside are ``(B, T, C)``, time before channels. In the causal
configuration nothing looks ahead but the halving of the rate, so that audio can be transferred as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu, pad

from lightning_modules.layers.causal import Convolution, Upsampling
from lightning_modules.layers.mamba import Mamba
from lightning_modules.layers.memory import Memory
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.mambamuse.adain import AdaptiveNormalisation, Statistics, averaged, statistics

SLOPE = 0.1
"""Of every LeakyReLU for negative input."""


@dataclass
class StyleStrengths:
    """How much of the reference's statistics each place takes on, from 0 (the source's own) to 1."""

    style: float = 1.0
    """A factor of all: the knob between content and style."""
    bottleneck: float = 1.0
    skip_4: float = 1.0
    """Of the fourth block's skip, the coarsest."""
    skip_3: float = 1.0
    skip_2: float = 1.0
    skip_1: float = 0.0
    """By default the finest skip hands the source on as it is."""

    def of_places(self) -> list[float]:
        """From the finest skip to the bottleneck."""
        places = (self.skip_1, self.skip_2, self.skip_3, self.skip_4, self.bottleneck)
        return [self.style * strength for strength in places]


class NormalisedConvolution(nn.Module):
    """Convolution, LayerNorm over channels, LeakyReLU."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, causal: bool) -> None:
        super().__init__()
        self.convolution = Convolution(n_in, n_out, kernel_size, causal=causal)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, T, n_out)``."""
        return leaky_relu(self.norm(self.convolution(x, memory)), SLOPE)


class MambaLayer(nn.Module):
    """x + Mamba(LayerNorm(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mamba = Mamba(channels)

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        return x + self.mamba(self.norm(x), memory)


class EncoderBlock(nn.Module):
    """Two convolutions, a lower rate, Mamba layers.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel_size: of both convolutions.
        n_mamba: number of Mamba layers.
        stride: what the rate is divided by.
        causal: whether convolutions look only back.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_size: int, n_mamba: int, stride: int, causal: bool
    ) -> None:
        super().__init__()
        self.widen = NormalisedConvolution(n_in, n_out, kernel_size, causal)
        self.refine = NormalisedConvolution(n_out, n_out, kernel_size, causal)
        self.stride = stride
        self.layers = nn.ModuleList(MambaLayer(n_out) for _ in range(n_mamba))
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, T / stride, n_out)``, before the norm that leads to the next block."""
        x = self.widen(x, memory)
        x = x + self.refine(x, memory)
        if self.stride > 1:
            x = avg_pool1d(x.transpose(1, 2), self.stride).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, memory)
        return x


class ResidualBlock(nn.Module):
    """x + Conv(LeakyReLU(dilated Conv(LeakyReLU(x)))) for each dilation (HiFi-GAN's first, 2010.05646)."""

    def __init__(self, channels: int, dilations: Sequence[int], causal: bool) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(Convolution(channels, channels, 3, d, causal) for d in dilations)
        self.plain = nn.ModuleList(Convolution(channels, channels, 3, 1, causal) for _ in dilations)

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(leaky_relu(dilated(leaky_relu(x, SLOPE), memory), SLOPE), memory)
        return x


class DecoderStage(nn.Module):
    """Raise the rate, Mamba layers, a residual block.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel_size: of the transposed convolution.
        n_mamba: number of Mamba layers.
        stride: what the rate is multiplied by.
        causal: whether convolutions look only back.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_size: int, n_mamba: int, stride: int, causal: bool
    ) -> None:
        super().__init__()
        self.upsampling = Upsampling(n_in, n_out, kernel_size, stride, causal)
        self.layers = nn.ModuleList(MambaLayer(n_out) for _ in range(n_mamba))
        self.residual = ResidualBlock(n_out, (1, 3), causal)

    def forward(self, x: Tensor, memory: Memory | None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, stride·T, n_out)``."""
        x = self.upsampling(x, memory)
        for layer in self.layers:
            x = layer(x, memory)
        return self.residual(x, memory)


class Encoded(NamedTuple):
    """What the encoder finds in audio."""

    skips: list[Tensor]
    """``(B, T / 2, C)``, ``(B, T / 4, C)``, …: what each block gives that halves the rate."""
    bottleneck: Tensor
    """``(B, T / stride, C)``."""


Style = list[Statistics]
"""Of each skip from the finest on, then of the bottleneck."""


class UNet(nn.Module):
    """Audio and a style → audio with that style.

    Args:
        channels: of the encoder's blocks; the last two are equal, as the bottleneck is added to its skip.
        kernels: of the encoder's convolutions.
        n_mamba: Mamba layers of each encoder block.
        strides: what each block but the last divides the rate by; the document's halve it.
        decoder_kernels: of the stages that raise the rate again, from the bottleneck on.
        n_decoder_mamba: Mamba layers of each stage.
        causal: whether audio can be transferred as it comes. AdaIN then measures the content's past, not its
            whole.
        window: of that past, in samples; see `AdaptiveNormalisation`.
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
        self.blocks = nn.ModuleList(
            EncoderBlock(n_in, n_out, kernel, n_layers, stride, causal)
            for (n_in, n_out), kernel, n_layers, stride in zip(
                pairwise([1, *channels]), kernels, n_mamba, [*strides, 1], strict=True
            )
        )
        self.places = nn.ModuleList(
            AdaptiveNormalisation(window / steps if causal else None)
            for steps in [*accumulate(strides, mul), self.stride]
        )
        widths = [*channels[:0:-1][1:], channels[0], channels[0] // 2]
        self.stages = nn.ModuleList(
            DecoderStage(n_in, n_out, kernel, n_layers, stride, causal)
            for (n_in, n_out), kernel, n_layers, stride in zip(
                pairwise(widths), decoder_kernels, n_decoder_mamba, reversed(strides), strict=True
            )
        )
        self.last = Convolution(widths[-1], 1, 7, causal=causal)

    def encode(self, audio: Tensor, memory: Memory | None = None) -> Encoded:
        """``(B, T)``, T a multiple of the stride."""
        x, outputs = audio.unsqueeze(-1), []
        for number, block in enumerate(self.blocks):
            x = block(x, memory)
            outputs.append(x)
            x = block.norm(x)  # type: ignore[operator]
            if number < len(self.blocks) - 1:
                x = leaky_relu(x, SLOPE)
        return Encoded(outputs[:-1], x)

    def style(self, references: Sequence[Tensor]) -> Style:
        """The style of one or several references ``(B, R)``, each of any length."""
        of_each = []
        for reference in references:
            encoded = self.encode(self.whole_strides(reference))
            of_each.append([statistics(features) for features in (*encoded.skips, encoded.bottleneck)])
        return [averaged(of_place) for of_place in zip(*of_each, strict=True)]

    def decode(self, encoded: Encoded, memory: Memory | None = None) -> Tensor:
        """``(B, T)``, in (−1, 1)."""
        x = encoded.bottleneck
        for stage, skip in zip(self.stages, reversed(encoded.skips), strict=True):
            x = stage(leaky_relu(x, SLOPE) + skip, memory)
        return torch.tanh(self.last(leaky_relu(x, SLOPE), memory)).squeeze(-1)

    def forward(
        self, audio: Tensor, style: Style, strengths: StyleStrengths, memory: Memory | None = None
    ) -> Tensor:
        """Transfer.

        Args:
            audio: ``(B, T)``, T a multiple of the stride.
            style: what it shall sound like.
            strengths: how much so.
            memory: of a stream, of which ``audio`` is the next block; for causal networks.

        Returns:
            ``(B, T)``, in (−1, 1).
        """
        encoded = self.encode(audio, memory)
        features = zip(
            self.places, (*encoded.skips, encoded.bottleneck), style, strengths.of_places(), strict=True
        )
        *skips, bottleneck = (place(x, wanted, strength, memory) for place, x, wanted, strength in features)
        return self.decode(Encoded(skips, bottleneck), memory)

    def whole_strides(self, audio: Tensor) -> Tensor:
        """``(B, T)``, continued with silence to a multiple of the stride, at least one."""
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
    of_blocks, of_stages = (channels, kernels, n_mamba), (strides, decoder_kernels, n_decoder_mamba)
    lengths = [len(sizes) for sizes in (*of_blocks, *of_stages)]
    if lengths != [5, 5, 5, 4, 4, 4] or channels[3] != channels[4]:
        raise NetworkSizeError(
            "network needs five channels, of which the last two are equal, five kernels and five n_mamba, "
            f"and four strides, decoder_kernels and n_decoder_mamba, found {', '.join(map(str, of_blocks))} "
            f"and {', '.join(map(str, of_stages))}."
        )
    if any(kernel % stride for kernel, stride in zip(decoder_kernels, reversed(strides), strict=True)):
        raise NetworkSizeError(
            f"decoder_kernels must be multiples of the strides, from the last stride to the first, found "
            f"{decoder_kernels} and {strides}."
        )
