"""The two networks of Pix2Pix: a U-Net that translates images, and a patch discriminator.

::

    image ─► 64 ─► 128 ─► 256 ─► 512 ─► … ─► 512        half as many bins and frames in each
              │      │      │      │           │ bottleneck
    image ◄─ 64 ◄─ 128 ◄─ 256 ◄─ 512 ◄─ … ◄────┘        with the encoder's features of its size

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, arXiv 1611.07004, section
6.1, with the sizes of the source document. Shapes: ``B`` examples, ``C`` channels or images, ``F`` bins,
``N`` frames.

Normalisation departs from the paper: features are normalised at every position over the channels, and not
over the batch or the image. The result for one moment then depends neither on what else is in the batch (a
process that trains on half of it computes the same), nor on how long the piece is, nor on whether the network
trains. The number of parameters is the same.
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
"""Standard deviation of the initial weights (arXiv 1611.07004, section 6.2)."""


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each bin and frame, then a gain and an offset.

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


def first_encoder_block(n_in: int, n_out: int) -> nn.Sequential:
    """Halve the bins and frames of an image, which is padded with silence; not normalised."""
    return nn.Sequential(
        nn.ConstantPad2d(1, SILENCE),
        nn.Conv2d(n_in, n_out, kernel_size=4, stride=2, bias=False),
        nn.LeakyReLU(0.2),
    )


def encoder_block(n_in: int, n_out: int) -> nn.Sequential:
    """Halve bins and frames: strided convolution, normalisation, LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=4, stride=2, padding=1, bias=False),
        ChannelNorm(n_out),
        nn.LeakyReLU(0.2),
    )


def decoder_block(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    """Double bins and frames: transposed convolution, normalisation, dropout, ReLU.

    Dropout is the noise of this GAN (arXiv 1611.07004, section 3.2).
    """
    return nn.Sequential(
        nn.ConvTranspose2d(n_in, n_out, kernel_size=4, stride=2, padding=1, bias=False),
        ChannelNorm(n_out),
        nn.Dropout(dropout),
        nn.ReLU(),
    )


def modulated(features: Tensor, by: Tensor) -> Tensor:
    """Scale and shift the channels of ``(B, C, F, N)`` as ``(B, 2 · C)`` says, alike in every bin and frame.

    FiLM, Perez et al., arXiv 1709.07871.
    """
    scale, shift = by[..., None, None].chunk(2, dim=1)
    return features * (1 + scale) + shift


class UNet(nn.Module):
    """Translates images; every encoder block but the last has a skip to the decoder block of its size.

    Args:
        in_channels: number of input images.
        out_channels: number of output images.
        channels: of each encoder block. ``F`` must be a multiple of 2 to the power of their number.
        n_dropout: number of decoder blocks with dropout, from the bottleneck on.
        dropout: share of the features that they drop in training.
        style_size: ``E``, numbers of a style that scales and shifts the channels of every decoder block and
            its skip (`modulated`); 0 for none.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512),
        n_dropout: int = 3,
        dropout: float = 0.5,
        style_size: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.style_size = in_channels, out_channels, style_size
        self.multiple = 2 ** len(channels)
        """Bins must be a multiple of this, and frames are padded to one."""
        blocks = (encoder_block(a, b) for a, b in pairwise(channels))
        self.encoder = nn.ModuleList([first_encoder_block(in_channels, channels[0]), *blocks])
        outputs = list(reversed(channels[:-1]))
        inputs = [channels[-1], *(2 * width for width in outputs)]
        self.decoder = nn.ModuleList(
            decoder_block(a, b, dropout if i < n_dropout else 0.0)
            for i, (a, b) in enumerate(zip(inputs, outputs, strict=False))
        )
        self.head = nn.ConvTranspose2d(inputs[-1], out_channels, kernel_size=4, stride=2, padding=1)
        initialise(self)
        self.modulations = nn.ModuleList(
            nn.Linear(style_size, 2 * width) for width in (inputs[1:] if style_size else [])
        )

    def forward(self, images: Tensor, style: Tensor | None = None) -> Tensor:
        """Translate images of any number of frames.

        Args:
            images: ``(B, in_channels, F, N)``.
            style: ``(B, E)``, where the network takes one.

        Returns:
            ``(B, out_channels, F, N)``, unbounded.
        """
        n_frames = images.shape[-1]
        x, skips = self._padded(images), []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = skips.pop()  # the bottleneck
        for number, block in enumerate(self.decoder):
            x = torch.cat([block(x), skips.pop()], dim=1)
            if style is not None:
                x = modulated(x, self.modulations[number](style))
        return self.head(x)[..., :n_frames]

    def _padded(self, images: Tensor) -> Tensor:
        n_bins, n_frames = images.shape[-2:]
        if n_bins % self.multiple:
            raise NetworkSizeError(
                f"A network with {len(self.encoder)} encoder blocks needs images with a multiple of "
                f"{self.multiple} bins, found {n_bins}: change model.init_args.spectrogram.n_bins or "
                "network.channels."
            )
        padded = pad(images, (0, -n_frames % self.multiple), value=SILENCE)
        # With the channels of a position side by side, its norm reads memory in order: a fifth less time.
        return padded.contiguous(memory_format=torch.channels_last)


class PatchDiscriminator(nn.Module):
    """Judges whether each patch of an image is real, given its condition (the PatchGAN of section 3.2.2).

    Args:
        in_channels: number of input images: the condition, then the image to be judged.
        channels: of each block; every block halves bins and frames.
        style_size: ``E``, numbers of a style that the image should have; 0 for none.
    """

    def __init__(
        self, in_channels: int = 2, channels: Sequence[int] = (64, 128, 256, 512), style_size: int = 0
    ) -> None:
        super().__init__()
        self.in_channels, self.style_size = in_channels, style_size
        blocks = (encoder_block(a, b) for a, b in pairwise(channels))
        self.blocks = nn.Sequential(first_encoder_block(in_channels, channels[0]), *blocks)
        self.head = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(channels[-1], 1, kernel_size=4))
        initialise(self)
        self.modulation = nn.Linear(style_size, 2 * channels[-1]) if style_size else None

    def forward(self, condition: Tensor, image: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Judge every patch.

        Args:
            condition: ``(B, C, F, N)``.
            image: ``(B, 1, F, N)``.
            style: ``(B, E)``, where the network takes one.

        Returns:
            Logits ``(B, 1, F/16, N/16)`` of one scale.
        """
        images = torch.cat([condition, image], dim=1).contiguous(memory_format=torch.channels_last)
        features = self.blocks(images)
        if self.modulation is not None and style is not None:
            features = modulated(features, self.modulation(style))
        return [self.head(features)]


def initialise(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, 0.02), laid out for channels-last input; biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=INITIAL_STD)
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
