"""What happens to a source's features before they meet a network that knows one instrument only.

The steps of Magenta's "tone transfer" (Carney et al., HAI-GEN 2021), in this order: repair the pitch, find
the notes, bring the notes into the instrument's range by octaves, map the loudness by quantiles to the
instrument's, and then what the user asks for by hand. All are pure functions of ``(B, N)`` features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from datamodules.batch import FRAME_RATE_HZ, Features

FLOOR_DB = -80.0
SILENCE_DB = -75.0
"""Loudness up to which a source is taken as silent."""


@dataclass
class Adaptation:
    """How a source is fitted to the target instrument.

    Args:
        octave_shift: bring a source that lies outside the instrument's range into it, by whole octaves.
        loudness_tolerance_db: how far each quantile of the source's loudness may be from the instrument's
            before it is moved. 0 gives every source the instrument's distribution, and so takes its
            dynamics away (a soft piece gets as loud as all others); infinity leaves every source as it is.
        voiced_confidence: confidence from which the tracker's pitch is believed, in [0, 1].
        note_range_db: frames further below the loudest (95th percentile) are no note.
        pitch_shift_semitones: by hand, added at the end; fractions are allowed.
        loudness_shift_db: by hand, added at the end where the source sounds.
    """

    octave_shift: bool = True
    loudness_tolerance_db: float = 6.0
    voiced_confidence: float = 0.5
    note_range_db: float = 40.0
    pitch_shift_semitones: float = 0.0
    loudness_shift_db: float = 0.0


class Conditioning(NamedTuple):
    """What the network and the synthesizers get."""

    f0_hz: Tensor
    """``(B, N)``"""
    loudness_db: Tensor
    """``(B, N)``"""
    gate: Tensor
    """``(B, N)`` gain of all sound, 0 where the source is silent and 1 where it sounds"""


# ------------------------------------------------------------------------------------------------ pitch


def hz_to_midi(f0_hz: Tensor) -> Tensor:
    """MIDI note numbers; 440 Hz is 69."""
    return 69.0 + 12.0 * torch.log2(f0_hz.clamp(min=1.0) / 440.0)


def midi_to_hz(midi: Tensor) -> Tensor:
    """Hz of (fractional) MIDI note numbers."""
    return 440.0 * torch.exp2((midi - 69.0) / 12.0)


def repair_pitch(
    f0_hz: Tensor, confidence: Tensor, voiced_confidence: float = 0.5, median_ms: float = 60.0
) -> Tensor:
    """Pitch without the tracker's slips and guesses.

    A running median removes slips (of an octave, as a rule) that are shorter than half its length and
    moves no step between notes. Where the tracker is not confident the last confident pitch is held, and
    before the first one, the first.

    Args:
        f0_hz: ``(B, N)``.
        confidence: ``(B, N)`` in [0, 1].
        voiced_confidence: what is below it is a guess.
        median_ms: length of the median.

    Returns:
        ``(B, N)`` Hz.
    """
    held = _hold_where(hz_to_midi(f0_hz), confidence >= voiced_confidence)
    return midi_to_hz(_running_median(held, half=round(median_ms / 2000 * FRAME_RATE_HZ)))


def _hold_where(values: Tensor, valid: Tensor) -> Tensor:
    frames = torch.arange(values.shape[-1], device=values.device).expand_as(values)
    last_valid = torch.where(valid, frames, -1).cummax(dim=-1).values
    first_valid = torch.where(valid.any(-1), valid.int().argmax(-1), 0).unsqueeze(-1)
    return values.gather(-1, torch.where(last_valid >= 0, last_valid, first_valid))


def _running_median(values: Tensor, half: int) -> Tensor:
    padded = torch.nn.functional.pad(values.unsqueeze(1), (half, half), mode="replicate").squeeze(1)
    return padded.unfold(-1, 2 * half + 1, 1).median(dim=-1).values


# ------------------------------------------------------------------------------------------------ notes


def detect_notes(features: Features, settings: Adaptation) -> Tensor:
    """Where notes sound: confident pitch and not much quieter than the loudest part.

    Returns:
        ``(B, N)`` bool.
    """
    loudest = torch.quantile(features.loudness_db, 0.95, dim=-1, keepdim=True)
    loud = features.loudness_db > (loudest - settings.note_range_db).clamp(min=SILENCE_DB)
    return loud & (features.f0_confidence >= settings.voiced_confidence)


# -------------------------------------------------------------------------------- what the target does


class TargetStatistics(nn.Module):
    """Distribution of pitch and loudness in the notes of the training split, kept in the checkpoint.

    Histograms as buffers: they add up over batches, need no data at transfer time, and any quantile can
    be read from them to half a bin (0.5 dB, 1 semitone).
    """

    loudness_counts: Tensor
    pitch_counts: Tensor
    BIN_DB = 0.5

    def __init__(self) -> None:
        super().__init__()
        n_bins = round((20.0 - FLOOR_DB) / self.BIN_DB)
        self.register_buffer("loudness_counts", torch.zeros(n_bins, dtype=torch.double))
        self.register_buffer("pitch_counts", torch.zeros(128, dtype=torch.double))

    @torch.no_grad()
    def update(self, features: Features, notes: Tensor) -> None:
        """Count the frames of ``features`` in which ``notes (B, N)`` is true."""
        bins = ((features.loudness_db[notes] - FLOOR_DB) / self.BIN_DB).long()
        self._count(self.loudness_counts, bins)
        self._count(self.pitch_counts, hz_to_midi(features.f0_hz[notes]).round().long())

    @staticmethod
    def _count(counts: Tensor, bins: Tensor) -> None:
        counts += torch.bincount(bins.clamp(0, len(counts) - 1), minlength=len(counts)).to(counts)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted: the model never saw a note."""
        return bool(self.pitch_counts.sum() == 0)

    def loudness_quantiles(self, shares: Tensor) -> Tensor:
        """Loudness in dB below which ``shares`` of the note frames lie, ``(Q,)``."""
        return FLOOR_DB + self.BIN_DB * _histogram_quantiles(self.loudness_counts, shares)

    def pitch_quantiles(self, shares: Tensor) -> Tensor:
        """MIDI note below which ``shares`` of the note frames lie, ``(Q,)``."""
        return _histogram_quantiles(self.pitch_counts, shares) - 0.5

    def mean_midi(self) -> Tensor:
        """Mean pitch of the note frames, a MIDI number."""
        notes = torch.arange(128, device=self.pitch_counts.device)
        return ((self.pitch_counts * notes).sum() / self.pitch_counts.sum()).float()


