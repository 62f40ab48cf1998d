"""What happens to a source's features before they meet a network that knows one instrument only.

The steps of Magenta's "tone transfer" (Carney et al., HAI-GEN 2021), in this order: repair the pitch, find
the notes, bring the notes into the instrument's range by octaves, map the loudness by quantiles to the
instrument's, and then what the user asks for by hand. All are pure functions of ``(B, N)`` features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batch import FRAME_RATE_HZ, Features
from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.pitch_repair import hz_to_midi, midi_to_hz, repair_pitch
from lightning_modules.ddsp.statistics import TargetStatistics

SILENCE_DB = -75.0
"""Loudness up to which a source is taken as silent."""


@dataclass
class Adaptation:
    """How a source is fitted to the target instrument.

    Args:
        articulate: let the instrument speak in its own time and loudness, where the model has learnt them;
            false keeps the player's.
        octave_shift: bring a source that lies outside the instrument's range into it, by whole octaves.
        loudness_tolerance_db: how far each quantile of the source's loudness may be from the instrument's
            before it is moved. 0 gives every source the instrument's distribution, and so takes its
            dynamics away (a soft piece gets as loud as all others); infinity leaves every source as it is.
        voiced_confidence: confidence from which the tracker's pitch is believed, in [0, 1].
        note_range_db: frames further below the loudest (95th percentile) are no note.
        pitch_shift_semitones: by hand, added at the end; fractions are allowed.
        loudness_shift_db: by hand, added at the end where the source sounds.
    """

    articulate: bool = True
    octave_shift: bool = True
    loudness_tolerance_db: float = 6.0
    voiced_confidence: float = 0.5
    note_range_db: float = 30.0
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


def detect_notes(features: Features, settings: Adaptation) -> Tensor:
    """Where notes sound: confident pitch that stays, and not much quieter than the loudest part.

    Returns:
        ``(B, N)`` bool.
    """
    loudest = torch.quantile(features.loudness_db, 0.95, dim=-1, keepdim=True)
    loud = features.loudness_db > (loudest - settings.note_range_db).clamp(min=SILENCE_DB)
    confident = features.f0_confidence >= settings.voiced_confidence
    return loud & confident & pitch_stays(features.f0_hz)


STEADY_MS, STEADY_SEMITONES = 48.0, 1.5


def pitch_stays(f0_hz: Tensor) -> Tensor:
    """Where a frame is in some 48 ms within which the pitch moves by less than 1.5 semitones, ``(B, N)``.

    A tracker can be sure of itself in the hiss of a room, but not of the same pitch for long; vibrato,
    glides and changes of note pass.
    """
    half = round(STEADY_MS / 2000 * FRAME_RATE_HZ)
    midi = hz_to_midi(f0_hz).unsqueeze(1)
    padded = torch.nn.functional.pad(midi, (half, half), mode="replicate")
    highest, lowest = (
        sign * torch.nn.functional.max_pool1d(sign * padded, 2 * half + 1, stride=1) for sign in (1, -1)
    )
    steady = (highest - lowest < STEADY_SEMITONES).to(midi)
    return torch.nn.functional.max_pool1d(steady, 2 * half + 1, stride=1, padding=half).squeeze(1) > 0


QUANTILES = torch.linspace(0.02, 0.98, 25)
FADE_DB = 10.0
"""Below the quietest notes lie releases, then the room and its hiss: silent from so many dB further down."""
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

    One monotone curve for each example, from its quantiles to the target's. What is quieter than the
    quietest notes goes down to −80 dB within `FADE_DB`, so that nobody plays the hiss of a room.

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
    floor, above = target.new_tensor([LOUDNESS_FLOOR_DB]), target.new_tensor([40.0])
    if not len(of_notes):
        return Curve(torch.cat([floor, above]), torch.cat([floor, above]))
    # Equal quantiles (one constant loudness) are pulled apart around their middle: it goes to the middle.
    apart = 1e-3 * (torch.arange(len(shares), device=shares.device) - len(shares) // 2)
    source = torch.quantile(of_notes, shares) + apart
    nearest = source.clamp(min=target - tolerance_db, max=target + tolerance_db).clamp(min=LOUDNESS_FLOOR_DB)
    # Above the loudest note, and for half the fade below the quietest, the curve goes on with slope 1.
    below = target.new_tensor([-FADE_DB, -FADE_DB / 2])
    x = torch.cat([source[:1] + below, source, source[-1:] + above])
    y = torch.cat([floor, nearest[:1] + below[1:], nearest, nearest[-1:] + above])
    return Curve(x, y.clamp(min=LOUDNESS_FLOOR_DB))


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
    loudness = (loudness + settings.loudness_shift_db * gate).clamp(min=LOUDNESS_FLOOR_DB)
    return Conditioning(midi_to_hz(midi + settings.pitch_shift_semitones), loudness, gate)
