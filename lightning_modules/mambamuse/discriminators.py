"""The discriminators of HiFi-GAN: multi-period and multi-scale (Kong et al., arXiv 2010.05646, section 2.3).

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
"""The slope of every LeakyReLU for negative input."""


class PeriodDiscriminator(nn.Module):
    """Judges samples that lie ``period`` apart together: HiFi-GAN's DiscriminatorP.

    Args:
        period: in samples; audio is folded into that many columns, along which kernels are 5 and across
            which they are 1 wide.
        channels: of the convolutions before the last; all but the last of them have stride 3.
    """

    def __init__(self, period: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        strides = [3] * (len(channels) - 1) + [1]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(n_in, n_out, (5, 1), (stride, 1), padding=(2, 0)))
            for (n_in, n_out), stride in zip(pairwise([1, *channels]), strides, strict=True)
        )
        self.conv_post = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> Tensor:
        """``(B, T)`` → logits ``(B, 1, ·, period)``."""
        x = pad(audio, (0, -audio.shape[-1] % self.period)).unflatten(-1, (-1, self.period)).unsqueeze(1)
        for conv in self.convs:
            x = leaky_relu(conv(x), SLOPE)
        return self.conv_post(x)


class ScaleLayer(NamedTuple):
    """The sizes of one convolution of a `ScaleDiscriminator`."""

    width: int
    """Channels out, as a multiple of the discriminator's ``channels``."""
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
    """Judges audio at one sample rate: HiFi-GAN's DiscriminatorS.

    Args:
        channels: of the first convolution, a multiple of 16; the widest has eight times as many.
        spectral: whether weights are normalised by their largest singular value (spectral norm), as at the
            full rate, or by their length (weight norm).
    """

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        widths = [1, *(layer.width * channels for layer in SCALE_LAYERS)]
        self.convs = nn.ModuleList(
            norm(
                nn.Conv1d(
                    n_in, n_out, layer.kernel_size, layer.stride, layer.kernel_size // 2, groups=layer.groups
                )
            )
            for (n_in, n_out), layer in zip(pairwise(widths), SCALE_LAYERS, strict=True)
        )
        self.conv_post = norm(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, audio: Tensor) -> Tensor:
        """``(B, T)`` → logits ``(B, 1, ·)``."""
        x = audio.unsqueeze(1)
        for conv in self.convs:
            x = leaky_relu(conv(x), SLOPE)
        return self.conv_post(x)


class HiFiGANDiscriminator(nn.Module):
    """The multi-period and the multi-scale discriminator together.

    Args:
        periods: of the period discriminators, in samples; primes, so that they overlap little.
        period_channels: see `PeriodDiscriminator`.
        n_scales: number of scale discriminators, each at half the sample rate of the one before.
        scale_channels: see `ScaleDiscriminator`.
    """

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        period_channels: Sequence[int] = (32, 128, 512, 1024, 1024),
        n_scales: int = 3,
        scale_channels: int = 128,
    ) -> None:
        super().__init__()
        self.period_discriminators = nn.ModuleList(
            PeriodDiscriminator(period, period_channels) for period in periods
        )
        self.scale_discriminators = nn.ModuleList(
            ScaleDiscriminator(scale_channels, spectral=number == 0) for number in range(n_scales)
        )

    def forward(self, audio: Tensor) -> list[Tensor]:
        """``(B, T)`` → logits of each period, then of each scale, the full rate first."""
        logits = [discriminator(audio) for discriminator in self.period_discriminators]
        for discriminator in self.scale_discriminators:
            logits.append(discriminator(audio))
            audio = avg_pool1d(audio.unsqueeze(1), 4, stride=2, padding=2).squeeze(1)
        return logits