def _histogram_quantiles(counts: Tensor, shares: Tensor) -> Tensor:
    """Fractional bin edges at which the cumulative share reaches ``shares``."""
    cumulative = (counts.cumsum(0) / counts.sum()).float()
    right = torch.searchsorted(cumulative, shares.clamp(max=1.0).contiguous()).clamp(max=len(counts) - 1)
    below = torch.where(right > 0, cumulative[(right - 1).clamp(min=0)], 0.0)
    within = (shares - below) / (cumulative[right] - below).clamp(min=1e-9)
    return right + within.clamp(0.0, 1.0)


# ------------------------------------------------------------------------------------------- adaptation

QUANTILES = torch.linspace(0.02, 0.98, 25)
IN_RANGE = 0.9
"""Share of a source's notes that must lie in the instrument's range for the source to stay as it is."""


def octaves_into_range(midi: Tensor, notes: Tensor, statistics: TargetStatistics) -> Tensor:
    """Octaves that bring each source's mean pitch nearest the target's; 0 for one that is in range already.

    Magenta shifts every source whose mean is more than half an octave away. A melody that the instrument
    can play as it is should stay where it was written, so here a source stays if 90 % of its notes lie
    between the target's lowest and highest (1st and 99th percentile, and a tone around).

    Returns:
        ``(B, 1)`` whole numbers.
    """
    low, high = statistics.pitch_quantiles(midi.new_tensor([0.01, 0.99]))
    n_notes = notes.sum(-1).clamp(min=1)
    in_range = ((midi > low - 2) & (midi < high + 2) & notes).sum(-1) / n_notes
    mean = (midi * notes).sum(-1) / n_notes
    octaves = ((statistics.mean_midi() - mean) / 12.0).round()
    stays = (in_range >= IN_RANGE) | ~notes.any(-1)
    return torch.where(stays, torch.zeros_like(octaves), octaves).unsqueeze(-1)


