"""A trained generator at work: faster than in training, in constant memory and without seams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from lightning_modules.melgan.network import MIN_FRAMES, SLOPE, Generator

Vocoder = Callable[[Tensor], Tensor]
"""``(B, M, N)``, N at least `MIN_FRAMES` → ``(B, N · hop)``, without gradients."""
CONTEXT_FRAMES = 8
"""Mel frames on both sides that a sample of the output depends on, for the document's ratios: 3 of the first
convolution, 1 of the first upsampling, 13/8 of its residual blocks, less than 1/2 of all that follows."""


def vocode(vocoder: Vocoder, mel: Tensor, hop: int, chunk_frames: int | None = None) -> Tensor:
    """Generate chunk by chunk, each with as much context as its samples depend on.

    The result is that of the whole at once, to rounding: nothing is cross-faded.

    Args:
        vocoder: from frames to audio.
        mel: ``(B, M, N)`` in [−1, 1], any N.
        hop: samples a frame.
        chunk_frames: frames at a time; ``None`` for all at once.

    Returns:
        ``(B, N · hop)``.
    """
    n_frames = mel.shape[-1]
    mel = pad(mel, (0, max(0, MIN_FRAMES - n_frames)), value=-1.0)  # followed by silence
    length = chunk_frames or mel.shape[-1]
    starts = range(0, mel.shape[-1], length)
    return torch.cat([_chunk(vocoder, mel, start, length, hop) for start in starts], -1)[:, : n_frames * hop]


def _chunk(vocoder: Vocoder, mel: Tensor, start: int, length: int, hop: int) -> Tensor:
    """Audio of the frames from ``start`` to ``start + length``, as far as there are any."""
    before = max(0, start - CONTEXT_FRAMES)
    end = min(start + length, mel.shape[-1])
    audio = vocoder(mel[..., before : end + CONTEXT_FRAMES])
    return audio[:, (start - before) * hop : (end - before) * hop]


class Vocoding:
    """How a trained generator is made to work; as it is, here."""

    def __call__(self, generator: Generator) -> Vocoder:
        """Prepare ``generator``, whose weights must not change while the result is used."""
        return generator


class BFloat16Products(Vocoding):
    """Several times as fast, with rounding noise at about −40 dB, on processors with bfloat16 products.

    Elsewhere, and on a GPU, the generator works as it is.
    """

    def __call__(self, generator: Generator) -> Vocoder:
        """See `Vocoding`."""
        on_cpu = next(generator.parameters()).device.type == "cpu"
        supported = on_cpu and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return ProductGenerator(generator, torch.bfloat16) if supported else generator


class ProductGenerator:
    """The generator as matrix products: fewer, larger operations on memory that lies in order.

    With the channels of a sample side by side, a tap of a convolution is one product of all samples with one
    matrix, its dilation a shifted view, and a transposed convolution of twice its stride two products
    whose columns already are the upsampled samples. Weight normalisation is computed once.

    Args:
        generator: whose weights are copied.
        dtype: of the products and of what is between them.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        self.dtype = dtype
        with torch.no_grad():
            self.first = self._taps(generator.first)
            self.stages = [self._stage(*stage.children()) for stage in generator.stages]
            self.last = self._taps(generator.last)

    def __call__(self, mel: Tensor) -> Tensor:
        """``(B, M, N)`` → ``(B, N · hop)``."""
        return torch.stack([self._one(frames.T.to(self.dtype)) for frames in mel])

    def _one(self, x: Tensor) -> Tensor:
        """``(N, M)`` → ``(N · hop,)``."""
        x = self.first(x)
        for upsampling, blocks in self.stages:
            x = upsampling(leaky_relu(x, SLOPE))
            for block in blocks:
                x = block(x)
        return self.last(leaky_relu(x, SLOPE)).squeeze(-1).float().tanh()

    def _stage(self, _: nn.Module, upsampling: nn.Module, *blocks: Any) -> tuple[Upsampling, list[Residual]]:
        return self._upsampling(upsampling), [self._residual(block) for block in blocks]

    def _matrix(self, weight: Tensor) -> Tensor:
        """``(out, in)`` → ``(in, out)``, in memory in this order."""
        return weight.detach().T.to(self.dtype).contiguous()

    def _taps(self, layer: Any) -> Taps:
        matrices = [self._matrix(tap) for tap in layer.weight.unbind(-1)]
        return Taps(matrices, layer.bias.detach().to(self.dtype), layer.dilation[0])

    def _residual(self, block: Any) -> Residual:
        _, _, dilated, _, mixing = block.block.children()
        bias = (mixing.bias + block.shortcut.bias).detach().to(self.dtype)
        ends = [self._matrix(layer.weight[..., 0]) for layer in (mixing, block.shortcut)]
        return Residual(self._taps(dilated), ends[0], ends[1], bias)

    def _upsampling(self, layer: Any) -> Upsampling:
        ratio = layer.stride[0]
        # (in, out, 2 · ratio) → the two halves of the kernel, each (in, ratio · out)
        halves = [half.permute(0, 2, 1).flatten(1) for half in layer.weight.detach().split(ratio, dim=-1)]
        now, before = (half.to(self.dtype).contiguous() for half in halves)
        return Upsampling(now, before, layer.bias.detach().repeat(ratio).to(self.dtype), ratio)


class Taps(NamedTuple):
    """A convolution that keeps the length by reflection."""

    matrices: list[Tensor]
    """``(in, out)`` of each tap."""
    bias: Tensor
    dilation: int

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, in)`` → ``(T, out)``."""
        reach, length = self.dilation * (len(self.matrices) - 1) // 2, len(x)
        padded = torch.cat([x[1 : reach + 1].flip(0), x, x[-reach - 1 : -1].flip(0)])
        result = torch.addmm(self.bias, padded[:length], self.matrices[0])
        for i, matrix in enumerate(self.matrices[1:], start=1):
            result.addmm_(padded[i * self.dilation :][:length], matrix)
        return result


class Residual(NamedTuple):
    """`ResidualBlock` with the biases of its two ends added."""

    dilated: Taps
    mix: Tensor
    shortcut: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, C)`` → ``(T, C)``."""
        inner = leaky_relu(self.dilated(leaky_relu(x, SLOPE)), SLOPE)
        return torch.addmm(self.bias, x, self.shortcut).addmm_(inner, self.mix)


class Upsampling(NamedTuple):
    """A transposed convolution whose kernel is twice its stride: an output is the sum of two inputs."""

    now: Tensor
    """``(in, ratio · out)``, what an input adds to the samples of its own block"""
    before: Tensor
    """and to those of the next."""
    bias: Tensor
    ratio: int

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, in)`` → ``(ratio · T, out)``."""
        blocks = self.bias.expand(len(x) + 1, -1).clone()
        blocks[:-1].addmm_(x, self.now)
        blocks[1:].addmm_(x, self.before)
        samples = blocks.view(len(blocks) * self.ratio, -1)
        return samples[self.ratio // 2 : self.ratio // 2 + len(x) * self.ratio]
