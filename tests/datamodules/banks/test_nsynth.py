"""Notes of a made-up NSynth (sines of known pitch) end up at the right time, pitch and length."""

import json
from pathlib import Path

import numpy as np
import pytest

from datamodules.audio.files import write_wav
from datamodules.banks.nsynth import NSynthBank, recordings_in
from datamodules.corpora.corpus import CorpusError
from datamodules.scores.notes import Note
from runtime.hashing import FileHashes
from tests.datamodules.made_up import hz_of

RATE = 16000


def strongest_hz(audio: np.ndarray) -> float:
    return (
        float(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 8 * len(audio))).argmax())
        * RATE
        / 8
        / len(audio)
    )


def test_pitch_time_velocity_and_length(nsynth: Path) -> None:
    notes = [Note(0.5, 1.5, 57, 60), Note(2.0, 3.0, 64, 90)]
    audio = NSynthBank(nsynth).render(notes, "guitar_acoustic", RATE, 4.0)
    assert audio.shape == (4 * RATE,)
    assert not audio[: RATE // 2].any() and np.abs(audio[RATE // 2 : RATE]).max() == pytest.approx(
        0.25, abs=0.01
    )
    assert np.abs(audio[2 * RATE : 3 * RATE]).max() == pytest.approx(0.5, abs=0.01)
    assert strongest_hz(audio[RATE // 2 : 3 * RATE // 2]) == pytest.approx(hz_of(57), abs=0.5)
    assert strongest_hz(audio[2 * RATE : 3 * RATE]) == pytest.approx(hz_of(64), abs=0.5)
    assert not audio[round(1.81 * RATE) : 2 * RATE].any(), "the note ends 0.3 s after its end"


def test_a_missing_pitch_is_the_nearest_shifted_in_tune_and_a_far_one_is_missing(nsynth: Path) -> None:
    bank = NSynthBank(nsynth, nearest=2)
    audio = bank.render([Note(0, 1, 62, 100)], "guitar_acoustic", RATE, 1.0)
    assert strongest_hz(audio) == pytest.approx(hz_of(62), abs=0.5)
    far = Note(0, 1, 70, 100)
    assert bank.missing([Note(0, 1, 66, 100), far], "guitar_acoustic") == (far,)
    assert not bank.render([far], "guitar_acoustic", RATE, 1.0).any()


def test_a_note_played_twice_is_the_same_twice_and_the_last_note_is_kept(nsynth: Path) -> None:
    notes = [Note(0, 0.2, 60, 100), Note(1, 1.2, 60, 100), Note(1.9, 5.0, 60, 100)]
    audio = NSynthBank(nsynth).render(notes, "guitar_acoustic", RATE, 2.0)
    np.testing.assert_array_equal(audio[: RATE // 2], audio[RATE : RATE + RATE // 2])
    assert np.abs(audio[round(1.9 * RATE) :]).max() > 0.4


def test_instruments_presets_names_and_qualities(nsynth: Path) -> None:
    bank = NSynthBank(nsynth)
    assert bank.instruments == ("guitar_acoustic", "keyboard_electronic")
    hashes = FileHashes()
    chosen = bank.fingerprint(hashes, ["guitar_acoustic"])["names"]
    assert chosen == {"guitar_acoustic": "guitar_acoustic_003"}
    assert NSynthBank(nsynth, preset=10).instruments == ("guitar_acoustic",)
    piano = NSynthBank(nsynth, names={"piano": "keyboard_electronic_001"})
    assert "piano" in piano.instruments and piano.pitch_range("piano") == (57, 64)
    bright = NSynthBank(nsynth, quality="bright").render([Note(0, 1, 60, 50)], "guitar_acoustic", RATE, 1.0)
    assert np.abs(bright).max() == pytest.approx(0.5, abs=0.01)


def test_elsewhere_is_another_preset_where_every_family_has_one(nsynth: Path) -> None:
    assert NSynthBank(nsynth).elsewhere() is None, "there is one keyboard only"
    for path in (nsynth / "audio").glob("keyboard*"):
        path.unlink()
    recordings_in.cache_clear()
    other = NSynthBank(nsynth).elsewhere()
    assert other is not None
    assert other.fingerprint(FileHashes(), ["guitar_acoustic"])["names"] == {
        "guitar_acoustic": "guitar_acoustic_010"
    }


def test_wrong_folders_and_names_are_one_sentence(
    nsynth: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(CorpusError, match="holds no NSynth notes"):
        NSynthBank(tmp_path_factory.mktemp("empty"))
    with pytest.raises(CorpusError, match="There is no folder"):
        NSynthBank(nsynth / "none")
    with pytest.raises(CorpusError, match="has no instrument organ_electronic_001"):
        NSynthBank(nsynth, names={"organ": "organ_electronic_001"})
    with pytest.raises(CorpusError, match="with the quality 'percussive'"):
        NSynthBank(nsynth, quality="percussive")


def test_a_damaged_list_of_examples_is_one_sentence(nsynth: Path) -> None:
    note = "guitar_acoustic_003-057-050"
    wrong = [{"qualities_str": None}, {"qualities_str": "bright"}, {"qualities_str": 1}, [], None]
    contents = {
        "is damaged": ("", f'{{"{note}": {{"qualities_str": ["bri', "\udcff"),
        "is no mapping": ("[1, 2]", "null"),
        f"has no list 'qualities_str' for the note {note}": [json.dumps({note: value}) for value in wrong],
    }
    for reason, texts in contents.items():
        for text in texts:
            (nsynth / "examples.json").write_text(text, errors="surrogateescape")
            with pytest.raises(CorpusError, match=rf"^[^\n]*examples\.json {reason}[^\n]*copy [^\n]*$"):
                NSynthBank(nsynth, quality="bright")


def test_notes_that_cannot_be_read_are_left_out_and_named(nsynth: Path) -> None:
    names = [
        f"guitar_acoustic_003-{pitch:03d}-{velocity:03d}.wav" for pitch, velocity in ((57, 50), (64, 100))
    ]
    write_wav(nsynth / "audio" / names[0], np.zeros(0), RATE)
    (nsynth / "audio" / names[1]).unlink()
    (nsynth / "audio" / names[1]).mkdir()
    for velocity in (50, 100):
        (nsynth / "audio" / f"guitar_acoustic_003-060-{velocity:03d}.wav").write_bytes(b"RIFF")
    recordings_in.cache_clear()
    bank, damaged = NSynthBank(nsynth, nearest=0).without_damaged(["guitar_acoustic"], 1, progress=False)
    assert {source: reason.partition(" ")[2] for source, reason in damaged}.keys() >= set(names)
    assert len(damaged) == 4 and "without samples" in dict(damaged)[names[0]]
    soft, lost = Note(0, 1, 57, 50), Note(1, 2, 60, 50)
    assert bank.missing([soft, lost, Note(2, 3, 64, 100)], "guitar_acoustic") == (lost,)
    audio = bank.render([soft], "guitar_acoustic", RATE, 1.0)
    assert np.abs(audio).max() == pytest.approx(0.5, abs=0.01), "the loud recording of the pitch is left"
    assert bank.pitch_range("guitar_acoustic") == (57, 64)


def test_real_notes(shared_data: Path) -> None:
    bank = NSynthBank(shared_data / "nsynth_cc0")
    assert bank.instruments == ("guitar_acoustic", "keyboard_acoustic", "reed_acoustic", "string_acoustic")
    audio = bank.render([Note(0, 1, 60, 100), Note(1, 2, 64, 100)], "string_acoustic", RATE, 2.0)
    harmonic = strongest_hz(audio[4000:14000]) / hz_of(60)
    assert harmonic == pytest.approx(round(harmonic), abs=0.02)
