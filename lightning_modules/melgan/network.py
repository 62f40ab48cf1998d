"""MelGAN: a generator that turns mel frames into audio, and discriminators at three rates.

::

    mel ─► Conv 7 ─► ×8 ─► blocks ─► ×8 ─► blocks ─► ×2 ─► blocks ─► ×2 ─► blocks ─► Conv 7 ─► tanh ─► audio
           512       256             128             64              32              1 channel

Kumar et al., MelGAN, arXiv 1910.06711, figure 1 and tables 5 and 6, with the kernels of the authors' code.
Weights are normalised (Salimans and Kingma, arXiv 1602.07868). They really begin at N(0, 0.02); in the
authors' code the parametrisation silently undid that initialisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu, pad
from torch.nn.utils.parametrizations import weight_norm

from lightning_modules.layers.network_size import NetworkSizeError

SLOPE = 0.2
"""The slope of every LeakyReLU for negative input."""
MIN_FRAMES = 4
"""The fewest mel frames that the generator accepts: one more than its first convolution reflects."""


def normalised(convolution: nn.Conv1d | nn.ConvTranspose1d, std: float | None) -> nn.Module:
    """Draw the weights from N(0, ``std``), then apply weight norm, whose gain starts as the norm drawn.

    A ``std`` of ``None`` is 1/√n, with n the products that are summed into an output sample, which keeps the
    variance of the signal.
    """
    if std is None:
        n_products = convolution.weight[0].numel()
        if isinstance(convolution, nn.ConvTranspose1d):
            n_products = convolution.in_channels * convolution.kernel_size[0] // convolution.stride[0]
        std = n_products**-0.5
    nn.init.normal_(convolution.weight, 0.0, std)
    return weight_norm(convolution)


class ResidualBlock(nn.Module):
    """The sum of a 1×1 shortcut and of LeakyReLU, dilated Conv 3, LeakyReLU, Conv 1.

    Args:
        channels: of input and output.
        dilation: samples between the taps; the borders are reflected that far.
        std: standard deviation of the initial weights, see `normalised`.
    """

    def __init__(self, channels: int, dilation: int, std: float | None) -> None:
        super().__init__()
        self.shortcut = normalised(nn.Conv1d(channels, channels, 1), std)
        self.block = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.ReflectionPad1d(dilation),
            normalised(nn.Conv1d(channels, channels, 3, dilation=dilation), std),
            nn.LeakyReLU(SLOPE),
            normalised(nn.Conv1d(channels, channels, 1), std),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C, T)``."""
        return self.shortcut(x) + self.block(x)


