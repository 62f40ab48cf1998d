"""A paired corpus: the same piece on every instrument, aligned, level, in range, and never in two splits."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.audio.files import write_wav
from datamodules.audio.levels import mean_loudness_db
from datamodules.banks.nsynth import NSynthBank
from datamodules.banks.soundfont import SoundFontBank
from datamodules.corpora.corpus import Corpus, CorpusError
from datamodules.corpora.rendering import RenderedCorpus
from datamodules.scores.midi_folder import MidiFolder
from datamodules.scores.notes import Note, Score
from datamodules.scores.performance import Performance
from runtime.errors import UserError
from tests.datamodules.banks.test_soundfont import soundfont_with
from tests.datamodules.made_up import tune, write_midi


@pytest.fixture
def midis(tmp_path: Path) -> Path:
    for seed in range(3):
        write_midi(tmp_path / "midi" / f"tune{seed}.mid", tune(seed, n_notes=16))
    return tmp_path / "midi"


def test_every_piece_is_on_every_instrument_with_one_length(tiny_corpus: Corpus) -> None:
    lengths = defaultdict(set)
    for item in tiny_corpus.items:
        lengths[item.piece, item.bank].add((item.instrument, item.n_samples))
    for parts in lengths.values():
        assert {name for name, _ in parts} == set(tiny_corpus.instruments)
        assert len({length for _, length in parts}) == 1
        assert 8 * 16000 <= parts.pop()[1] <= 8.6 * 16000


def test_no_piece_is_in_two_splits_and_elsewhere_is_for_testing(tiny_corpus: Corpus) -> None:
    splits = defaultdict(set)
    for item in tiny_corpus.items:
        splits[item.work].add(item.split)
    assert all(len(names) == 1 for names in splits.values())
    assert {item.split for item in tiny_corpus.items if item.bank == "elsewhere"} == {"test"}
    here, there = (tiny_corpus.select("test", bank=bank) for bank in ("default", "elsewhere"))
    assert {(i.piece, i.instrument) for i in here} == {(i.piece, i.instrument) for i in there}


def test_onsets_coincide_on_all_instruments(tiny_corpus: Corpus) -> None:
    """The energy's rises correlate best at no shift, to 30 ms (attacks of programs differ by up to 16)."""
    piece = tiny_corpus.select("train", "monophonic")[0].piece
    items = [item for item in tiny_corpus.select("train") if item.piece == piece]
    hop = 160
    rises = []
    for item in items:
        audio = tiny_corpus.read(item)
        energy = np.log(np.square(audio[: len(audio) // hop * hop]).reshape(-1, hop).mean(axis=1) + 1e-6)
        rises.append(np.maximum(np.diff(energy), 0))
    for other in rises[1:]:
        correlation = np.correlate(rises[0] - rises[0].mean(), other - other.mean(), mode="full")
        assert abs(int(correlation.argmax()) - (len(other) - 1)) <= 3


def test_levels_are_equal_and_nothing_clips(tiny_corpus: Corpus) -> None:
    before, after = defaultdict(list), defaultdict(list)
    for item in tiny_corpus.select("train", "monophonic"):
        audio = tiny_corpus.read(item)
        assert np.abs(audio).max() <= 0.971
        before[item.instrument].append(item.loudness_db)
        after[item.instrument].append(mean_loudness_db(audio, tiny_corpus.sample_rate))
    spread = [
        max(map(np.mean, levels.values())) - min(map(np.mean, levels.values())) for levels in (before, after)
    ]
    assert spread[0] > 4 and spread[1] < 1.5


def test_the_same_request_has_the_same_address_and_any_other_another(midis: Path, tmp_path: Path) -> None:
    def folder(**changes: object) -> str:
        source = RenderedCorpus(
            **{"scores": MidiFolder(midis, seconds=2.0), "instruments": ["violin"], **changes}
        )
        return source.folder(tmp_path / "corpora", 16000).name

    first = folder()
    assert first == folder() == folder(bank=SoundFontBank(), instruments=("violin", "violin"))
    assert folder(instruments=["violin", "flute"]) != first
    assert folder(performance=Performance(transpose=1)) != first
    assert folder(seed=1) != first
    assert folder(scores=MidiFolder(midis, seconds=3.0)) != first
    write_midi(midis / "tune0.mid", tune(99))
    assert folder() != first, "a source file changed"


def test_renditions_vary_training_pieces_only(midis: Path, tmp_path: Path) -> None:
    def corpus_of(**changes: Any) -> Corpus:
        source = RenderedCorpus(MidiFolder(midis, seconds=2.0), instruments=["violin", "flute"], **changes)
        return source.prepare(tmp_path / "corpora", 16000, workers=1, progress=False)

    corpus, as_written = corpus_of(renditions=3), corpus_of()
    pieces = {split: sorted({i.piece for i in corpus.select(split)}) for split in ("train", "val", "test")}
    assert [len(pieces[split]) for split in ("train", "val", "test")] == [3, 1, 1]
    (base,) = {item.work for item in corpus.select("train")}
    assert pieces["train"] == [base, f"{base}~v2", f"{base}~v3"]
    first, second = (next(i for i in corpus.items if i.piece == name) for name in pieces["train"][:2])
    assert not np.array_equal(corpus.read(first)[:8000], corpus.read(second)[:8000])
    assert [i.is_varied for i in corpus.select("train", instrument="flute")] == [False, True, True]
    for item in as_written.items:
        (same,) = (other for other in corpus.items if other == item)
        assert np.array_equal(corpus.read(same), as_written.read(item))


def test_rendering_is_the_same_whatever_the_number_of_workers(midis: Path, tmp_path: Path) -> None:
    source = RenderedCorpus(MidiFolder(midis, seconds=2.0), instruments=["violin", "flute"])
    one, two = (source.prepare(tmp_path / f"{n}", 16000, workers=n, progress=False) for n in (1, 2))
    assert (one.root / "checksums.sha256").read_text() == (two.root / "checksums.sha256").read_text()
    assert one.items == two.items


def test_notes_missing_in_a_bank_are_left_out_everywhere_and_reported(nsynth: Path, tmp_path: Path) -> None:
    steps = [60, 62, 64, 60, 57] * 8
    melody = [Note(n / 4, n / 4 + 0.2, pitch, 80) for n, pitch in enumerate(steps)]
    write_midi(tmp_path / "midi" / "most.mid", sorted([*melody[:-1], Note(9.75, 9.9, 95, 80), *melody[:1]]))
    write_midi(tmp_path / "midi" / "none.mid", tune(5, shift=30))
    empty = "keyboard_electronic_001-060-050.wav"
    write_wav(nsynth / "audio" / empty, np.zeros(0), 16000)
    source = RenderedCorpus(
        MidiFolder(tmp_path / "midi"),
        NSynthBank(nsynth),
        ["guitar_acoustic", "keyboard_electronic"],
        performance=Performance(pitch_range=(0, 127)),
    )
    corpus = source.prepare(tmp_path / "corpora", 16000, workers=1, progress=False)
    assert {item.piece for item in corpus.items} == {"most"}
    reasons = (corpus.root / "skipped.csv").read_text()
    assert "most,a note was left out on every instrument: MIDI pitch 95" in reasons.replace('"', "")
    assert "notes are missing in a bank" in reasons
    assert any(row.startswith(empty) and "without samples" in row for row in reasons.splitlines())
    assert corpus.manifest["notes"] == [
        "The bank has no second sound for every instrument: no test piece is played from elsewhere."
    ]


def test_a_user_bank_as_the_second_one(midis: Path, nsynth: Path, tmp_path: Path) -> None:
    elsewhere = NSynthBank(nsynth, names={"violin": "guitar_acoustic_003"}, nearest=20)
    source = RenderedCorpus(MidiFolder(midis, seconds=2.0), instruments=["violin"], elsewhere=elsewhere)
    corpus = source.prepare(tmp_path / "corpora", 16000, workers=1, progress=False)
    assert len(corpus.select("test", bank="elsewhere")) == 1


def test_melodies_are_brought_into_what_all_instruments_can_play() -> None:
    source = RenderedCorpus(instruments=["violin", "flute", "trumpet"])
    assert source.performance.pitch_range == (60, 84)
    low = Score("low", "monophonic", tuple(tune(0, shift=-24)), "here", "train")
    played = source._played(low, 0)
    assert isinstance(played, tuple)
    assert all(60 <= note.pitch <= 84 for note in played[0].notes)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"instruments": ["violine"]}, "Did you mean 'violin'"),
        ({"instruments": []}, "No instruments were asked for"),
        ({"renditions": 0}, "renditions must be a positive whole number, not 0"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, not -1"),
        ({"loudness_db": float("nan")}, "loudness_db must be a finite number"),
        ({"most_missing": 2.0}, "most_missing must be a number from 0 to 1"),
        ({"bank": SoundFontBank(programs={"../x": 1}), "instruments": ["../x"]}, "cannot be an instrument"),
        ({"tracks": ["monophone"]}, "tracks must be 'monophonic', 'polyphonic' or both, got monophone"),
    ],
)
def test_wrong_requests_are_one_sentence(wrong: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        RenderedCorpus(**wrong)


def test_a_soundfont_without_what_is_asked_is_refused_and_without_neighbours_has_no_elsewhere(
    tmp_path: Path,
) -> None:
    bank = SoundFontBank(soundfont_with(tmp_path / "font.sf2", {0, 40}))
    with pytest.raises(CorpusError, match=r"no preset for General MIDI program 73 \(flute\)"):
        RenderedCorpus(bank=bank, instruments=["violin", "flute"])
    assert RenderedCorpus(bank=bank, instruments=["violin"]).elsewhere is None
    with pytest.raises(CorpusError, match=r"no preset for General MIDI program 73 \(flute\)"):
        RenderedCorpus(instruments=["flute"], elsewhere=bank)
