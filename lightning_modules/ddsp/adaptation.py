"""The adaptation of a source's features to a network that knows one instrument only.

The steps are those of Magenta's "tone transfer" (Carney et al., HAI-GEN 2021), in this order: repair the
pitch, detect the notes, shift them into the instrument's range by octaves, map their loudness by quantiles to
the instrument's, and apply the user's own shifts. All are pure functions of ``(B, N)`` features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from datamodules.batch import FRAME_RATE_HZ, Features
from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.loudness_mapping import SILENCE_DB, loud_level_db, map_loudness
from lightning_modules.ddsp.pitch_repair import hz_to_midi, midi_to_hz, repair_pitch
from lightning_modules.ddsp.statistics import TargetStatistics
from runtime.arguments import float_within, fraction


@dataclass
class Adaptation:
    """The settings by which a source is adapted to the target instrument.

    Args:
        articulate: whether notes begin in the instrument's own time and loudness, where the model has an
            articulation; false keeps the player's.
        octave_shift: whether a source outside the instrument's range is shifted into it, by whole octaves.
        loudness_tolerance_db: how far each quantile of the source's loudness may be from the instrument's
            before it is moved. 0 gives every source the instrument's distribution, and so takes its
            dynamics away (a soft piece gets as loud as all others); 200 leaves every source as it is.
        voiced_confidence: confidence from which the tracker's pitch is used.
        note_range_db: frames further below the loud level (`loud_level_db`) belong to no note.
        pitch_shift_semitones: the user's own shift, added at the end; fractions are allowed.
        loudness_shift_db: the user's own gain, added at the end to frames that are not silent.
    """

    articulate: bool = True
    octave_shift: bool = True
    loudness_tolerance_db: Annotated[float, float_within(0, 200)] = 6.0
    voiced_confidence: Annotated[float, fraction] = 0.5
    note_range_db: Annotated[float, float_within(0, 200)] = 30.0
    pitch_shift_semitones: Annotated[float, float_within(-60, 60)] = 0.0
    loudness_shift_db: Annotated[float, float_within(-80, 40)] = 0.0


class Conditioning(NamedTuple):
    """The input of the network and the synthesizers."""

    f0_hz: Tensor
    """``(B, N)``"""
    loudness_db: Tensor
    """``(B, N)``"""
    gate: Tensor
    """``(B, N)`` gain of all sound: 0 where the source is silent, 1 where it is not"""


def detect_notes(features: Features, settings: Adaptation) -> Tensor:
    """Detect the frames of notes: a confident pitch that stays, not much below the loudest part.

    Returns:
        ``(B, N)`` bool.
    """
    quietest = loud_level_db(features.loudness_db) - settings.note_range_db
    loud = features.loudness_db > quietest.clamp(min=SILENCE_DB)
    confident = features.f0_confidence >= settings.voiced_confidence
    return loud & confident & pitch_stays(features.f0_hz)


STEADY_MS, STEADY_SEMITONES = 48.0, 1.5


def pitch_stays(f0_hz: Tensor) -> Tensor:
    """Mark the frames, ``(B, N)``, of any 48 ms within which the pitch moves by less than 1.5 semitones.

    In the hiss of a room a tracker can be confident, but not of one pitch for long. Vibrato, glides and
    changes of note pass.
    """
    half = round(STEADY_MS / 2000 * FRAME_RATE_HZ)
    midi = hz_to_midi(f0_hz).unsqueeze(1)
    padded = torch.nn.functional.pad(midi, (half, half), mode="replicate")
    highest, lowest = (
        sign * torch.nn.functional.max_pool1d(sign * padded, 2 * half + 1, stride=1) for sign in (1, -1)
    )
    steady = (highest - lowest < STEADY_SEMITONES).to(midi)
    return torch.nn.functional.max_pool1d(steady, 2 * half + 1, stride=1, padding=half).squeeze(1) > 0


IN_RANGE = 0.9
"""Share of a source's notes that must lie in the instrument's range for the source to stay as it is."""


def octaves_into_range(midi: Tensor, notes: Tensor, statistics: TargetStatistics) -> Tensor:
    """Octaves that bring each source's mean pitch nearest the target's; 0 for a source in range already.

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


def silence_gate(loudness_db: Tensor, ramp_ms: float = 20.0) -> Tensor:
    """Gain of 0 where the source is silent and 1 where it is not, with short ramps inside the silence.

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
    """Adapt the features of any source to the instrument that ``statistics`` describes."""
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
