"""HiFi-GAN's discriminators: of periods and of scales (Kong et al., arXiv 2010.05646, section 2.3).

Layer sizes are those of the authors' code: 41,105,770 parameters for periods, 29,618,821 for scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

SLOPE = 0.1
"""Of every LeakyReLU for negative input."""


class PeriodDiscriminator(nn.Module):
    """Looks at every ``period``-th sample, with kernels of 5 along time and 1 across phases.

    Args:
        period: samples; audio is folded into that many columns.
        channels: of the layers before the last; all but the last of them have stride 3.
    """

    def __init__(self, period: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        strides = [3] * (len(channels) - 1) + [1]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(n_in, n_out, (5, 1), (stride, 1), padding=(2, 0)))
            for (n_in, n_out), stride in zip(pairwise([1, *channels]), strides, strict=True)
        )
        self.last = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> Tensor:
        """``(B, T)`` → logits ``(B, 1, ·, period)``."""
        x = pad(audio, (0, -audio.shape[-1] % self.period)).unflatten(-1, (-1, self.period)).unsqueeze(1)
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE)
        return self.last(x)


class ScaleLayer(NamedTuple):
    """Of a `ScaleDiscriminator`."""

    width: int
    """Channels in units of the discriminator's."""
    kernel_size: int
    stride: int
    groups: int


SCALE_LAYERS = (
    ScaleLayer(1, 15, 1, 1),
    ScaleLayer(1, 41, 2, 4),
    ScaleLayer(2, 41, 2, 16),
    ScaleLayer(4, 41, 4, 16),
    ScaleLayer(8, 41, 4, 16),
    ScaleLayer(8, 41, 1, 16),
    ScaleLayer(8, 5, 1, 1),
)


class ScaleDiscriminator(nn.Module):
    """Looks at audio at one rate.

    Args:
        channels: of the first layer, a multiple of 16; the widest has eight times as many.
        spectral: whether weights are divided by their largest singular value, as at the full rate, and not
            by their norm.
    """

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        normalised = spectral_norm if spectral else weight_norm
        widths = [1, *(layer.width * channels for layer in SCALE_LAYERS)]
        self.layers = nn.ModuleList(
            normalised(
                nn.Conv1d(
                    n_in, n_out, layer.kernel_size, layer.stride, layer.kernel_size // 2, groups=layer.groups
                )
            )
            for (n_in, n_out), layer in zip(pairwise(widths), SCALE_LAYERS, strict=True)
        )
        self.last = normalised(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, audio: Tensor) -> Tensor:
        """``(B, T)`` → logits ``(B, 1, ·)``."""
        x = audio.unsqueeze(1)
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE)
        return self.last(x)


class PeriodsAndScales(nn.Module):
    """Both kinds together.

    Args:
        periods: of the period discriminators, in samples; primes, so that they overlap little.
        period_channels: of each.
        n_scales: how many scale discriminators; each hears half the rate of the one before.
        scale_channels: of the first layer of each.
    """

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        period_channels: Sequence[int] = (32, 128, 512, 1024, 1024),
        n_scales: int = 3,
        scale_channels: int = 128,
    ) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period, period_channels) for period in periods)
        self.scales = nn.ModuleList(
            ScaleDiscriminator(scale_channels, spectral=number == 0) for number in range(n_scales)
        )

    def forward(self, audio: Tensor) -> list[Tensor]:
        """``(B, T)`` → logits of each period, then of each scale from the full rate down."""
        logits = [discriminator(audio) for discriminator in self.periods]
        for discriminator in self.scales:
            logits.append(discriminator(audio))
            audio = avg_pool1d(audio.unsqueeze(1), 4, stride=2, padding=2).squeeze(1)
        return logits
