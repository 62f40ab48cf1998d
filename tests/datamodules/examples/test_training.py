from dataclasses import replace

import numpy as np
import pytest

from datamodules.corpora.corpus import Corpus, CorpusError, NoPairsError
from datamodules.examples.augmentation import Augmentation, Gain
from datamodules.examples.batching import ExampleKey
from datamodules.examples.training import (
    PairedData,
    Selection,
    SelfReferenceData,
    UnpairedData,
    is_silent,
    padded,
)
from datamodules.examples.training_with_features import FeatureData, PairedFeatureData
from datamodules.features.frames import FeatureCache
from datamodules.features.pitch import PestoTracker

KEYS = [ExampleKey(epoch, number) for epoch in range(2) for number in range(10)]


@pytest.fixture
def selection(tiny_corpus: Corpus) -> Selection:
    names = tiny_corpus.instruments
    return Selection(tiny_corpus, names, names, names, ["monophonic"], segment_s=1.0, reference_s=1.5)


def piece_audio(corpus: Corpus, piece: str, instrument: str) -> np.ndarray:
    [item] = [i for i in corpus.select("train", instrument=instrument) if i.piece == piece]
    return corpus.read(item)


def places(segment: np.ndarray, whole: np.ndarray) -> list[int]:
    """Where ``segment`` stands in ``whole``, exactly."""
    windows = np.lib.stride_tricks.sliding_window_view(whole, len(segment))
    candidates = np.flatnonzero(windows[:, len(segment) // 2] == segment[len(segment) // 2])
    return [int(place) for place in candidates if np.array_equal(windows[place], segment)]


def test_a_pair_is_one_segment_of_one_piece_on_two_instruments(selection: Selection) -> None:
    data = PairedData(selection)
    for key in KEYS:
        example = data[key]
        source, target = (
            selection.instruments[i] for i in (example.source_instrument, example.target_instrument)
        )
        assert source != target
        in_source = places(example.source, piece_audio(selection.corpus, example.piece, source))
        in_target = places(example.target, piece_audio(selection.corpus, example.piece, target))
        assert set(in_source) & set(in_target)


@pytest.mark.parametrize("kind", [PairedData, UnpairedData])
def test_a_reference_is_another_piece_on_the_target_instrument(selection: Selection, kind) -> None:
    data = kind(selection)
    for key in KEYS:
        example = data[key]
        assert example.reference_piece != example.piece
        instrument = selection.instruments[example.target_instrument]
        assert places(example.reference, piece_audio(selection.corpus, example.reference_piece, instrument))
        assert len(example.reference) == 24000


def test_unpaired_examples_have_no_target(selection: Selection) -> None:
    example = UnpairedData(selection)[ExampleKey(0, 0)]
    assert example.target is None and example.source_instrument != example.target_instrument


@pytest.mark.parametrize("kind", [PairedData, UnpairedData, SelfReferenceData])
def test_an_example_depends_on_seed_epoch_and_number_only(selection: Selection, kind) -> None:
    augmented = replace(selection, augmentation=Augmentation(shared=[Gain()], reference=[Gain()]))
    first, second = kind(augmented), kind(augmented)
    for key in reversed(KEYS):
        second[key]
    for key in KEYS:
        one, other = first[key], second[key]
        assert np.array_equal(one.source, other.source) and np.array_equal(one.reference, other.reference)
    sources = {first[key].source.tobytes() for key in KEYS}
    assert len(sources) > len(KEYS) // 2
    assert not np.array_equal(kind(replace(augmented, seed=1))[KEYS[0]].source, first[KEYS[0]].source)


def test_only_training_pieces_are_used(selection: Selection) -> None:
    held_out = {item.piece for split in ("val", "test") for item in selection.corpus.select(split)}
    data = UnpairedData(selection)
    examples = [data[ExampleKey(0, number)] for number in range(60)]
    assert held_out and not held_out & {example.piece for example in examples}
    assert not held_out & {example.reference_piece for example in examples}


def test_self_supervised_examples_keep_the_notes_and_change_the_timbre(selection: Selection) -> None:
    example = SelfReferenceData(selection)[ExampleKey(0, 3)]
    assert example.source_instrument == example.target_instrument and example.piece == example.reference_piece
    spectra = [np.abs(np.fft.rfft(audio)) for audio in (example.source, example.target)]
    ratio_db = 20 * np.log10((spectra[0] + 1e-3) / (spectra[1] + 1e-3))
    assert np.std(ratio_db) > 1.0
    strongest = [set(np.argsort(spectrum)[-10:] // 8) for spectrum in spectra]
    assert strongest[0] & strongest[1]


def test_features_belong_to_their_segment(selection: Selection) -> None:
    selection = replace(selection, target_instruments=["violin"])
    cache = FeatureCache(selection.corpus, PestoTracker())
    cache.build(selection.corpus.select("train", "monophonic", "violin"), workers=1, progress=False)
    example = FeatureData(selection, cache)[ExampleKey(0, 0)]
    assert np.array_equal(example.source, example.target)
    item = next(i for i in selection.corpus.select("train", instrument="violin") if i.piece == example.piece)
    [start] = places(example.source, selection.corpus.read(item))
    assert start % 64 == 0
    assert np.array_equal(example.features, cache.read(item, start // 64, 250))

    softer = replace(selection, augmentation=Augmentation(shared=[Gain(-20, -20, probability=1.0)]))
    augmented = FeatureData(softer, cache)[ExampleKey(0, 0)]
    loud = example.features[2] > -50
    assert np.array_equal(augmented.features[:2], example.features[:2])
    assert np.allclose(
        augmented.features[2, 10:-10][loud[10:-10]] + 20, example.features[2, 10:-10][loud[10:-10]], atol=0.1
    )


def test_paired_features_are_of_the_same_notes_on_two_instruments(selection: Selection) -> None:
    selection = replace(selection, source_instruments=["guitar_acoustic"], target_instruments=["violin"])
    cache = FeatureCache(selection.corpus, PestoTracker())
    for instrument in ("guitar_acoustic", "violin"):
        items = selection.corpus.select("train", "monophonic", instrument)
        cache.build(items, workers=1, progress=False)
    data = PairedFeatureData(selection, cache)
    for key in KEYS:
        example = data[key]
        names = [selection.instruments[i] for i in (example.source_instrument, example.target_instrument)]
        assert names == ["guitar_acoustic", "violin"]
        [start] = places(example.target, piece_audio(selection.corpus, example.piece, "violin"))
        assert start in places(
            example.source, piece_audio(selection.corpus, example.piece, "guitar_acoustic")
        )
        sure = (example.features[1] > 0.9) & (example.source_features[1] > 0.9)
        semitones = 12 * np.abs(np.log2(example.features[0] / example.source_features[0]))[sure]
        assert np.median(semitones) < 0.2
        assert not np.array_equal(example.features[2], example.source_features[2])


def test_a_piece_shorter_than_the_segment_ends_in_silence(selection: Selection) -> None:
    data = PairedData(replace(selection, segment_s=60.0))
    example = data[ExampleKey(0, 0)]
    length = max(item.n_samples for item in selection.corpus.items)
    assert len(example.source) == 60 * 16000 and not example.source[length:].any()


def test_silent_segments_are_avoided(selection: Selection, tmp_path) -> None:
    data = UnpairedData(replace(selection, segment_s=0.2))
    assert sum(is_silent(data[ExampleKey(0, number)].source) for number in range(50)) <= 1


def test_recordings_have_no_pairs(selection: Selection) -> None:
    items = [item._replace(piece=f"{item.instrument}-{item.piece}") for item in selection.corpus.items]
    with pytest.raises(NoPairsError, match="UnpairedDataModule"):
        PairedData(replace(selection, corpus=replace(selection.corpus, items=tuple(items))))


def test_an_instrument_without_training_items_is_one_sentence(selection: Selection) -> None:
    with pytest.raises(CorpusError, match="no monophonic training items of tuba"):
        UnpairedData(replace(selection, target_instruments=["tuba"]))


def test_padding_and_silence() -> None:
    assert padded(np.ones(3, np.float32), 5).tolist() == [1, 1, 1, 0, 0]
    assert is_silent(np.zeros(0, np.float32)) and is_silent(np.full(10, 9e-4, np.float32))
    assert not is_silent(np.full(10, 2e-3, np.float32))