class UpsamplingStage(nn.Module):
    """LeakyReLU, a transposed convolution that halves the channels, residual blocks.

    Args:
        channels: of the input.
        ratio: samples out for each sample in, even. The kernel is twice as long, so that every output sample
            is the sum of exactly two input samples.
        dilations: of the residual blocks.
        std: standard deviation of the initial weights, see `normalised`.
    """

    def __init__(self, channels: int, ratio: int, dilations: Sequence[int], std: float | None) -> None:
        super().__init__()
        upsampling = nn.ConvTranspose1d(channels, channels // 2, 2 * ratio, ratio, padding=ratio // 2)
        blocks = [ResidualBlock(channels // 2, dilation, std) for dilation in dilations]
        self.upsampling = normalised(upsampling, std)
        self.residual_blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C / 2, ratio · T)``."""
        return self.residual_blocks(self.upsampling(leaky_relu(x, SLOPE)))


class Generator(nn.Module):
    """Mel frames in [−1, 1] → audio in [−1, 1], ``hop`` samples for each frame.

    Args:
        n_mels: bands of the input.
        channels: of the first convolution's output; every upsampling halves them.
        ratios: samples out for each sample in of each upsampling, even; their product is the hop.
        dilations: of the residual blocks after each upsampling.
        initial_std: standard deviation of the initial weights; null keeps the variance of the signal,
            whatever the width. With the document's 0.02 the untrained output is 1e-7, and smaller for fewer
            channels.
    """

    def __init__(
        self,
        n_mels: int = 80,
        channels: int = 512,
        ratios: Sequence[int] = (8, 8, 2, 2),
        dilations: Sequence[int] = (1, 3, 9),
        initial_std: float | None = 0.02,
    ) -> None:
        super().__init__()
        if channels % 2 ** len(ratios) or any(ratio % 2 for ratio in ratios):
            raise NetworkSizeError(
                f"network needs even ratios and channels that {len(ratios)} upsamplings can halve, found "
                f"ratios {list(ratios)} and channels {channels}."
            )
        self.n_mels = n_mels
        self.hop = int(torch.tensor(ratios).prod())
        self.conv_pre = normalised(nn.Conv1d(n_mels, channels, 7), initial_std)
        self.stages = nn.ModuleList(
            UpsamplingStage(channels // 2**i, ratio, dilations, initial_std) for i, ratio in enumerate(ratios)
        )
        self.conv_post = normalised(nn.Conv1d(channels // 2 ** len(ratios), 1, 7), initial_std)

    def forward(self, mel: Tensor) -> Tensor:
        """``(B, M, N)``, N at least `MIN_FRAMES` → ``(B, N · hop)``."""
        x = self.conv_pre(pad(mel, (3, 3), mode="reflect"))
        for stage in self.stages:
            x = stage(x)
        x = pad(leaky_relu(x, SLOPE), (3, 3), mode="reflect")
        return torch.tanh(self.conv_post(x)).squeeze(1)


class Judgement(NamedTuple):
    """The output of a discriminator at one sample rate."""

    logits: Tensor
    """``(B, 1, ·)``, high for real audio."""
    features: list[Tensor]
    """``(B, C, ·)``, the output of each layer but the last, the first layer first."""


class ScaleDiscriminator(nn.Module):
    """Judges windows of audio at one sample rate with grouped, strided convolutions.

    Args:
        channels: of the layers between the first and the last two, which have kernels of 41 and stride 4.
        first_channels: of the first layer, which has a kernel of 15.
        group_size: input channels of each group of the strided convolutions.
        initial_std: standard deviation of the initial weights, see `normalised`.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 256, 1024, 1024),
        first_channels: int = 16,
        group_size: int = 4,
        initial_std: float | None = 0.02,
    ) -> None:
        super().__init__()
        sizes = [first_channels, *channels]
        convolutions = [nn.Conv1d(1, first_channels, 15, padding=7, padding_mode="reflect")]
        convolutions += [
            nn.Conv1d(a, b, 41, stride=4, padding=20, groups=a // group_size) for a, b in pairwise(sizes)
        ]
        convolutions.append(nn.Conv1d(sizes[-1], sizes[-1], 5, padding=2))
        self.layers = nn.ModuleList(
            nn.Sequential(normalised(convolution, initial_std), nn.LeakyReLU(SLOPE))
            for convolution in convolutions
        )
        self.conv_post = normalised(nn.Conv1d(sizes[-1], 1, 3, padding=1), initial_std)

    def forward(self, audio: Tensor) -> Judgement:
        """``(B, 1, T)``, for any T above 7 → logits and features."""
        features = [audio]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return Judgement(self.conv_post(features[-1]), features[1:])


class MultiScaleDiscriminator(nn.Module):
    """Equal discriminators at the full, half and quarter sample rate (table 6 of the paper).

    Args:
        n_scales: number of discriminators, each at half the sample rate of the one before.
        channels: see `ScaleDiscriminator`.
        first_channels: see `ScaleDiscriminator`.
        group_size: see `ScaleDiscriminator`.
        initial_std: see `ScaleDiscriminator`.
    """

    def __init__(
        self,
        n_scales: int = 3,
        channels: Sequence[int] = (64, 256, 1024, 1024),
        first_channels: int = 16,
        group_size: int = 4,
        initial_std: float | None = 0.02,
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            ScaleDiscriminator(channels, first_channels, group_size, initial_std) for _ in range(n_scales)
        )

    def forward(self, audio: Tensor) -> list[Judgement]:
        """``(B, T)`` → logits and features at each sample rate, the full rate first."""
        judgements, audio = [], audio.unsqueeze(1)
        for discriminator in self.discriminators:
            judgements.append(discriminator(audio))
            audio = avg_pool1d(audio, 4, stride=2, padding=1, count_include_pad=False)
        return judgements
