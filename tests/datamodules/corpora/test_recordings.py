"""Folders of recordings: good ones arrive unharmed, bad ones are listed with their reason."""

import csv
import math
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from datamodules.audio.files import write_wav
from datamodules.audio.levels import mean_loudness_db
from datamodules.corpora.corpus import Corpus, CorpusError, Item
from datamodules.corpora.recording_parts import Filters
from datamodules.corpora.recordings import RecordingsCorpus
from runtime.errors import UserError

RATE = 16000


def take(seed: int, seconds: float = 2.0, rate: int = RATE, amplitude: float = 0.3) -> np.ndarray:
    """A tone of its own pitch with a little noise, so that no two takes are alike."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * (300 + 40 * seed) * time_s) + 0.001 * rng.normal(size=len(time_s))


def build(root: Path, to: Path, **options: object) -> Corpus:
    return RecordingsCorpus(root, **options).prepare(to, RATE, workers=1, progress=False)


def skipped(corpus: Corpus) -> dict[str, str]:
    with (corpus.root / "skipped.csv").open(encoding="utf-8") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two instruments, five takes each."""
    for name, first in {"flute": 0, "own guitar": 5}.items():
        for seed in range(first, first + 5):
            write_wav(tmp_path / "in" / name / f"take {seed}.wav", take(seed), RATE)
    return tmp_path / "in"


def test_recordings_are_split_as_a_whole_and_every_instrument_is_in_every_split(
    root: Path, tmp_path: Path
) -> None:
    corpus = build(root, tmp_path / "out", part_s=1.0)
    assert corpus.instruments == ("flute", "own guitar")
    splits: dict[str, set[str]] = {}
    for item in corpus.items:
        splits.setdefault(item.work, set()).add(item.split)
        assert item.n_samples == RATE
    assert len(splits) == 10 and all(len(names) == 1 for names in splits.values())
    for split in ("train", "val", "test"):
        assert {item.instrument for item in corpus.select(split)} == {"flute", "own guitar"}
    assert sorted(i.piece for i in corpus.items if i.work == "flute-take-0") == [
        "flute-take-0~001",
        "flute-take-0~002",
    ]


def test_parts_put_together_are_the_recording(root: Path, tmp_path: Path) -> None:
    corpus = build(root, tmp_path / "out", part_s=0.7, loudness_db=None, filters=Filters(shortest_s=0.1))
    parts = sorted(
        (item for item in corpus.items if item.work == "flute-take-0"), key=lambda item: item.piece
    )
    assert len(parts) == 3 and max(item.n_samples for item in parts) <= 0.7 * RATE
    joined = np.concatenate([corpus.read(item) for item in parts])
    np.testing.assert_allclose(joined, take(0), atol=1 / 32768)


def test_levels_are_made_equal_with_one_gain_a_recording(tmp_path: Path) -> None:
    fading = np.concatenate([take(0, 1.0, amplitude=0.02), take(0, 1.0, amplitude=0.2)])
    write_wav(tmp_path / "in" / "flute" / "a.wav", fading, RATE)
    corpus = build(tmp_path / "in", tmp_path / "out", part_s=1.0)
    soft, loud = (mean_loudness_db(corpus.read(item), RATE) for item in corpus.items)
    assert loud - soft == pytest.approx(20, abs=0.5), "dynamics stay"
    assert (soft + loud) / 2 == pytest.approx(-23, abs=0.5)


@pytest.mark.parametrize(("rate", "subtype"), [(8000, "PCM_16"), (96000, "PCM_24"), (44100, "FLOAT")])
def test_any_rate_and_width_arrives_in_tune(tmp_path: Path, rate: int, subtype: str) -> None:
    (tmp_path / "in" / "flute").mkdir(parents=True)
    soundfile.write(tmp_path / "in" / "flute" / "a.wav", take(4, rate=rate), rate, subtype=subtype)
    corpus = build(tmp_path / "in", tmp_path / "out")
    audio = corpus.read(corpus.items[0])
    assert len(audio) == 2 * RATE
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    assert spectrum.argmax() / 2 == pytest.approx(460, abs=0.5)


def test_stereo_is_mixed_or_kept_as_asked_and_never_silently(tmp_path: Path) -> None:
    channels = np.stack([take(0), take(1)], axis=1)
    (tmp_path / "in" / "flute").mkdir(parents=True)
    soundfile.write(tmp_path / "in" / "flute" / "a.wav", channels, RATE, subtype="PCM_24")
    mixed = build(tmp_path / "in", tmp_path / "out", loudness_db=None)
    np.testing.assert_allclose(mixed.read(mixed.items[0]), channels.mean(axis=1), atol=1e-4)
    assert "1 of 1 recordings have several channels: mixed to one" in mixed.manifest["notes"][0]
    kept = build(tmp_path / "in", tmp_path / "out", loudness_db=None, mix_channels=False)
    assert [item.piece for item in kept.items] == ["flute-a~c1", "flute-a~c2"]
    for n, item in enumerate(kept.items):
        np.testing.assert_allclose(kept.read(item), channels[:, n], atol=1e-4)
    assert "kept as separate parts" in kept.manifest["notes"][0]


