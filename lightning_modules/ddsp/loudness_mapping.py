"""The loudness of a source: where it sounds, how loud it gets, and its mapping to the instrument's."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.statistics import TargetStatistics

SILENCE_DB = -75.0
"""Loudness in dB up to which a source counts as silent."""
SOUNDING_DB = 40.0
"""Frames further below the loudest one, in dB, are rests: silence, or the hiss of a room."""
QUANTILES = torch.linspace(0.02, 0.98, 25)
"""The shares of the note frames at which the two distributions are compared."""
FADE_DB = 10.0
"""Range below the quietest notes within which a source fades to silence: releases, then the room's hiss."""


def sounding_frames(loudness_db: Tensor) -> Tensor:
    """Mark the frames of ``(B, N)`` that are no rests.

    What is measured over these does not depend on the silence before, between and after the notes. The
    loudest frame always counts.
    """
    loudest = loudness_db.amax(dim=-1, keepdim=True)
    return loudness_db >= (loudest - SOUNDING_DB).clamp(min=SILENCE_DB).minimum(loudest)


def loud_level_db(loudness_db: Tensor) -> Tensor:
    """Measure how loud each example gets, ``(B, N)`` → ``(B, 1)``: the 95th percentile where it sounds."""
    heard = loudness_db.where(sounding_frames(loudness_db), torch.nan)
    return torch.nanquantile(heard, 0.95, dim=-1, keepdim=True)


def map_loudness(
    loudness_db: Tensor, notes: Tensor, statistics: TargetStatistics, tolerance_db: float = 0.0
) -> Tensor:
    """Map the loudness distribution of the notes to the target's, or near it; silence stays silence.

    Each example gets one monotone curve, from its quantiles to the target's. Below the quietest notes the
    curve falls to −80 dB within `FADE_DB`, so that the hiss of a room is not played.

    Args:
        loudness_db: ``(B, N)``.
        notes: ``(B, N)`` bool.
        statistics: of the target instrument.
        tolerance_db: how far a quantile may be from the target's; others are moved to this distance.

    Returns:
        ``(B, N)`` dB.
    """
    shares = QUANTILES.to(loudness_db)
    target = statistics.loudness_quantiles(shares)
    mapped = [
        _evaluated(_quantile_curve(x[on], shares, target, tolerance_db), x)
        for x, on in zip(loudness_db, notes, strict=True)
    ]
    return torch.stack(mapped)


class PiecewiseLinear(NamedTuple):
    """A monotone, piecewise linear function, given by its corners."""

    x: Tensor
    y: Tensor


def _quantile_curve(of_notes: Tensor, shares: Tensor, target: Tensor, tolerance_db: float) -> PiecewiseLinear:
    floor, above = target.new_tensor([LOUDNESS_FLOOR_DB]), target.new_tensor([40.0])
    if not len(of_notes):
        return PiecewiseLinear(torch.cat([floor, above]), torch.cat([floor, above]))
    # Equal quantiles (one constant loudness) are pulled apart around their middle: it goes to the middle.
    apart = 1e-3 * (torch.arange(len(shares), device=shares.device) - len(shares) // 2)
    source = torch.quantile(of_notes, shares) + apart
    nearest = source.clamp(min=target - tolerance_db, max=target + tolerance_db).clamp(min=LOUDNESS_FLOOR_DB)
    # Above the loudest note, and for half the fade below the quietest, the curve goes on with slope 1.
    below = target.new_tensor([-FADE_DB, -FADE_DB / 2])
    x = torch.cat([source[:1] + below, source, source[-1:] + above])
    y = torch.cat([floor, nearest[:1] + below[1:], nearest, nearest[-1:] + above])
    return PiecewiseLinear(x, y.clamp(min=LOUDNESS_FLOOR_DB))


def _evaluated(curve: PiecewiseLinear, values: Tensor) -> Tensor:
    right = torch.searchsorted(curve.x, values.contiguous()).clamp(1, len(curve.x) - 1)
    share = ((values - curve.x[right - 1]) / (curve.x[right] - curve.x[right - 1])).clamp(0.0, 1.0)
    return torch.lerp(curve.y[right - 1], curve.y[right], share)
