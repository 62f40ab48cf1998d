from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datamodules.scores.melodies import MelodyRegister, intervals, split_all, split_of
from datamodules.scores.notes import Note


def notes_of(pitches: list[int], beat_s: float = 0.5) -> list[Note]:
    return [Note(n * beat_s, (n + 1) * beat_s, pitch) for n, pitch in enumerate(pitches)]


def random_tune(seed: int, length: int = 64) -> list[int]:
    return list(60 + np.random.default_rng(seed).integers(0, 15, length))


@given(st.lists(st.integers(40, 80)), st.integers(-20, 20), st.floats(0.1, 2))
def test_intervals_ignore_key_and_tempo(pitches: list[int], shift: int, beat_s: float) -> None:
    moved = notes_of([pitch + shift for pitch in pitches], beat_s)
    assert intervals(moved) == intervals(notes_of(pitches))


def test_the_highest_voice_is_the_melody() -> None:
    melody = notes_of([60, 62, 64])
    below = [note._replace(pitch=note.pitch - 12) for note in melody]
    assert intervals(melody + below) == (2, 2)


def test_transpositions_variants_and_parts_are_known_and_other_tunes_are_not() -> None:
    register = MelodyRegister()
    tune = random_tune(0)
    register.add("tune", notes_of(tune))
    assert register.known_as(notes_of([p + 7 for p in tune], 0.3)) == "tune"
    assert register.known_as(notes_of(tune[20:50])) == "tune"
    ornamented = [*tune[:30], 72, 71, 72, *tune[30:]]
    assert register.known_as(notes_of(ornamented)) == "tune"
    assert register.known_as(notes_of(tune + random_tune(1, 30))) == "tune"
    assert all(register.known_as(notes_of(random_tune(seed))) is None for seed in range(2, 50))


def test_short_melodies_are_compared_as_a_whole() -> None:
    register = MelodyRegister()
    register.add("scale", notes_of([60, 62, 64]))
    assert register.known_as(notes_of([65, 67, 69])) == "scale"
    assert register.known_as(notes_of([60, 62, 63])) is None


def test_a_split_never_changes_when_a_collection_grows() -> None:
    keys = [f"piece {n}" for n in range(2000)]
    small, large = split_all(keys[:500]), split_all(keys)
    assert all(large[key] == small[key] == split_of(key) for key in keys[:500])
    counts = Counter(large.values())
    assert (
        abs(counts["train"] - 1200) < 100 and abs(counts["val"] - 300) < 60 and abs(counts["test"] - 500) < 80
    )


@given(st.sets(st.text(max_size=5), min_size=3, max_size=6))
def test_three_pieces_fill_three_splits(keys: set[str]) -> None:
    assert set(split_all(keys).values()) == {"train", "val", "test"}


def test_one_piece_is_for_training_two_for_testing_too() -> None:
    assert set(split_all(["a"]).values()) == {"train"}
    assert sorted(split_all(["a", "b"]).values()) == ["test", "train"]
