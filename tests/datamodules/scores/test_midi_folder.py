"""MIDI folders: what is read, what is skipped and why, and that no melody is in two splits."""

import shutil
from pathlib import Path

import pretty_midi
import pytest

from datamodules.corpora.corpus import CorpusError
from datamodules.scores.midi_folder import MidiFolder
from datamodules.scores.notes import Note, Score
from datamodules.scores.source import ScoreSet, readable_name, unique_names
from runtime.hashing import FileHashes
from tests.datamodules.made_up import tune, write_midi


def load(folder: MidiFolder, cache: Path) -> ScoreSet:
    return folder.load(cache, FileHashes(), workers=1, progress=False)


@pytest.fixture
def midis(tmp_path: Path) -> Path:
    """Twelve tunes in subfolders, one of them three times, and files that are no tunes."""
    root = tmp_path / "midi"
    for seed in range(12):
        write_midi(root / f"book {seed % 2}" / f"tune {seed}.mid", tune(seed))
    write_midi(root / "zz transposed.MIDI", tune(3, shift=5))
    write_midi(root / "zz part.mid", tune(3)[10:40])
    (root / "zz broken.mid").write_bytes(b"MThd\0\0\0\x06 this is no MIDI")
    (root / "zz empty.mid").touch()
    return root


def test_every_melody_is_taken_once_and_the_rest_is_explained(midis: Path, tmp_path: Path) -> None:
    scores = load(MidiFolder(midis), tmp_path)
    assert len(scores.scores) == 12
    assert {score.split for score in scores.scores} == {"train", "val", "test"}
    reasons = dict(scores.skipped)
    assert reasons["zz transposed.MIDI"] == reasons["zz part.mid"] == "the same melody as book-1-tune-3"
    assert reasons["zz broken.mid"].startswith("not a readable MIDI file")
    assert reasons["zz empty.mid"].startswith("not a readable MIDI file")


def test_splits_do_not_change_when_files_are_added(midis: Path, tmp_path: Path) -> None:
    before = {score.piece: score.split for score in load(MidiFolder(midis), tmp_path).scores}
    for seed in range(100, 110):
        write_midi(midis / f"new {seed}.mid", tune(seed))
    after = {score.piece: score.split for score in load(MidiFolder(midis), tmp_path).scores}
    assert len(after) == 22 and before.items() <= after.items()


def test_folders_named_as_splits_decide_and_a_test_melody_is_not_trained_on(tmp_path: Path) -> None:
    for split, seeds in {"train": (1, 2, 3), "val": (4,), "test": (5, 1)}.items():
        for seed in seeds:
            write_midi(tmp_path / "midi" / split / f"{seed}.mid", tune(seed))
    scores = load(MidiFolder(tmp_path / "midi"), tmp_path)
    splits = {score.piece: score.split for score in scores.scores}
    assert splits == {
        "train-2": "train",
        "train-3": "train",
        "val-4": "val",
        "test-5": "test",
        "test-1": "test",
    }
    assert scores.skipped == (("train/1.mid", "the same melody as test-1"),)


def test_drums_are_left_out_and_drums_alone_are_nothing(tmp_path: Path) -> None:
    for name, parts in {"band": (False, True), "drums": (True,)}.items():
        midi = pretty_midi.PrettyMIDI()
        for is_drum in parts:
            part = pretty_midi.Instrument(0, is_drum=is_drum)
            part.notes = [pretty_midi.Note(80, 36 if is_drum else 60, n, n + 0.5) for n in range(5)]
            midi.instruments.append(part)
        midi.write(str(tmp_path / f"{name}.mid"))
    scores = load(MidiFolder(tmp_path), tmp_path)
    assert [{note.pitch for note in score.notes} for score in scores.scores] == [{60}]
    assert scores.skipped == (("drums.mid", "no notes besides drums"),)


def test_excerpts_of_a_piece_follow_each_other_and_share_its_split(tmp_path: Path) -> None:
    write_midi(tmp_path / "long.mid", tune(0, n_notes=60))
    parts = load(MidiFolder(tmp_path, seconds=4.0, excerpts=3), tmp_path).scores
    assert [part.piece for part in parts] == ["long~001", "long~002", "long~003"]
    assert len({part.split for part in parts}) == 1
    pitches = [note.pitch for part in parts for note in part.notes]
    assert pitches == [note.pitch for note in tune(0)[:48]]
    assert all(part.notes[0].start_s == 0 and part.notes[-1].end_s == pytest.approx(4.0) for part in parts)
    whole = load(MidiFolder(tmp_path, seconds=None), tmp_path).scores
    assert len(whole) == 1 and len(whole[0].notes) == 60


def test_tracks_are_recognised(tmp_path: Path) -> None:
    write_midi(tmp_path / "melody.mid", tune(0))
    write_midi(tmp_path / "chords.mid", sorted([*tune(1), *tune(2, shift=-24)]))
    scores = load(MidiFolder(tmp_path), tmp_path).scores
    assert {score.piece: score.track for score in scores} == {"melody": "monophonic", "chords": "polyphonic"}


def test_note_lists_are_read_again_without_the_midi_reader(midis: Path, tmp_path: Path) -> None:
    first = load(MidiFolder(midis), tmp_path)
    (cached,) = tmp_path.glob("notes-*.json")
    assert ScoreSet.from_json(cached.read_text()) == first == load(MidiFolder(midis), tmp_path)
    (midis / "zz empty.mid").unlink()
    load(MidiFolder(midis), tmp_path)
    assert len(list(tmp_path.glob("notes-*.json"))) == 2, "another folder, another list"


def test_a_folder_without_midi_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no MIDI file"):
        MidiFolder(tmp_path).files()
    with pytest.raises(CorpusError, match="is not a folder"):
        MidiFolder(tmp_path / "none").files()


def test_names_keep_letters_of_any_alphabet_and_stay_different() -> None:
    assert readable_name("скрипка 録音 (1)") == "скрипка-録音-1"
    assert readable_name("../..//") == "unnamed"
    assert unique_names([Path("a b"), Path("a-b"), Path("A b")]) == ["a-b", "a-b-2", "A-b-3"]


def test_a_score_survives_json() -> None:
    score = Score("é", "monophonic", (Note(0.0, 1.5, 60, 3),), "x", "val")
    assert ScoreSet.from_json(ScoreSet((score,), ()).to_json()).scores == (score,)


def test_real_piano_pieces(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "midi" / "burgm", tmp_path / "burgm")
    scores = load(MidiFolder(tmp_path / "burgm", seconds=10.0), tmp_path).scores
    assert len(scores) == 9 and {score.track for score in scores} == {"polyphonic"}
    assert all(9 < max(note.end_s for note in score.notes) <= 10 for score in scores)
