"""Notes of a standard MIDI file as it sounds: tempo of all tracks, sustain pedal, no drums."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.scores.notes import Note

DRUM_CHANNEL = 9
SUSTAIN, PEDAL_DOWN = 64, 64
"""Controller of the sustain pedal, and the value from which on it is down (MIDI 1.0, table 3)."""
DEFAULT_TEMPO = 500_000
"""Microseconds a beat where a file says nothing: 120 beats a minute."""
UNREAD_METADATA = (0x00, 0x20, 0x21, 0x54, 0x58, 0x59)
"""Meta events that no note depends on: sequence number, channel, port, SMPTE offset, time signature, key."""


class MidiNotes(NamedTuple):
    """What a MIDI file plays."""

    notes: tuple[Note, ...]
    """Sorted by time."""
    remark: str
    """What of the file is not in the notes, or why there are none; empty where all is played."""


class _Event(NamedTuple):
    seconds: float
    track: int
    message: Any


def read_midi(path: Path) -> MidiNotes:
    """Read the notes of a file, drums left out.

    A note lasts until its note-off or, while the sustain pedal of its channel is down, until the pedal lifts
    or its key is struck again. Pitch bends and aftertouch are not played; the remark counts them.
    """
    import mido

    _leave_metadata_unread()
    try:
        events = list(_events(mido.MidiFile(str(path), clip=True)))
    except Exception as error:  # mido raises anything, from EOFError to KeyError, on a damaged file
        return MidiNotes((), f"not a readable MIDI file ({type(error).__name__}: {error})")
    kinds = Counter(event.message.type for event in events if _is_melodic(event.message))
    notes = tuple(sorted(_sounding(events)))
    if notes:
        return MidiNotes(notes, _unplayed(kinds))
    n_begun = sum(_begins(event.message) for event in events)
    if n_begun:
        return MidiNotes((), f"its {n_begun} notes have no length: none of them ends later than it begins")
    return MidiNotes((), "no notes besides drums")


def _events(midi: Any) -> Iterator[_Event]:
    """All events of all tracks in the order of time; tempo events of any track are heard in every track."""
    ticked = []
    for number, track in enumerate(midi.tracks):
        tick = 0
        for message in track:
            tick += message.time
            ticked.append((tick, number, message))
    ticked.sort(key=lambda event: event[0])  # stable: simultaneous events keep the order of their track
    seconds_at = _Clock(midi.ticks_per_beat, [(t, m.tempo) for t, _, m in ticked if m.type == "set_tempo"])
    for tick, number, message in ticked:
        yield _Event(seconds_at(tick), number, message)


class _Clock:
    """Seconds from ticks.

    Args:
        division: ticks a beat or, where negative, frames a second (high byte) and ticks a frame (low byte).
        tempos: tick and microseconds a beat of every tempo event, in the order of time.
    """

    def __init__(self, division: int, tempos: list[tuple[int, int]]) -> None:
        if division < 0:
            ticks_per_s = -(division >> 8) * (division & 0xFF)
            self._changes = [(0, 0.0, 1 / ticks_per_s)]
            return
        self._changes = [(0, 0.0, DEFAULT_TEMPO / 1e6 / division)]
        for tick, tempo in tempos:
            self._changes.append((tick, self(tick), tempo / 1e6 / division))

    def __call__(self, tick: int) -> float:
        at = bisect_right(self._changes, tick, key=lambda change: change[0]) - 1
        begin, seconds, seconds_per_tick = self._changes[at]
        return seconds + (tick - begin) * seconds_per_tick


def _sounding(events: list[_Event]) -> Iterator[Note]:
    """Every note with the time for which it sounds."""
    begun: dict[tuple[int, int, int], list[_Event]] = {}
    held: dict[tuple[int, int], list[Note]] = {}  # released while the pedal of their channel is down
    pedals: set[int] = set()
    for event in events:
        message = event.message
        if message.type == "control_change" and message.control == SUSTAIN:
            if message.value >= PEDAL_DOWN:
                pedals.add(message.channel)
                continue
            pedals.discard(message.channel)
            for key in [key for key in held if key[0] == message.channel]:
                yield from (note._replace(end_s=event.seconds) for note in held.pop(key))
        if message.type not in ("note_on", "note_off") or message.channel == DRUM_CHANNEL:
            continue
        key = (message.channel, message.note)
        if _begins(message):
            yield from (note._replace(end_s=event.seconds) for note in held.pop(key, []))
            begun.setdefault((event.track, *key), []).append(event)
            continue
        for start in begun.pop((event.track, *key), []):
            note = Note(start.seconds, event.seconds, message.note, start.message.velocity)
            if message.channel in pedals:
                held.setdefault(key, []).append(note)
            elif note.end_s > note.start_s:
                yield note
    for notes in held.values():  # the pedal never lifts: they sound until the piece ends
        yield from (note._replace(end_s=max(note.end_s, events[-1].seconds)) for note in notes)


def _is_melodic(message: Any) -> bool:
    return getattr(message, "channel", DRUM_CHANNEL) != DRUM_CHANNEL


def _begins(message: Any) -> bool:
    return message.type == "note_on" and message.velocity > 0 and message.channel != DRUM_CHANNEL


def _unplayed(kinds: Counter[str]) -> str:
    names = {"pitchwheel": "pitch bends", "aftertouch": "aftertouch events", "polytouch": "key pressures"}
    found = [f"{kinds[kind]} {name}" for kind, name in names.items() if kinds[kind]]
    return f"played without its {', '.join(found)}" if found else ""


def _leave_metadata_unread() -> None:
    """Let mido pass over metadata that no note depends on, instead of giving up a file for a wrong one."""
    from mido.midifiles.meta import MetaSpec, add_meta_spec

    def decode(self: Any, message: Any, data: Any) -> None:
        pass

    for number in UNREAD_METADATA:
        fields = {"type_byte": number, "attributes": [], "defaults": [], "decode": decode}
        add_meta_spec(type(f"MetaSpec_unread_{number:02x}", (MetaSpec,), fields))