def test_everything_that_is_skipped_is_listed_with_its_reason(root: Path, tmp_path: Path) -> None:
    flute = root / "flute"
    (flute / "empty.wav").touch()
    (flute / "text.wav").write_text("these are words")
    (flute / "notes.txt").write_text("mic: 30 cm")
    (flute / "truncated.wav").write_bytes((flute / "take 0.wav").read_bytes()[:5000])
    for name, audio in {
        "nan": np.full(RATE * 2, np.nan),
        "zeros": np.zeros(RATE * 2),
        "ten samples": np.ones(10) / 2,
        "clipped": np.sign(take(1)),
        "whisper": take(1, amplitude=1e-4) / 50,
    }.items():
        soundfile.write(flute / f"{name}.wav", audio, RATE, subtype="FLOAT")
    shutil.copy(flute / "take 0.wav", flute / "a copy.wav")
    reasons = skipped(build(root, tmp_path / "out"))
    for name, reason in {
        "empty.wav": "is empty (0 bytes)",
        "text.wav": "is not an audio file",
        "notes.txt": "not named like an audio file",
        "truncated.wav": "is truncated",
        "nan.wav": "NaN or infinite",
        "zeros.wav": "silent: all samples are zero",
        "ten samples.wav": "too short: 0.000625 s, at least 1 s are needed",
        "clipped.wav": "clipped: 100.0% of its samples",
        "whisper.wav": "silent: 0% of it sounds",
        "take 0.wav": "a copy of flute/a copy.wav",
    }.items():
        assert reason in reasons.pop(f"flute/{name}")
    assert not reasons


def test_a_silent_stretch_of_a_good_recording_is_left_out(tmp_path: Path) -> None:
    audio = np.concatenate([take(0, 1.0), np.zeros(RATE), take(1, 1.0)])
    write_wav(tmp_path / "in" / "flute" / "a.wav", audio, RATE)
    corpus = build(tmp_path / "in", tmp_path / "out", part_s=1.0)
    assert [item.piece for item in corpus.items] == ["flute-a~001", "flute-a~003"]
    assert skipped(corpus)["flute/a.wav"].startswith("1.0 s to 2.0 s: silent")


def test_folders_decide_the_split_and_a_copy_in_train_of_a_test_file_is_dropped(tmp_path: Path) -> None:
    for split, seeds in {"train": (0, 1), "val": (2,), "test": (3, 0)}.items():
        for seed in seeds:
            write_wav(tmp_path / "in" / split / "flute" / f"{seed}.wav", take(seed), RATE)
    corpus = build(tmp_path / "in", tmp_path / "out")
    assert sorted((item.split, item.piece) for item in corpus.items) == [
        ("test", "flute-0"), ("test", "flute-3"), ("train", "flute-1"), ("val", "flute-2"),
    ]  # fmt: skip
    assert skipped(corpus) == {"train/flute/0.wav": "a copy of test/flute/0.wav"}


def test_a_length_that_a_header_cannot_know_refuses_nothing(root: Path, tmp_path: Path) -> None:
    """FLAC from a pipe has no length; a WAV header may state four gigabytes that are not there."""
    soundfile.write(root / "flute" / "pipe.flac", take(20), RATE)
    flac = bytearray((root / "flute" / "pipe.flac").read_bytes())
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])  # 36 bits of STREAMINFO: total samples, 0 is unknown
    (root / "flute" / "pipe.flac").write_bytes(flac)
    write_wav(root / "flute" / "large.wav", take(21), RATE)
    wav = bytearray((root / "flute" / "large.wav").read_bytes())
    wav[4:8] = wav[40:44] = struct.pack("<I", 0x7FFFF000)
    (root / "flute" / "large.wav").write_bytes(wav)
    corpus = build(root, tmp_path / "out")
    lengths = {item.piece: item.n_samples for item in corpus.items}
    assert lengths["flute-pipe"] == lengths["flute-large"] == 2 * RATE and not skipped(corpus)


