"""Convolutions that look around or only back; those that look back can continue a stream block by block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Cache = dict[nn.Module, Any]
"""The past of a stream: what each causal layer needs of the blocks before, by layer.

A layer reads its entry and replaces it when it is given a block. Before the first block the cache is empty,
and a layer without an entry continues silence. So a whole recording is a stream of one block, and the same
code runs on both.
"""


def with_past(layer: nn.Module, x: Tensor, n_past: int, cache: Cache | None) -> Tensor:
    """Prepend the last ``n_past`` steps that a layer was given before, or silence: cached convolution.

    Caillon and Esling, Streamable Neural Audio Synthesis with Non-Causal Convolutions, arXiv 2204.07064.

    Args:
        layer: the key under which the steps are cached.
        x: ``(B, T, C)``, a block.
        n_past: steps to prepend.
        cache: of the stream; ``None`` for a whole recording.

    Returns:
        ``(B, n_past + T, C)``.
    """
    past = None if cache is None else cache.get(layer)
    if past is None:
        past = x.new_zeros(len(x), n_past, x.shape[-1])
    longer = torch.cat([past, x], dim=1)
    if cache is not None:
        cache[layer] = longer[:, longer.shape[1] - n_past :]
    return longer


class Convolution(nn.Module):
    """A weight-normalised convolution that keeps the length.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel_size: taps.
        dilation: steps between taps.
        causal: whether all taps lie at or before the output's time; otherwise as many lie before as after,
            and one more after where their number is even.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_size: int, dilation: int = 1, causal: bool = False
    ) -> None:
        super().__init__()
        self.convolution: nn.Conv1d = weight_norm(nn.Conv1d(n_in, n_out, kernel_size, dilation=dilation))
        self.reach = (kernel_size - 1) * dilation
        self.n_past = self.reach if causal else self.reach // 2

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, T, n_out)``; only a causal convolution takes a stream's cache."""
        padded = with_past(self, x, self.n_past, cache).transpose(1, 2)
        padded = nn.functional.pad(padded, (0, self.reach - self.n_past))
        return self.convolution(padded).transpose(1, 2)


class Upsampling(nn.Module):
    """A weight-normalised transposed convolution, which gives several steps for each step of its input.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel_size: taps, a multiple of twice the stride or the stride itself; each output step depends on
            ``kernel_size / stride`` input steps.
        stride: output steps for each input step.
        causal: whether output steps depend only on the input steps at and before their time.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_size: int, stride: int = 2, causal: bool = False
    ) -> None:
        super().__init__()
        self.convolution: nn.ConvTranspose1d = weight_norm(
            nn.ConvTranspose1d(n_in, n_out, kernel_size, stride)
        )
        self.stride = stride
        self.n_past = kernel_size // stride - 1
        self.shift = 0 if causal else (kernel_size - stride) // 2
        """Output steps that are left out at the start, by which the output moves ahead of its input."""

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, stride·T, n_out)``; only a causal upsampling takes a stream's cache."""
        padded = with_past(self, x, self.n_past, cache).transpose(1, 2)
        first = self.stride * self.n_past + self.shift
        return self.convolution(padded)[..., first : first + self.stride * x.shape[1]].transpose(1, 2)


def without_weight_norm(convolution: nn.Conv1d | nn.ConvTranspose1d) -> nn.Conv1d | nn.ConvTranspose1d:
    """Copy a convolution, with its normalised weight as a constant.

    PyTorch's own removal of weight norm would change the original, too.
    """
    kind = nn.ConvTranspose1d if isinstance(convolution, nn.ConvTranspose1d) else nn.Conv1d
    copy = kind(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size[0],
        convolution.stride[0],
        dilation=convolution.dilation[0],
    )
    copy.weight, copy.bias = nn.Parameter(convolution.weight.detach()), convolution.bias
    return copy.requires_grad_(False)
