"""Notes of a piece, and their MIDI bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

UNSPECIFIED = 0
"""Velocity of a note whose score says nothing about dynamics."""
TICKS_PER_SECOND = 1000


class Note(NamedTuple):
    """One sounding note."""

    start_s: float
    end_s: float
    pitch: int
    """MIDI number, 60 is C4 (261.6 Hz)."""
    velocity: int = UNSPECIFIED
    """How hard it is played, 1 to 127, or `UNSPECIFIED`."""


@dataclass(frozen=True)
class Score:
    """A piece of music as notes in time."""

    piece: str
    """Readable id, fit for a file name."""
    track: str
    """``monophonic`` or ``polyphonic``."""
    notes: tuple[Note, ...]
    origin: str
    """The file it comes from, for reports."""
    split: str | None = None
    """The only split it may be used in, where its collection prescribes one."""


def is_monophonic(notes: Sequence[Note], tolerance_s: float = 0.03) -> bool:
    """Whether no note sounds longer than ``tolerance_s`` into the next (legato playing overlaps a little)."""
    ordered = sorted(notes)
    return all(
        later.start_s > earlier.start_s and earlier.end_s - later.start_s <= tolerance_s
        for earlier, later in pairwise(ordered)
    )


def excerpt(notes: Sequence[Note], seconds: float | None) -> tuple[Note, ...]:
    """The notes that start in the first ``seconds`` after the first onset, which becomes time 0.

    Notes that last longer end with the excerpt. ``None`` keeps the whole piece.
    """
    if not notes:
        return ()
    ordered = sorted(notes)
    first = ordered[0].start_s
    end = math.inf if seconds is None else seconds
    return tuple(
        note._replace(start_s=note.start_s - first, end_s=min(note.end_s - first, end))
        for note in ordered
        if note.start_s - first < end - 0.02  # a shorter note is a click
    )


def without_overlaps(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Sorted notes in which a pitch ends before it begins again: two voices on one pitch are one sound.

    (A MIDI channel cannot hold a pitch twice: the first note's end would end the second one too.)
    """
    begins_again: dict[int, float] = {}
    kept = []
    for note in sorted(notes, reverse=True):
        end_s = min(note.end_s, begins_again.get(note.pitch, note.end_s))
        if end_s > note.start_s:
            kept.append(note._replace(end_s=end_s))
            begins_again[note.pitch] = note.start_s
    return tuple(reversed(kept))


def midi_bytes(notes: Sequence[Note], program: int, seconds: float) -> bytes:
    """A standard MIDI file of one channel, one tick a millisecond.

    Reverb and chorus (controllers 91 and 93), on by default in synthesizers, are off; volume (7) is full.

    Args:
        notes: what sounds.
        program: General MIDI program, 0 to 127.
        seconds: when the track ends, so that a renderer stops there.
    """
    messages = [(0, b"\xff\x51\x03" + (1_000_000).to_bytes(3, "big")), (0, bytes((0xC0, program)))]
    messages += [(0, bytes((0xB0, controller, value))) for controller, value in ((91, 0), (93, 0), (7, 127))]
    events = [(round(n.start_s * TICKS_PER_SECOND), 1, n.pitch, n.velocity or 64) for n in notes]
    events += [(round(n.end_s * TICKS_PER_SECOND), 0, n.pitch, 0) for n in notes]
    # Sorted so that at equal times a note ends before the next one of its pitch begins.
    messages += [
        (tick, bytes((0x80 | on << 4, pitch, velocity))) for tick, on, pitch, velocity in sorted(events)
    ]
    messages.append((round(seconds * TICKS_PER_SECOND), b"\xff\x2f\x00"))
    body, now = bytearray(), 0
    for tick, message in messages:
        body += _variable_length(max(tick - now, 0)) + message
        now = max(tick, now)
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_PER_SECOND)
    return header + b"MTrk" + struct.pack(">I", len(body)) + bytes(body)


def _variable_length(number: int) -> bytes:
    """MIDI's number format: seven bits a byte, the top bit set on all but the last."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))
