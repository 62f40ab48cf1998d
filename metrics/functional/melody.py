"""Content group, monophonic: what a single-pitch tracker hears in output and target.

Every function takes two `Pitch` (``(B, N)``, 250 frames a second) as ``preds, target`` and gives ``(B,)``. A
frame is voiced where the tracker's confidence reaches `VOICED`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.features.pitch import Pitch

VOICED = 0.5
CONFIDENT = 0.85
"""Confidence from which DDSP counts a frame (arXiv 2001.04643, appendix B.2)."""
TOLERANCE_SEMITONES = 0.5
"""A quarter tone, 50 cents."""
OUTLIER_SEMITONES = 12.0


def raw_pitch_accuracy(preds: Pitch, target: Pitch) -> Tensor:
    """Share of the target's voiced frames whose f0 is right within 50 cents.

    Range [0, 1], higher is better; voicing of the output does not matter (Poliner et al., IEEE TASLP 15(4),
    2007; as mir_eval.melody). NaN where the target has no voiced frame.
    """
    right = semitones_between(preds, target).abs() < TOLERANCE_SEMITONES
    return _share(right, among=voiced(target))


def raw_chroma_accuracy(preds: Pitch, target: Pitch) -> Tensor:
    """`raw_pitch_accuracy` with octave errors forgiven. Range [0, 1], higher is better."""
    interval = semitones_between(preds, target)
    right = (interval - 12 * (interval / 12).round()).abs() < TOLERANCE_SEMITONES
    return _share(right, among=voiced(target))


def voicing_recall(preds: Pitch, target: Pitch) -> Tensor:
    """Share of the target's voiced frames that are voiced in the output. Range [0, 1], higher is better."""
    return _share(voiced(preds), among=voiced(target))


def voicing_false_alarm(preds: Pitch, target: Pitch) -> Tensor:
    """Share of the target's unvoiced frames that are voiced in the output. Range [0, 1], lower is better."""
    return _share(voiced(preds), among=~voiced(target))


def f0_semitone_error(preds: Pitch, target: Pitch) -> Tensor:
    """``mean |Δ semitone|`` over the frames in which both trackings are confident (≥ .85).

    Unit semitone, range [0, ∞), lower is better. Source: DDSP, arXiv 2001.04643, appendix B.2.
    """
    return _share(semitones_between(preds, target).abs(), among=_both_confident(preds, target))


def f0_outlier_share(preds: Pitch, target: Pitch) -> Tensor:
    """Share of the frames confident in both trackings (≥ .85) whose f0 is more than 12 semitones off.

    Range [0, 1], lower is better. Source: DDSP, arXiv 2001.04643, appendix B.2.
    """
    outlier = semitones_between(preds, target).abs() > OUTLIER_SEMITONES
    return _share(outlier, among=_both_confident(preds, target))


def semitones_between(preds: Pitch, target: Pitch) -> Tensor:
    """Interval from target to output in semitones, ``12·log2(f_P / f_T)``: ``(B, N)``."""
    return 12 * torch.log2(preds.f0_hz / target.f0_hz)


def voiced(pitch: Pitch) -> Tensor:
    """Which frames are voiced: ``(B, N)`` bool."""
    return pitch.confidence >= VOICED


def _both_confident(preds: Pitch, target: Pitch) -> Tensor:
    return (preds.confidence >= CONFIDENT) & (target.confidence >= CONFIDENT)


def _share(values: Tensor, among: Tensor) -> Tensor:
    """Mean of ``values`` over the frames in ``among``; NaN where there is none."""
    return torch.where(among, values.to(torch.float32), 0.0).sum(-1) / among.sum(-1)
