"""Convolutions that look around or only back, and then go on where a stream's last block ended."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lightning_modules.layers.memory import Memory


def with_past(layer: nn.Module, x: Tensor, n_past: int, memory: Memory | None) -> Tensor:
    """``(B, T, C)`` → ``(B, n_past + T, C)``: after what ``layer`` was given last, or after silence.

    Args:
        layer: in whose name the last ``n_past`` steps are remembered.
        x: a block.
        n_past: steps.
        memory: of the stream; none for a whole recording.
    """
    before = None if memory is None else memory.get(layer)
    if before is None:
        before = x.new_zeros(len(x), n_past, x.shape[-1])
    longer = torch.cat([before, x], dim=1)
    if memory is not None:
        memory[layer] = longer[:, longer.shape[1] - n_past :]
    return longer


class Convolution(nn.Module):
    """Weight-normalised convolution that keeps the length.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel_size: taps.
        dilation: steps between them.
        causal: whether all taps lie at or before the output's time; else as many before as after, and one
            more after where their number is even.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_size: int, dilation: int = 1, causal: bool = False
    ) -> None:
        super().__init__()
        self.convolution: nn.Conv1d = weight_norm(nn.Conv1d(n_in, n_out, kernel_size, dilation=dilation))
        self.reach = (kernel_size - 1) * dilation
        self.n_past = self.reach if causal else self.reach // 2

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, T, n_out)``; a stream's block only if causal."""
        seen = with_past(self, x, self.n_past, memory).transpose(1, 2)
        seen = nn.functional.pad(seen, (0, self.reach - self.n_past))
        return self.convolution(seen).transpose(1, 2)


class Upsampling(nn.Module):
    """Weight-normalised transposed convolution: several steps out for each step in.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel_size: taps, a multiple of twice the stride or the stride itself; each output step hears
            ``kernel_size / stride`` inputs.
        stride: steps out for each step in.
        causal: whether output steps are made of the inputs at and before their time only.
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
        """Output steps that are left out at the start: so much earlier everything is heard."""

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """``(B, T, n_in)`` → ``(B, stride·T, n_out)``; a stream's block only if causal."""
        seen = with_past(self, x, self.n_past, memory).transpose(1, 2)
        first = self.stride * self.n_past + self.shift
        return self.convolution(seen)[..., first : first + self.stride * x.shape[1]].transpose(1, 2)


def plain(convolution: nn.Conv1d | nn.ConvTranspose1d) -> nn.Conv1d | nn.ConvTranspose1d:
    """A copy whose weight is computed once; PyTorch's own removal of weight norm would reach the original."""
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
