"""Inference with a trained generator: faster than in training, in constant memory and without seams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, pad

from lightning_modules.melgan.network import MIN_FRAMES, SLOPE, Generator

Vocoder = Callable[[Tensor], Tensor]
"""A function from mel frames ``(B, M, N)``, N at least `MIN_FRAMES`, to audio ``(B, N · hop)``."""
CONTEXT_FRAMES = 8
"""Mel frames on either side on which a sample of the output depends.

For the document's ratios these are 3 for the first convolution, 1 for the first upsampling, 13/8 for its
residual blocks and less than 1/2 for all that follows.
"""


def vocode(vocoder: Vocoder, mel: Tensor, hop: int, chunk_frames: int | None = None) -> Tensor:
    """Generate chunk by chunk, each with as much context as its samples depend on.

    But for rounding the result is that of the whole at once, without cross-fades.

    Args:
        vocoder: generates audio from mel frames.
        mel: ``(B, M, N)`` in [−1, 1], for any N.
        hop: samples of a frame.
        chunk_frames: frames of a chunk; ``None`` for all at once.

    Returns:
        ``(B, N · hop)``.
    """
    n_frames = mel.shape[-1]
    mel = pad(mel, (0, max(0, MIN_FRAMES - n_frames)), value=-1.0)  # followed by silence
    length = chunk_frames or mel.shape[-1]
    starts = range(0, mel.shape[-1], length)
    return torch.cat([_chunk(vocoder, mel, start, length, hop) for start in starts], -1)[:, : n_frames * hop]


def _chunk(vocoder: Vocoder, mel: Tensor, start: int, length: int, hop: int) -> Tensor:
    """Generate the audio of the frames from ``start`` to ``start + length``, or to the end."""
    before = max(0, start - CONTEXT_FRAMES)
    end = min(start + length, mel.shape[-1])
    audio = vocoder(mel[..., before : end + CONTEXT_FRAMES])
    return audio[:, (start - before) * hop : (end - before) * hop]


class Vocoding:
    """Prepares a trained generator for inference; this one leaves it as it is."""

    def __call__(self, generator: Generator) -> Vocoder:
        """Prepare ``generator``, whose weights must not change while the result is used."""
        return generator


class BFloat16Products(Vocoding):
    """Computes in bfloat16: several times as fast, with rounding noise at about −40 dB.

    Only CPUs with bfloat16 products do so; on others, and on a GPU, the generator stays as it is.
    """

    def __call__(self, generator: Generator) -> Vocoder:
        """See `Vocoding`."""
        on_cpu = next(generator.parameters()).device.type == "cpu"
        supported = on_cpu and torch.cpu.get_capabilities().get("avx512_bf16", False)
        return ProductGenerator(generator, torch.bfloat16) if supported else generator


class ProductGenerator:
    """A generator as matrix products: fewer and larger operations on contiguous memory.

    With the channels of a sample side by side, each tap of a convolution is one product of all samples with a
    matrix, and its dilation a shifted view. A transposed convolution with a kernel of twice its stride is two
    products whose columns already are the upsampled samples. Weight norm is computed once.

    Args:
        generator: the trained generator, whose weights are copied.
        dtype: of products and activations.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        self.dtype = dtype
        with torch.no_grad():
            self.conv_pre = self._convolution(generator.conv_pre)
            self.stages = [self._stage(stage) for stage in generator.stages]
            self.conv_post = self._convolution(generator.conv_post)

    def __call__(self, mel: Tensor) -> Tensor:
        """``(B, M, N)`` → ``(B, N · hop)``."""
        return torch.stack([self._example(frames.T.to(self.dtype)) for frames in mel])

    def _example(self, x: Tensor) -> Tensor:
        """``(N, M)`` → ``(N · hop,)``."""
        x = self.conv_pre(x)
        for upsampling, blocks in self.stages:
            x = upsampling(leaky_relu(x, SLOPE))
            for block in blocks:
                x = block(x)
        return self.conv_post(leaky_relu(x, SLOPE)).squeeze(-1).float().tanh()

    def _stage(self, stage: Any) -> tuple[Upsampling, list[Residual]]:
        return self._upsampling(stage.upsampling), [self._residual(block) for block in stage.residual_blocks]

    def _matrix(self, weight: Tensor) -> Tensor:
        """``(out, in)`` → contiguous ``(in, out)``."""
        return weight.detach().T.to(self.dtype).contiguous()

    def _convolution(self, layer: Any) -> Convolution:
        taps = [self._matrix(tap) for tap in layer.weight.unbind(-1)]
        return Convolution(taps, layer.bias.detach().to(self.dtype), layer.dilation[0])

    def _residual(self, block: Any) -> Residual:
        _, _, dilated, _, pointwise = block.block.children()
        bias = (pointwise.bias + block.shortcut.bias).detach().to(self.dtype)
        ends = [self._matrix(layer.weight[..., 0]) for layer in (pointwise, block.shortcut)]
        return Residual(self._convolution(dilated), ends[0], ends[1], bias)

    def _upsampling(self, layer: Any) -> Upsampling:
        ratio = layer.stride[0]
        # (in, out, 2 · ratio) → the two halves of the kernel, each (in, ratio · out)
        halves = [half.permute(0, 2, 1).flatten(1) for half in layer.weight.detach().split(ratio, dim=-1)]
        first, second = (half.to(self.dtype).contiguous() for half in halves)
        return Upsampling(first, second, layer.bias.detach().repeat(ratio).to(self.dtype), ratio)


class Convolution(NamedTuple):
    """A convolution that reflects the borders and so keeps the length."""

    taps: list[Tensor]
    """The matrix ``(in, out)`` of each tap."""
    bias: Tensor
    dilation: int

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, in)`` → ``(T, out)``."""
        reach, length = self.dilation * (len(self.taps) - 1) // 2, len(x)
        padded = torch.cat([x[1 : reach + 1].flip(0), x, x[-reach - 1 : -1].flip(0)])
        result = torch.addmm(self.bias, padded[:length], self.taps[0])
        for i, tap in enumerate(self.taps[1:], start=1):
            result.addmm_(padded[i * self.dilation :][:length], tap)
        return result


class Residual(NamedTuple):
    """A `ResidualBlock`, with the biases of its shortcut and of its last convolution added."""

    dilated: Convolution
    pointwise: Tensor
    shortcut: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, C)`` → ``(T, C)``."""
        inner = leaky_relu(self.dilated(leaky_relu(x, SLOPE)), SLOPE)
        return torch.addmm(self.bias, x, self.shortcut).addmm_(inner, self.pointwise)


class Upsampling(NamedTuple):
    """A transposed convolution whose kernel is twice its stride, so that an output sums two inputs."""

    first_half: Tensor
    """``(in, ratio · out)``, the half of the kernel that adds an input to its own block of outputs."""
    second_half: Tensor
    """``(in, ratio · out)``, the half that adds an input to the next block of outputs."""
    bias: Tensor
    ratio: int

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, in)`` → ``(ratio · T, out)``."""
        blocks = self.bias.expand(len(x) + 1, -1).clone()
        blocks[:-1].addmm_(x, self.first_half)
        blocks[1:].addmm_(x, self.second_half)
        samples = blocks.view(len(blocks) * self.ratio, -1)
        return samples[self.ratio // 2 : self.ratio // 2 + len(x) * self.ratio]
