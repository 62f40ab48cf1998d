"""Adaptive instance normalisation: a content's channels get the mean and deviation of a reference's.

Huang and Belongie, arXiv 1703.06868, equation 8. Statistics are over time, each channel's own: what is left
out is when something happens, which is the content, and what is kept is how strongly each feature is there
on the whole, which is the timbre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.layers.memory import Memory
from lightning_modules.layers.scan.selective_scan import selective_scan

QUIET = 1e-5
"""Variance that is added, so that a channel at rest stays at rest."""


class Statistics(NamedTuple):
    """Of each channel over time."""

    mean: Tensor
    """``(B, 1, C)``, or ``(B, T, C)`` where they change."""
    deviation: Tensor
    """Alike."""


def statistics(features: Tensor) -> Statistics:
    """Of ``(B, T, C)`` over all of its time, however long."""
    variance, mean = torch.var_mean(features, dim=1, keepdim=True, correction=0)
    return Statistics(mean, (variance + QUIET).sqrt())


def averaged(several: Sequence[Statistics]) -> Statistics:
    """The mean of several references' statistics; a long reference counts no more than a short one."""
    return Statistics(*(torch.stack(parts).mean(0) for parts in zip(*several, strict=True)))


class AdaptiveNormalisation(nn.Module):
    """Gives content the statistics of a style.

    Without a window the content's own statistics are over all of its time. With one they are over its past:
    an average that forgets, in which what was one window ago counts e⁻¹, and which has nothing to forget at
    the start. It is a recurrence, so that a stream can carry it on.

    Args:
        window: in steps, or none.
    """

    def __init__(self, window: float | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(
        self, content: Tensor, style: Statistics, strength: float, memory: Memory | None = None
    ) -> Tensor:
        """Normalise.

        Args:
            content: ``(B, T, C)``.
            style: what the content gets, ``(B, 1, C)``.
            strength: 1 for the style's statistics, 0 for the content as it is, and all between.
            memory: of a stream; with a window only.

        Returns:
            ``(B, T, C)``.
        """
        if strength == 0:
            return content
        own = statistics(content) if self.window is None else self._running(content, self.window, memory)
        styled = (content - own.mean) / own.deviation * style.deviation + style.mean
        return torch.lerp(content, styled, strength)

    def _running(self, content: Tensor, window: float, memory: Memory | None) -> Statistics:
        # m_t = m_{t−1} + α·(x_t − m_{t−1}) is a selective scan of one state that selects nothing: each step
        # lasts α and fades by 1 − α = exp(α · decay). The last sum is of ones: what to divide by.
        alpha = -math.expm1(-1 / window)
        sums = torch.cat([content, content.square(), torch.ones_like(content[..., :1])], dim=-1)
        alphas, ones = torch.full_like(sums, alpha), torch.ones_like(content[..., :1])
        decay = sums.new_full((sums.shape[-1], 1), -1 / window / alpha)
        y, state = selective_scan(
            sums, alphas, decay, ones, ones, None if memory is None else memory.get(self)
        )
        if memory is not None:
            memory[self] = state
        n_channels = content.shape[-1]
        mean, square = (y[..., :-1] / y[..., -1:]).split(n_channels, dim=-1)
        return Statistics(mean, ((square - mean.square()).clamp(min=0) + QUIET).sqrt())
