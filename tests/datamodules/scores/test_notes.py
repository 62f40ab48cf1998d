import io

import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.scores.notes import Note, excerpt, is_monophonic, midi_bytes, without_overlaps

MELODY = (Note(0.0, 0.5, 60, 80), Note(0.5, 1.0, 64, 90), Note(1.5, 2.5, 67, 100))


def test_an_independent_reader_finds_the_same_notes_and_controllers() -> None:
    midi = pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(MELODY, 40, 3.0)))
    (violin,) = midi.instruments
    assert violin.program == 40
    got = [(round(n.start, 3), round(n.end, 3), n.pitch, n.velocity) for n in violin.notes]
    assert got == [tuple(note) for note in MELODY]
    assert {(c.number, c.value) for c in violin.control_changes} == {(91, 0), (93, 0), (7, 127)}


@given(
    st.lists(st.tuples(st.integers(0, 60000), st.integers(1, 9000), st.integers(0, 127), st.integers(1, 127)))
)
def test_any_notes_survive_the_way_through_midi(raw: list[tuple[int, int, int, int]]) -> None:
    notes = without_overlaps(Note(ms / 1000, (ms + length) / 1000, p, v) for ms, length, p, v in raw)
    midi = pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(notes, 0, 70.0)))
    found = [n for part in midi.instruments for n in part.notes]
    got = sorted((round(n.start, 3), round(n.end, 3), n.pitch, n.velocity) for n in found)
    assert got == [(round(n.start_s, 3), round(n.end_s, 3), n.pitch, n.velocity) for n in notes]


def test_one_pitch_never_sounds_twice_at_once() -> None:
    twice = [Note(0, 2, 60), Note(1, 3, 60), Note(0.5, 2.5, 64), Note(0, 1.5, 60)]
    assert without_overlaps(twice) == (Note(0, 1, 60), Note(0.5, 2.5, 64), Note(1, 3, 60))


def test_monophonic_allows_legato_but_no_chords() -> None:
    assert is_monophonic(MELODY)
    assert is_monophonic([Note(0, 0.52, 60), Note(0.5, 1, 62)])
    assert not is_monophonic([Note(0, 0.7, 60), Note(0.5, 1, 62)])
    assert not is_monophonic([Note(0, 0.5, 60), Note(0, 0.5, 64)])


def test_an_excerpt_starts_with_its_first_note_and_ends_in_time() -> None:
    notes = [Note(10, 11, 60), Note(11, 14, 62), Note(12, 13, 64)]
    assert excerpt(notes, 1.5) == (Note(0, 1, 60), Note(1, 1.5, 62))
    assert excerpt(notes, None)[-1] == Note(2, 3, 64)
    assert excerpt([], 1.0) == ()


def test_ticks_are_milliseconds() -> None:
    midi = pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes([Note(1.234, 59.999, 60, 1)], 0, 60.0)))
    assert midi.instruments[0].notes[0].start == pytest.approx(1.234, abs=1e-6)
    assert midi.instruments[0].notes[0].end == pytest.approx(59.999, abs=1e-6)
