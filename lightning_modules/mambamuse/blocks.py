"""The blocks of the MambaMuse network. All tensors are ``(B, T, C)``, time before channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu

from lightning_modules.layers.causal import Cache, Convolution, Upsampling
from lightning_modules.layers.mamba import Mamba

SLOPE = 0.1
"""The slope of every LeakyReLU for negative input."""


class ConvolutionBlock(nn.Module):
    """Convolution, LayerNorm over channels, LeakyReLU."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, causal: bool) -> None:
        super().__init__()
        self.convolution = Convolution(n_in, n_out, kernel_size, causal=causal)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, T, n_out)``."""
        return leaky_relu(self.norm(self.convolution(x, cache)), SLOPE)


class MambaBlock(nn.Module):
    """A residual Mamba layer: x + Mamba(LayerNorm(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mamba = Mamba(channels)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        return x + self.mamba(self.norm(x), cache)


class ResidualBlock(nn.Module):
    """x + Conv(LeakyReLU(dilated Conv(LeakyReLU(x)))) for each dilation (HiFi-GAN's ResBlock1)."""

    def __init__(self, channels: int, dilations: Sequence[int], causal: bool) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(Convolution(channels, channels, 3, d, causal) for d in dilations)
        self.convs2 = nn.ModuleList(Convolution(channels, channels, 3, 1, causal) for _ in dilations)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(leaky_relu(dilated(leaky_relu(x, SLOPE), cache), SLOPE), cache)
        return x


class BlockSizes(NamedTuple):
    """The sizes of an `EncoderBlock` or a `DecoderBlock`."""

    n_in: int
    """Channels in."""
    n_out: int
    """Channels out."""
    kernel_size: int
    """Taps of both convolutions of an encoder block, or of a decoder block's transposed convolution."""
    n_mamba: int
    """Mamba layers."""
    stride: int
    """What the sample rate is divided by in the encoder, and multiplied by in the decoder."""


class EncoderBlock(nn.Module):
    """Two convolutions, average pooling, Mamba layers.

    Args:
        sizes: see `BlockSizes`.
        causal: whether convolutions look only back.
    """

    def __init__(self, sizes: BlockSizes, causal: bool) -> None:
        super().__init__()
        self.conv1 = ConvolutionBlock(sizes.n_in, sizes.n_out, sizes.kernel_size, causal)
        self.conv2 = ConvolutionBlock(sizes.n_out, sizes.n_out, sizes.kernel_size, causal)
        self.stride = sizes.stride
        self.mamba_blocks = nn.ModuleList(MambaBlock(sizes.n_out) for _ in range(sizes.n_mamba))
        self.norm = nn.LayerNorm(sizes.n_out)
        """Applied by the network, between the block's skip and the next block."""

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, T / stride, n_out)``, not normalised."""
        x = self.conv1(x, cache)
        x = x + self.conv2(x, cache)
        if self.stride > 1:
            x = avg_pool1d(x.transpose(1, 2), self.stride).transpose(1, 2)
        for block in self.mamba_blocks:
            x = block(x, cache)
        return x


class DecoderBlock(nn.Module):
    """A transposed convolution, Mamba layers, a residual block.

    Args:
        sizes: see `BlockSizes`.
        causal: whether convolutions look only back.
    """

    def __init__(self, sizes: BlockSizes, causal: bool) -> None:
        super().__init__()
        self.upsampling = Upsampling(sizes.n_in, sizes.n_out, sizes.kernel_size, sizes.stride, causal)
        self.mamba_blocks = nn.ModuleList(MambaBlock(sizes.n_out) for _ in range(sizes.n_mamba))
        self.residual = ResidualBlock(sizes.n_out, (1, 3), causal)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, stride·T, n_out)``."""
        x = self.upsampling(x, cache)
        for block in self.mamba_blocks:
            x = block(x, cache)
        return self.residual(x, cache)
