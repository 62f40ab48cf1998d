"""The two networks of Pix2Pix: a U-Net that translates images, a patch discriminator that judges them.

::

    image ─► 64 ─► 128 ─► 256 ─► 512 ─► … ─► 512        each half as high and half as long as the one before
              │      │      │      │           │
    image ◄─ 64 ◄─ 128 ◄─ 256 ◄─ 512 ◄─ … ◄────┘        each also sees its neighbour on the way down

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, arXiv 1611.07004, section
6.1, with the sizes of the source document. Shapes: ``B`` examples, ``C`` images side by side, ``F`` bins,
``N`` frames.

A departure: features are normalised at every position over the channels, and not over the batch or the
image. The result for one moment then depends neither on what else is in the batch (a process that trains on
half of it computes the same), nor on how long the piece is, nor on whether the network trains. The
parameters are as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad

from lightning_modules.layers.network_size import NetworkSizeError

SILENCE = -1.0
"""The value of an empty bin in an image."""
INITIAL_STD = 0.02
"""Weights begin as N(0, 0.02) (arXiv 1611.07004, section 6.2)."""


class ChannelNorm(nn.Module):
    """Zero mean and unit variance over the channels of each bin and frame, then a gain and an offset.

    Args:
        n_channels: ``C`` of the ``(B, C, F, N)`` input.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, F, N)`` → the same shape."""
        normalised = layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias)
        return normalised.movedim(-1, 1)


def reading(n_in: int, n_out: int) -> nn.Sequential:
    """Half as many bins and frames of an image, which goes on as silence beyond its edges; not normalised."""
    return nn.Sequential(
        nn.ConstantPad2d(1, SILENCE),
        nn.Conv2d(n_in, n_out, kernel_size=4, stride=2, bias=False),
        nn.LeakyReLU(0.2),
    )


def halving(n_in: int, n_out: int) -> nn.Sequential:
    """Half as many bins and frames."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=4, stride=2, padding=1, bias=False),
        ChannelNorm(n_out),
        nn.LeakyReLU(0.2),
    )


def doubling(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    """Twice as many bins and frames. Dropout is the noise of this GAN (arXiv 1611.07004, section 3.2)."""
    return nn.Sequential(
        nn.ConvTranspose2d(n_in, n_out, kernel_size=4, stride=2, padding=1, bias=False),
        ChannelNorm(n_out),
        nn.Dropout(dropout),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Translates images; every step down has a shortcut to the step up of the same size.

    Args:
        in_channels: images it sees.
        out_channels: images it gives.
        channels: width of each step down. ``F`` must be a multiple of 2 to the power of their number.
        n_dropout: how many of the innermost steps up drop features while training.
        dropout: share of the features that they drop.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512),
        n_dropout: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.multiple = 2 ** len(channels)
        """Bins must be, and frames are made, a multiple of this."""
        halvings = (halving(a, b) for a, b in pairwise(channels))
        self.down = nn.ModuleList([reading(in_channels, channels[0]), *halvings])
        ups = list(reversed(channels[:-1]))
        seen = [channels[-1], *(2 * width for width in ups)]
        self.up = nn.ModuleList(
            doubling(a, b, dropout if i < n_dropout else 0.0)
            for i, (a, b) in enumerate(zip(seen, ups, strict=False))
        )
        self.head = nn.ConvTranspose2d(seen[-1], out_channels, kernel_size=4, stride=2, padding=1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, in_channels, F, N)`` → ``(B, out_channels, F, N)``, unbounded, for any ``N``."""
        n_frames = images.shape[-1]
        x, shortcuts = self._whole(images), []
        for step in self.down:
            x = step(x)
            shortcuts.append(x)
        shortcuts.pop()
        for step in self.up:
            x = torch.cat([step(x), shortcuts.pop()], dim=1)
        return self.head(x)[..., :n_frames]

    def _whole(self, images: Tensor) -> Tensor:
        n_bins, n_frames = images.shape[-2:]
        if n_bins % self.multiple:
            raise NetworkSizeError(
                f"A network with {len(self.down)} steps down needs images with a multiple of {self.multiple} "
                f"bins, found {n_bins}: change model.init_args.spectrogram.n_bins or network.channels."
            )
        whole = pad(images, (0, -n_frames % self.multiple), value=SILENCE)
        # With the channels of a position side by side, its norm reads memory in order: a fifth less time.
        return whole.contiguous(memory_format=torch.channels_last)


class PatchDiscriminator(nn.Module):
    """Says of each patch of an image whether it is real, given what it was made from.

    Args:
        in_channels: images it sees: what the output was made from, then the output.
        channels: width of each step down; every step halves bins and frames.
    """

    def __init__(self, in_channels: int = 2, channels: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.in_channels = in_channels
        halvings = (halving(a, b) for a, b in pairwise(channels))
        self.down = nn.Sequential(reading(in_channels, channels[0]), *halvings)
        self.head = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(channels[-1], 1, kernel_size=4))
        initialise(self)

    def forward(self, condition: Tensor, image: Tensor) -> list[Tensor]:
        """``(B, C, F, N)`` and ``(B, 1, F, N)`` → logits ``(B, 1, F/16, N/16)``, of one scale."""
        images = torch.cat([condition, image], dim=1).contiguous(memory_format=torch.channels_last)
        return [self.head(self.down(images))]


def initialise(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, 0.02), laid out for channels-last input, without offsets."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=INITIAL_STD)
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
