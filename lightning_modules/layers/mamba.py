"""Mamba: a gated layer around a selective scan (Gu and Dao, arXiv 2312.00752, figure 3)."""

from __future__ import annotations

import importlib.util
import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from lightning_modules.layers.memory import Memory
from lightning_modules.layers.scan.selective_scan import selective_scan

SHORTEST_STEP, LONGEST_STEP = 1e-3, 0.1
"""Between these the durations of steps begin, spread evenly over their logarithm (section 3.6)."""


class MambaPast(NamedTuple):
    """What a layer remembers of a stream."""

    inputs: Tensor
    """``(B, C, d_conv − 1)`` the convolution's last inputs."""
    state: Tensor
    """``(B, C, S)`` of the scan."""


class Mamba(nn.Module):
    """Each output is made from the whole past, in constant time, by a memory that the input itself controls.

    Parameters have the names, shapes and first values of `mamba_ssm`'s Mamba, so that weights move both ways.

    Args:
        d_model: channels in and out.
        d_state: states of each inner channel: how much of the past it can hold apart.
        d_conv: taps of the convolution before the scan.
        expand: inner channels per channel.
    """

    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2) -> None:
        super().__init__()
        d_inner, dt_rank = expand * d_model, math.ceil(d_model / 16)
        self.split_sizes = [dt_rank, d_state, d_state]
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner)
        self.x_proj = nn.Linear(d_inner, sum(self.split_sizes), bias=False)
        self.dt_proj = nn.Linear(dt_rank, d_inner)
        # Rates 1, 2, … S: the real part of S4D-Lin, whose states fade each in a time of its own.
        rates = torch.arange(1.0, d_state + 1).repeat(d_inner, 1)
        self.A_log = nn.Parameter(rates.log())
        self.D = nn.Parameter(torch.ones(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        self._spread_durations()

    def _spread_durations(self) -> None:
        nn.init.uniform_(
            self.dt_proj.weight, -(self.dt_proj.in_features**-0.5), self.dt_proj.in_features**-0.5
        )
        shortest, longest = math.log(SHORTEST_STEP), math.log(LONGEST_STEP)
        durations = torch.empty(self.dt_proj.out_features).uniform_(shortest, longest).exp()
        with torch.no_grad():
            self.dt_proj.bias.copy_(durations + torch.log(-torch.expm1(-durations)))  # softplus' inverse

    def forward(self, x: Tensor, memory: Memory | None = None) -> Tensor:
        """``(B, T, d_model)`` → the same, any T; with a memory, the next block of a stream."""
        past: MambaPast | None = None if memory is None else memory.get(self)
        u, gate = self.in_proj(x).chunk(2, dim=-1)
        n_past = self.conv1d.kernel_size[0] - 1
        before = pad(u[:, :0].transpose(1, 2), (n_past, 0)) if past is None else past.inputs
        inputs = torch.cat([before, u.transpose(1, 2)], dim=-1)
        u = self._convolved(inputs).transpose(1, 2)
        duration, write, read = self.x_proj(u).split(self.split_sizes, dim=-1)
        delta, decay = softplus(self.dt_proj(duration)), -self.A_log.exp()
        y, state = selective_scan(u, delta, decay, write, read, None if past is None else past.state)
        if memory is not None:
            memory[self] = MambaPast(inputs[..., inputs.shape[-1] - n_past :], state)
        return self.out_proj((y + self.D * u) * silu(gate))

    def _convolved(self, inputs: Tensor) -> Tensor:
        """``(B, C, d_conv − 1 + T)`` → ``(B, C, T)``, and through SiLU."""
        if inputs.is_cuda and has_convolution():
            from causal_conv1d import causal_conv1d_fn

            weight, n_past = self.conv1d.weight.squeeze(1), self.conv1d.kernel_size[0] - 1
            return causal_conv1d_fn(inputs, weight, self.conv1d.bias, activation="silu")[..., n_past:]
        return silu(self.conv1d(inputs))


@cache
def has_convolution() -> bool:
    """Whether the `causal_conv1d` package is installed."""
    return importlib.util.find_spec("causal_conv1d") is not None