def test_links_are_followed_and_loops_and_stray_files_are_listed(root: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "elsewhere" / "take.wav", take(20), RATE)
    (root / "flute" / "day 2").symlink_to(tmp_path / "elsewhere")
    (root / "flute" / "again").symlink_to(root / "flute")
    (root / "flute" / "self.wav").symlink_to("self.wav")
    (root / "flute" / "._take 0.wav").write_bytes(b"macOS")
    write_wav(root / "stray.wav", take(21), RATE)
    corpus = build(root, tmp_path / "out")
    assert "flute-take" in {item.piece for item in corpus.items} and len(corpus.items) == 11
    assert skipped(corpus) == {
        "flute/again": "a symbolic link to a folder that is searched already",
        "flute/self.wav": "a loop of symbolic links",
        "stray.wav": "not in the folder of an instrument",
    }


def test_corpora_among_the_recordings_are_no_instrument(root: Path) -> None:
    first, second = (build(root, root / "corpora") for _ in range(2))
    assert first.root == second.root and second.instruments == ("flute", "own guitar")
    parts = RecordingsCorpus(root, part_s=1.0)
    reasons = dict(parts._search()[1])
    assert parts.instruments == second.instruments and reasons == {
        f"corpora/{first.root.name}": "a corpus, and no recordings"
    }


def test_names_that_are_long_or_no_text_become_names_that_every_tool_reads(tmp_path: Path) -> None:
    names = ["n" * 250, "two\nlines", os.fsdecode(b"no text \xff")]
    for seed, name in enumerate(names):
        write_wav(tmp_path / "in" / name / f"{'t' * 242}.wav", take(seed), RATE)
        (tmp_path / "in" / name / os.fsdecode(b"\xfe.txt")).touch()
    corpus = build(tmp_path / "in", tmp_path / "out")
    assert corpus.instruments == ("n" * 250, "no text -", "two-lines")
    assert RecordingsCorpus(tmp_path / "in", instruments=["two-lines"]).instruments == ("two-lines",)
    assert Corpus.open(corpus.root).items == corpus.items and len(skipped(corpus)) == 3
    subprocess.run(["sha256sum", "--check", "--quiet", "checksums.sha256"], cwd=corpus.root, check=True)
    assert build(tmp_path / "in", tmp_path / "out").root == corpus.root


