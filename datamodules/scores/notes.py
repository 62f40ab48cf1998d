"""Notes, scores, and MIDI files of them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

UNSPECIFIED = 0
"""Velocity of a note whose score has no dynamics."""
TICKS_PER_SECOND = 1000
"""Resolution of time in MIDI files."""


class Note(NamedTuple):
    """One sounding note."""

    start_s: float
    end_s: float
    pitch: int
    """MIDI pitch; 60 is C4 (261.6 Hz)."""
    velocity: int = UNSPECIFIED
    """MIDI velocity, 1 to 127, or `UNSPECIFIED`."""


@dataclass(frozen=True)
class Score:
    """A piece of music as notes in time."""

    piece: str
    """Id of the piece, readable and fit for a file name."""
    track: str
    """``monophonic`` or ``polyphonic``."""
    notes: tuple[Note, ...]
    origin: str
    """File that the piece comes from, for reports."""
    split: str | None = None
    """The only split that the piece may be used in, where its source prescribes one."""


def is_monophonic(notes: Sequence[Note], tolerance_s: float = 0.03) -> bool:
    """Tell whether no note sounds longer than ``tolerance_s`` into the next (legato overlaps a little)."""
    ordered = sorted(notes)
    return all(
        later.start_s > earlier.start_s and earlier.end_s - later.start_s <= tolerance_s
        for earlier, later in pairwise(ordered)
    )


def excerpt(notes: Sequence[Note], seconds: float | None) -> tuple[Note, ...]:
    """Take the notes that start in the first ``seconds`` after the first onset, which becomes time 0.

    Notes that last longer end with the excerpt. ``None`` takes the whole piece.
    """
    if not notes:
        return ()
    ordered = sorted(notes)
    first = ordered[0].start_s
    end = math.inf if seconds is None else seconds
    return tuple(
        note._replace(start_s=note.start_s - first, end_s=min(note.end_s - first, end))
        for note in ordered
        if note.start_s - first < end - 0.02  # a shorter note would be a click
    )


def without_overlaps(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Sort notes, and end each before its pitch begins again: two voices on one pitch are one sound.

    A MIDI channel cannot hold a pitch twice: the first note's end would end the second one too.
    """
    begins_again: dict[int, float] = {}
    kept = []
    for note in sorted(notes, reverse=True):
        end_s = min(note.end_s, begins_again.get(note.pitch, note.end_s))
        if end_s > note.start_s:
            kept.append(note._replace(end_s=end_s))
            begins_again[note.pitch] = note.start_s
    return tuple(sorted(kept))


def midi_bytes(notes: Sequence[Note], program: int, seconds: float) -> bytes:
    """Write a standard MIDI file of one channel, with one tick a millisecond.

    Reverb and chorus (controllers 91 and 93), on by default in synthesizers, are off; volume (7) is full.

    Args:
        notes: the notes that sound, none twice at once (see `without_overlaps`).
        program: General MIDI program, 0 to 127.
        seconds: time at which the track ends and a renderer stops.
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack

    track = MidiTrack([MetaMessage("set_tempo", tempo=1_000_000), Message("program_change", program=program)])
    track += [Message("control_change", control=c, value=value) for c, value in ((91, 0), (93, 0), (7, 127))]
    events = [(_tick(n.start_s), "note_on", n.pitch, n.velocity or 64) for n in notes]
    events += [(_tick(n.end_s), "note_off", n.pitch, 0) for n in notes]
    now = 0
    # Sorted so that at equal times a note ends ("note_off") before the next one of its pitch begins.
    for tick, kind, pitch, velocity in sorted(events):
        track.append(Message(kind, note=pitch, velocity=velocity, time=tick - now))
        now = tick
    track.append(MetaMessage("end_of_track", time=max(0, _tick(seconds) - now)))
    file = io.BytesIO()
    MidiFile(type=0, ticks_per_beat=TICKS_PER_SECOND, tracks=[track]).save(file=file)
    return file.getvalue()


def _tick(time_s: float) -> int:
    return round(time_s * TICKS_PER_SECOND)
