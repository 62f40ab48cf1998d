"""Adaptive instance normalisation (AdaIN): content channels get the mean and deviation of a reference's.

Huang and Belongie, arXiv 1703.06868, equation 8. Statistics are taken over time, for each channel by itself.
They do not tell when something happens, which is the content, but how strongly each feature is there on the
whole, which is the timbre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.layers.causal import Cache
from lightning_modules.layers.scan.interface import selective_scan

EPSILON = 1e-5
"""Added to variances, so that a silent channel stays silent."""


class ChannelStatistics(NamedTuple):
    """The mean and standard deviation of each channel over time."""

    mean: Tensor
    """``(B, 1, C)``, or ``(B, T, C)`` for statistics that change with time."""
    deviation: Tensor
    """The same shape."""


def channel_statistics(features: Tensor) -> ChannelStatistics:
    """Measure ``(B, T, C)`` over all of its time, for any T."""
    variance, mean = torch.var_mean(features, dim=1, keepdim=True, correction=0)
    return ChannelStatistics(mean, (variance + EPSILON).sqrt())


def mean_statistics(several: Sequence[ChannelStatistics]) -> ChannelStatistics:
    """Average the statistics of several references; a long reference counts no more than a short one."""
    return ChannelStatistics(*(torch.stack(parts).mean(0) for parts in zip(*several, strict=True)))


class AdaIN(nn.Module):
    """Gives content the channel statistics of a style.

    Without a window the content's own statistics are over all of its time. With a window they are an
    exponential moving average over its past, in which what was one window ago counts e⁻¹. The average is a
    recurrence, so that a stream can continue it.

    Args:
        window: in steps; ``None`` for statistics over the whole.
    """

    def __init__(self, window: float | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(
        self, content: Tensor, style: ChannelStatistics, strength: float, cache: Cache | None = None
    ) -> Tensor:
        """Normalise the content by its own statistics, and scale and shift it by those of the style.

        Args:
            content: ``(B, T, C)``.
            style: the wanted statistics, ``(B, 1, C)``.
            strength: in [0, 1]: 1 for the style's statistics, 0 for the content as it is.
            cache: of a stream; only with a window.

        Returns:
            ``(B, T, C)``.
        """
        if strength == 0:
            return content
        own = (
            channel_statistics(content)
            if self.window is None
            else self._moving_statistics(content, self.window, cache)
        )
        styled = (content - own.mean) / own.deviation * style.deviation + style.mean
        return torch.lerp(content, styled, strength)

    def _moving_statistics(self, content: Tensor, window: float, cache: Cache | None) -> ChannelStatistics:
        # m_t = (1 − α)·m_{t−1} + α·x_t is a selective scan with one state, Δ = α, B = C = 1 and A such that
        # exp(Δ·A) = 1 − α. The last of the averages is over ones, to divide by: at the start they are few.
        alpha = -math.expm1(-1 / window)
        inputs = torch.cat([content, content.square(), torch.ones_like(content[..., :1])], dim=-1)
        delta, ones = torch.full_like(inputs, alpha), torch.ones_like(content[..., :1])
        A = inputs.new_full((inputs.shape[-1], 1), -1 / window / alpha)
        y, state = selective_scan(inputs, delta, A, ones, ones, None if cache is None else cache.get(self))
        if cache is not None:
            cache[self] = state
        mean, square = (y[..., :-1] / y[..., -1:]).split(content.shape[-1], dim=-1)
        return ChannelStatistics(mean, ((square - mean.square()).clamp(min=0) + EPSILON).sqrt())
