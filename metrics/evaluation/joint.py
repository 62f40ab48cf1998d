"""One number that ranks systems: the notes and the timbre both have to be right.

Copying keeps the notes and fails on timbre, the wrong melody on the right instrument fails on notes; their
harmonic mean lets neither win. `metrics.rank_anchors` checks over hundreds of pairs that it ranks the
anchors as everybody would (docs/metrics.md).
"""

from __future__ import annotations

import math
from typing import NamedTuple


class ContentBaseline(NamedTuple):
    """Pitch Jaccard distances to the target that bound one example."""

    best: float
    """That of the oracle (target's magnitudes, source's phase); 0 where there is no paired target."""
    unrelated: float
    """The least of those of other pieces on the target instrument: here nothing of the notes is left."""


class TimbreDistances(NamedTuple):
    """Distances in one timbre space between an output, its target and its source."""

    to_target: float
    to_source: float
    of_copy: float
    """Distance of source and target: that of a system that copies the source."""


def content_score(jaccard_distance: float, baseline: ContentBaseline) -> float:
    """``1 − (JD − best) / (unrelated − best)``, clipped to [0, 1]; higher is better.

    NaN where the oracle is no better than unrelated notes, as where nothing is played: no content to keep.
    """
    span = baseline.unrelated - baseline.best
    if not span > 0:
        return math.nan
    return min(max(1 - (jaccard_distance - baseline.best) / span, 0.0), 1.0)


ROUNDING = 1e-6
"""Distances up to this are errors of float32: a recording is as far from itself."""


def timbre_score(distances: TimbreDistances) -> float:
    """``s² / (s² + t²) · exp(−(t / c)²)``: how far it left the source, times how near it came to the target.

    ``s``, ``t``, ``c``: distance to the source, to the target, and of a copy to the target. Range [0, 1],
    higher is better: 0 for a copy (s = 0), 1 for the target (t = 0), about .18 for a third
    instrument (s = t = c). Unlike ``1 − t / c`` it still tells outputs apart that are no nearer to the
    target than a copy, as the same instrument of another maker can be, and it hardly rewards noise on a
    copy, which moves away from both. NaN where source and target sound alike (c = 0), as in a resynthesis:
    there is nothing to transfer.
    """
    to_target, to_source, of_copy = distances
    if math.isnan(to_target):
        return 0.0  # silence has no timbre
    if not of_copy > ROUNDING or to_source == to_target == 0:
        return math.nan
    closer = to_source**2 / (to_source**2 + to_target**2)
    return closer * math.exp(-((to_target / of_copy) ** 2))


def joint_score(content: float, timbre: float) -> float:
    """Harmonic mean ``2ct / (c + t)`` of the two scores. Range [0, 1], higher is better; 0 if either is 0."""
    return 2 * content * timbre / (content + timbre) if content * timbre != 0 else 0.0