@pytest.mark.parametrize(
    "options",
    [
        *({"part_s": bad} for bad in (math.nan, math.inf, 0, -1, 0.5)),
        *({"loudness_db": bad} for bad in (math.nan, math.inf)),
        *({"shares": bad} for bad in ((math.nan, 0.5, 0.5), (1.5, -0.5, 0), (0.5, 0.1, 0.1))),
    ],
)
def test_numbers_out_of_their_ranges_are_one_sentence(root: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^(The )?(part_s|loudness_db|shares? of)[^\n]*\.$"):
        RecordingsCorpus(root, **options)


def test_names_of_any_alphabet_and_equal_names_stay_apart(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "скрипка"
    for seed, name in enumerate(["録音 1.wav", "録音-1.wav", "day 2/録音 1.wav"]):
        write_wav(folder / name, take(seed), RATE)
    corpus = build(tmp_path / "in", tmp_path / "out")
    assert len({item.piece for item in corpus.items}) == 3
    assert all(corpus.audio_path(item).is_file() for item in corpus.items)
    assert Corpus.open(corpus.root).items == corpus.items


def clock(seconds: float, first_s: float = 0.0, last_s: float | None = None) -> np.ndarray:
    """A tone between two moments whose level tells, at every moment, how late it is."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    level = 0.1 + 0.5 * time_s / seconds
    sounds = (time_s >= first_s) & (time_s < (last_s or seconds))
    return level * sounds * np.sin(2 * np.pi * 440 * time_s)


def moments(corpus: Corpus, item: Item, seconds: float) -> tuple[float, float]:
    """The moments of a `clock` of ``seconds`` at which an item begins and ends."""
    audio = np.abs(corpus.read(item))
    ends = audio[: RATE // 50].max(), audio[-RATE // 50 :].max()
    return tuple(seconds * (float(level) - 0.1) / 0.5 for level in ends)


@pytest.mark.parametrize("n_takes", [1, 3])
def test_a_few_takes_are_cut_by_time_and_most_of_the_music_trains(tmp_path: Path, n_takes: int) -> None:
    for n in range(n_takes):  # of other lengths, since copies are used once
        write_wav(tmp_path / "in" / "flute" / f"{n}.wav", clock(60 + n), RATE)
    corpus = build(tmp_path / "in", tmp_path / "out", part_s=20.0, loudness_db=None)
    for n in range(n_takes):
        by_split = {
            split: sorted(
                (moments(corpus, i, 60 + n) for i in corpus.select(split) if i.work == f"flute-{n}"),
            )
            for split in ("train", "val", "test")
        }
        assert [len(parts) for parts in by_split.values()] == [3, 1, 1]
        (train_start, *_, train_end), [(val_start, val_end)], [(test_start, test_end)] = (
            [moment for part in by_split["train"] for moment in part],
            by_split["val"],
            by_split["test"],
        )
        music_s = 60 + n - 2 * 2.0
        assert train_start == pytest.approx(0, abs=0.2) and test_end == pytest.approx(60 + n, abs=0.2)
        assert val_start - train_end == pytest.approx(2.0, abs=0.2), "no note is in two splits"
        assert test_start - val_end == pytest.approx(2.0, abs=0.2)
        lengths = [train_end - train_start, val_end - val_start, test_end - test_start]
        assert np.array(lengths) / music_s == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    [note] = corpus.manifest["notes"]
    assert f"flute has {n_takes} recording" in note and "80% for train" in note and "10% for test" in note


def test_silence_around_a_take_is_not_what_is_held_out(tmp_path: Path) -> None:
    write_wav(tmp_path / "in" / "flute" / "a.wav", clock(60, 10, 50), RATE)
    corpus = build(tmp_path / "in", tmp_path / "out", part_s=60.0, loudness_db=None)
    found = {item.split: moments(corpus, item, 60) for item in corpus.items}
    assert found["train"][0] == pytest.approx(10, abs=0.2) and found["test"][1] == pytest.approx(50, abs=0.2)
    assert found["test"][1] - found["test"][0] == pytest.approx(3.6, abs=0.2)


def test_shares_and_short_takes_of_cut_recordings(tmp_path: Path) -> None:
    write_wav(tmp_path / "in" / "flute" / "a.wav", clock(6), RATE)
    seconds = {i.split: i.n_samples / RATE for i in build(tmp_path / "in", tmp_path / "a").items}
    assert min(seconds.values()) >= 0.5 and seconds["train"] > 0.7 * 6
    no_test = build(tmp_path / "in", tmp_path / "b", shares=(0.5, 0.5, 0.0))
    assert [item.split for item in no_test.items] == ["train", "val"]


def test_ten_recordings_are_split_as_wholes_and_folders_of_splits_are_what_they_say(tmp_path: Path) -> None:
    for n in range(10):
        write_wav(tmp_path / "in" / "flute" / f"{n}.wav", clock(6 + n / 10), RATE)
    corpus = build(tmp_path / "in", tmp_path / "out")
    assert [item.n_samples for item in corpus.select(instrument="flute")] and len(corpus.items) == 10
    for split in ("train", "test"):
        write_wav(tmp_path / "own" / split / "flute" / "a.wav", clock(7 + len(split)), RATE)
    corpus = build(tmp_path / "own", tmp_path / "out")
    assert sorted(item.split for item in corpus.items) == ["test", "train"]
    assert corpus.manifest["notes"] == ["flute has no recordings in the folders for val."]


def test_wrong_folders_and_names_are_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not a folder"):
        RecordingsCorpus(tmp_path / "none")
    (tmp_path / "empty" / "flute").mkdir(parents=True)
    with pytest.raises(CorpusError, match="holds no audio: expected a folder per instrument"):
        RecordingsCorpus(tmp_path / "empty")
    with pytest.raises(CorpusError, match=r"no instrument 'own guitr' in .*Did you mean 'own guitar'"):
        RecordingsCorpus(root, instruments=["own guitr"])
    (root / "train").mkdir()
    with pytest.raises(CorpusError, match=r"has folders of splits \(train\) with others"):
        RecordingsCorpus(root)


def test_an_instrument_without_usable_recordings_is_one_sentence(root: Path, tmp_path: Path) -> None:
    (root / "tuba").mkdir()
    (root / "tuba" / "a.wav").write_text("soon")
    with pytest.raises(CorpusError, match=r"no usable audio of tuba: skipped tuba/a\.wav"):
        build(root, tmp_path / "out")


def test_real_recordings(shared_data: Path, tmp_path: Path) -> None:
    for name, instrument in {"trumpet_solo06_sorohanro": "trumpet", "flute_note_C4_tinysol": "flute"}.items():
        (tmp_path / "in" / instrument).mkdir(parents=True)
        shutil.copy(shared_data / "phrases" / f"{name}.flac", tmp_path / "in" / instrument)
    corpus = build(tmp_path / "in", tmp_path / "out")
    levels = {item.instrument: mean_loudness_db(corpus.read(item), RATE) for item in corpus.items}
    assert set(levels) == {"trumpet", "flute"}
    assert all(level == pytest.approx(-23, abs=2) for level in levels.values()), "the flute was at −41 dB"
