"""A MIDI file is read as it sounds: by its tempo, with its pedal, whatever its metadata says."""

from pathlib import Path

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mido import Message, MetaMessage

from datamodules.scores.midi_file import read_midi
from datamodules.scores.notes import Note

BEAT = 480


def saved(path: Path, *tracks: list, **options: object) -> Path:
    """A file of these tracks, whose events have the tick at which they happen as time."""
    midi = mido.MidiFile(ticks_per_beat=BEAT, **options)
    for events in tracks:
        now, track = 0, mido.MidiTrack()
        for event in events:
            track.append(event.copy(time=event.time - now))
            now = event.time
        midi.tracks.append(track)
    midi.save(path)
    return path


def note(pitch: int, begin: int, end: int, channel: int = 0) -> list[Message]:
    """A note from one tick to another."""
    on = Message("note_on", note=pitch, velocity=80, channel=channel, time=begin)
    return [on, Message("note_off", note=pitch, channel=channel, time=end)]


def pedal(value: int, tick: int, channel: int = 0) -> Message:
    return Message("control_change", control=64, value=value, channel=channel, time=tick)


def in_order(*events: Message) -> list[Message]:
    return sorted(events, key=lambda event: event.time)


@pytest.mark.parametrize("in_track", [0, 1, 2])
def test_tempo_holds_for_all_tracks_wherever_it_stands(tmp_path: Path, in_track: int) -> None:
    tracks: list[list] = [[], note(60, 0, BEAT), note(64, 11 * BEAT, 12 * BEAT)]
    tracks[in_track].insert(0, MetaMessage("set_tempo", tempo=1_000_000, time=0))
    notes = read_midi(saved(tmp_path / "a.mid", *tracks)).notes
    assert [(n.start_s, n.end_s) for n in notes] == [(0, 1), (11, 12)]


def test_tempo_may_change_within_a_note(tmp_path: Path) -> None:
    slower = MetaMessage("set_tempo", tempo=2_000_000, time=BEAT)
    [only] = read_midi(saved(tmp_path / "a.mid", [slower], note(60, 0, 2 * BEAT))).notes
    assert only.end_s == pytest.approx(0.5 + 2)


def test_time_in_frames_of_a_film(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mid", note(60, 0, 1000))
    content = bytearray(path.read_bytes())
    content[12:14] = bytes((256 - 25, 40))  # 25 frames a second of 40 ticks: a tick is a millisecond
    path.write_bytes(content)
    assert read_midi(path).notes == (Note(0, 1, 60, 80),)


@pytest.mark.parametrize(
    "event", [b"\xff\x59\x02\x0c\x00", b"\xff\x59\x00", b"\xff\x58\x01\x04", b"\xff\x54\x01\xff"]
)
def test_wrong_metadata_costs_no_note(tmp_path: Path, event: bytes) -> None:
    path = saved(tmp_path / "a.mid", [e for i in range(24) for e in note(60 + i, i * BEAT, (i + 1) * BEAT)])
    content = path.read_bytes()
    at = content.index(b"MTrk")
    length = int.from_bytes(content[at + 4 : at + 8], "big") + len(event) + 1
    path.write_bytes(content[: at + 4] + length.to_bytes(4, "big") + b"\0" + event + content[at + 8 :])
    assert len(read_midi(path).notes) == 24


def test_the_pedal_lets_notes_sound_until_it_lifts(tmp_path: Path) -> None:
    events = in_order(*note(60, 0, 10), pedal(127, 5), pedal(0, 4 * BEAT), *note(64, 5 * BEAT, 6 * BEAT))
    held, after = read_midi(saved(tmp_path / "a.mid", events)).notes
    assert (held.start_s, held.end_s) == (0, 2) and after.end_s - after.start_s == pytest.approx(0.5)


def test_a_key_that_is_struck_again_ends_the_note_that_the_pedal_holds(tmp_path: Path) -> None:
    events = in_order(pedal(64, 0), *note(60, 1, 10), *note(60, 2 * BEAT, 2 * BEAT + 10), pedal(63, 4 * BEAT))
    first, second = read_midi(saved(tmp_path / "a.mid", events)).notes
    assert first.end_s == second.start_s == pytest.approx(1) and second.end_s == pytest.approx(2)


def test_the_pedal_is_that_of_its_channel(tmp_path: Path) -> None:
    events = in_order(
        pedal(127, 0, channel=1), *note(60, 0, BEAT), *note(72, 0, BEAT, channel=1), pedal(0, 4 * BEAT, 1)
    )
    ends = {n.pitch: n.end_s for n in read_midi(saved(tmp_path / "a.mid", events)).notes}
    assert ends == {60: 0.5, 72: 2.0}


def test_a_pedal_that_never_lifts_holds_to_the_end(tmp_path: Path) -> None:
    events = in_order(pedal(127, 0), *note(60, 0, BEAT), *note(64, BEAT, 4 * BEAT))
    assert [n.end_s for n in read_midi(saved(tmp_path / "a.mid", events)).notes] == [2, 2]


@given(st.lists(st.tuples(st.integers(21, 108), st.integers(1, 2 * BEAT)), min_size=1, max_size=30))
def test_notes_one_after_the_other_come_back(tmp_path_factory, melody: list[tuple[int, int]]) -> None:
    now, events, wanted = 0, [], []
    for pitch, ticks in melody:
        events += note(pitch, now, now + ticks)
        wanted.append((pitch, pytest.approx(now / BEAT / 2), pytest.approx((now + ticks) / BEAT / 2)))
        now += ticks
    notes = read_midi(saved(tmp_path_factory.mktemp("midi") / "a.mid", events)).notes
    assert [(n.pitch, n.start_s, n.end_s) for n in notes] == wanted


def test_drums_are_left_out(tmp_path: Path) -> None:
    assert (
        read_midi(saved(tmp_path / "a.mid", note(36, 0, BEAT, channel=9))).remark == "no notes besides drums"
    )


def test_notes_that_never_end_are_the_reason(tmp_path: Path) -> None:
    begun = [Message("note_on", note=60 + i, velocity=80, time=i * BEAT) for i in range(24)]
    assert "24 notes" in (remark := read_midi(saved(tmp_path / "a.mid", begun)).remark) and "end" in remark


def test_what_is_not_played_is_counted(tmp_path: Path) -> None:
    bends = [Message("pitchwheel", pitch=100 * i, time=i) for i in range(3)]
    pressed = Message("aftertouch", value=5, time=4)
    read = read_midi(saved(tmp_path / "a.mid", [*bends, pressed, *note(60, 5, BEAT)]))
    assert len(read.notes) == 1 and read.remark == "played without its 3 pitch bends, 1 aftertouch events"


@pytest.mark.parametrize(
    "content", [b"", b"MThd", b"not MIDI at all", b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\xff"]
)
def test_what_is_no_midi_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    read = read_midi(path)
    assert not read.notes and "not a readable MIDI file" in read.remark
