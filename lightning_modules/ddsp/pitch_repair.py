"""Repair of a tracked pitch: from what a tracker found to what was played."""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.batch import FRAME_RATE_HZ

FRAMES_AT_ONCE = 1 << 14
"""Bound on the memory of windows, for sources of any length."""


def hz_to_midi(f0_hz: Tensor) -> Tensor:
    """Convert Hz to MIDI note numbers; 440 Hz is 69."""
    return 69.0 + 12.0 * torch.log2(f0_hz.clamp(min=1.0) / 440.0)


def midi_to_hz(midi: Tensor) -> Tensor:
    """Convert (fractional) MIDI note numbers to Hz."""
    return 440.0 * torch.exp2((midi - 69.0) / 12.0)


def repair_pitch(
    f0_hz: Tensor, confidence: Tensor, voiced_confidence: float = 0.5, median_ms: float = 60.0
) -> Tensor:
    """Remove the tracker's slips and guesses from a pitch curve.

    A running median removes slips (of an octave, as a rule) that are shorter than half its length and
    moves no step between notes. Where the tracker is not confident the last confident pitch is held, and
    before the first one, the first.

    Args:
        f0_hz: ``(B, N)``; 0 where a tracker calls a frame unvoiced.
        confidence: ``(B, N)`` in [0, 1].
        voiced_confidence: below this confidence a pitch counts as a guess.
        median_ms: length of the running median.

    Returns:
        ``(B, N)`` Hz.
    """
    held = hold_where(hz_to_midi(f0_hz), (confidence >= voiced_confidence) & (f0_hz > 0))
    return midi_to_hz(_running_median(held, half=round(median_ms / 2000 * FRAME_RATE_HZ)))


def hold_where(values: Tensor, valid: Tensor) -> Tensor:
    """Replace invalid values ``(B, N)`` by the last valid one, and before the first one, by that.

    Where nothing is valid, the first value stands for all.
    """
    frames = torch.arange(values.shape[-1], device=values.device).expand_as(values)
    last_valid = torch.where(valid, frames, -1).cummax(dim=-1).values
    first_valid = torch.where(valid.any(-1), valid.int().argmax(-1), 0).unsqueeze(-1)
    return values.gather(-1, torch.where(last_valid >= 0, last_valid, first_valid))


def _running_median(values: Tensor, half: int) -> Tensor:
    padded = torch.nn.functional.pad(values.unsqueeze(1), (half, half), mode="replicate").squeeze(1)
    windows = padded.unfold(-1, 2 * half + 1, 1).split(FRAMES_AT_ONCE, dim=1)
    return torch.cat([part.median(dim=-1).values for part in windows], dim=1)
