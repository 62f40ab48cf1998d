"""Signal group: level over time. This is the only signal metric that does not scale both sides first."""

from __future__ import annotations

from torch import Tensor

from datamodules.features.frames import loudness_db


def loudness_l1_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Mean absolute difference of A-weighted loudness: ``mean_n |L_P[n] − L_T[n]|``, 250 frames a second.

    Unit dB, floor −80 dB, range [0, ∞), lower is better. Source: DDSP, arXiv 2001.04643, appendix B.1, whose
    loudness this is (`datamodules.features.frames.loudness_db`).
    """
    return (loudness_db(preds, sample_rate) - loudness_db(target, sample_rate)).abs().mean(-1)