def map_loudness(
    loudness_db: Tensor, notes: Tensor, statistics: TargetStatistics, tolerance_db: float = 0.0
) -> Tensor:
    """Bring the distribution of the notes' loudness to the target's, or near it; silence stays silence.

    One monotone curve for each example, from its quantiles to the target's: what is quieter than the
    quietest notes goes straight down to −80 dB, which stays −80 dB.

    Args:
        loudness_db: ``(B, N)``.
        notes: ``(B, N)`` bool.
        statistics: of the target.
        tolerance_db: quantiles that are no further from the target's stay where they are, others come
            as near as this.

    Returns:
        ``(B, N)`` dB.
    """
    shares = QUANTILES.to(loudness_db)
    target = statistics.loudness_quantiles(shares)
    mapped = [
        _follow(_quantile_curve(x[on], shares, target, tolerance_db), x)
        for x, on in zip(loudness_db, notes, strict=True)
    ]
    return torch.stack(mapped)


class Curve(NamedTuple):
    """A monotone function, by its corners."""

    x: Tensor
    y: Tensor


def _quantile_curve(of_notes: Tensor, shares: Tensor, target: Tensor, tolerance_db: float) -> Curve:
    floor, above = target.new_tensor([FLOOR_DB]), target.new_tensor([40.0])
    if not len(of_notes):
        return Curve(torch.cat([floor, above]), torch.cat([floor, above]))
    # Equal quantiles (one constant loudness) are pulled apart around their middle: it goes to the middle.
    apart = 1e-3 * (torch.arange(len(shares), device=shares.device) - len(shares) // 2)
    source = torch.quantile(of_notes, shares) + apart
    nearest = source.clamp(min=target - tolerance_db, max=target + tolerance_db).clamp(min=FLOOR_DB)
    # Behind the loudest note the curve goes on with slope 1.
    return Curve(
        torch.cat([floor, source, source[-1:] + above]), torch.cat([floor, nearest, nearest[-1:] + above])
    )


def _follow(curve: Curve, values: Tensor) -> Tensor:
    right = torch.searchsorted(curve.x, values.contiguous()).clamp(1, len(curve.x) - 1)
    share = ((values - curve.x[right - 1]) / (curve.x[right] - curve.x[right - 1])).clamp(0.0, 1.0)
    return torch.lerp(curve.y[right - 1], curve.y[right], share)


def silence_gate(loudness_db: Tensor, ramp_ms: float = 20.0) -> Tensor:
    """0 where the source is silent, 1 where it sounds, with short ramps inside the silence.

    Returns:
        ``(B, N)`` in [0, 1].
    """
    n = round(ramp_ms / 1000 * FRAME_RATE_HZ)
    sounds = (loudness_db > SILENCE_DB).to(loudness_db)
    near = torch.nn.functional.max_pool1d(sounds.unsqueeze(1), 2 * n + 1, stride=1, padding=n)
    kernel = sounds.new_full((1, 1, 2 * n + 1), 1 / (2 * n + 1))
    padded = torch.nn.functional.pad(near, (n, n), mode="replicate")
    return torch.nn.functional.conv1d(padded, kernel).squeeze(1)


def adapt(features: Features, statistics: TargetStatistics, settings: Adaptation) -> Conditioning:
    """Fit the features of any source to the instrument that ``statistics`` describes."""
    f0_hz = repair_pitch(features.f0_hz, features.f0_confidence, settings.voiced_confidence)
    notes = detect_notes(features, settings)
    midi, loudness = hz_to_midi(f0_hz), features.loudness_db
    if not statistics.is_empty:
        if settings.octave_shift:
            midi = midi + 12.0 * octaves_into_range(midi, notes, statistics)
        loudness = map_loudness(loudness, notes, statistics, settings.loudness_tolerance_db)
    gate = silence_gate(features.loudness_db)
    loudness = (loudness + settings.loudness_shift_db * gate).clamp(min=FLOOR_DB)
    return Conditioning(midi_to_hz(midi + settings.pitch_shift_semitones), loudness, gate)
