"""Mamba: a gated layer around a selective scan (Gu and Dao, arXiv 2312.00752, figure 3)."""

from __future__ import annotations

import importlib.util
import math
from functools import cache as cached

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from lightning_modules.layers.causal import Cache, with_past
from lightning_modules.layers.scan.interface import selective_scan

DT_MIN, DT_MAX = 1e-3, 0.1
"""The range in which the step sizes Δ begin, spread evenly over their logarithm (section 3.6)."""


class Mamba(nn.Module):
    """A causal sequence layer whose state holds the whole past; the input decides what is written and read.

    Parameters have the names, shapes and initial values of `mamba_ssm`'s Mamba, so that weights move both
    ways. Shape letters are those of the authors' code: ``b`` examples, ``l`` steps, ``d`` inner channels.

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
        # S4D-Real: A_n = −n, so that each state of a channel decays in a time of its own (section 3.6).
        A = torch.arange(1.0, d_state + 1).repeat(d_inner, 1)
        self.A_log = nn.Parameter(A.log())
        self.D = nn.Parameter(torch.ones(d_inner))
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        self._initialise_dt()

    def _initialise_dt(self) -> None:
        nn.init.uniform_(
            self.dt_proj.weight, -(self.dt_proj.in_features**-0.5), self.dt_proj.in_features**-0.5
        )
        shortest, longest = math.log(DT_MIN), math.log(DT_MAX)
        dt = torch.empty(self.dt_proj.out_features).uniform_(shortest, longest).exp()
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """``(b, l, d_model)`` → the same shape, for any l; with a cache, the next block of a stream."""
        u, z = self.in_proj(x).chunk(2, dim=-1)
        u = self._convolved(u, cache)
        dt, B, C = self.x_proj(u).split(self.split_sizes, dim=-1)
        delta, A = softplus(self.dt_proj(dt)), -self.A_log.exp()
        y, state = selective_scan(u, delta, A, B, C, None if cache is None else cache.get(self))
        if cache is not None:
            cache[self] = state
        return self.out_proj((y + self.D * u) * silu(z))

    def _convolved(self, u: Tensor, cache: Cache | None) -> Tensor:
        """``(b, l, d)`` → ``(b, l, d)``, through the causal convolution and SiLU."""
        n_past = self.conv1d.kernel_size[0] - 1
        padded = with_past(self.conv1d, u, n_past, cache).transpose(1, 2).contiguous()
        if u.is_cuda and has_causal_conv1d():
            from causal_conv1d import causal_conv1d_fn

            weight = self.conv1d.weight.squeeze(1)
            convolved = causal_conv1d_fn(padded, weight, self.conv1d.bias, activation="silu")[..., n_past:]
        else:
            convolved = silu(self.conv1d(padded))
        return convolved.transpose(1, 2)


@cached
def has_causal_conv1d() -> bool:
    """Whether the `causal_conv1d` package is installed."""
    return importlib.util.find_spec("causal_conv1d") is not None
