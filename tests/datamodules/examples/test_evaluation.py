from dataclasses import replace

import numpy as np
import pytest

from datamodules.corpora.corpus import Corpus, CorpusError
from datamodules.examples.evaluation import EvaluationData, EvaluationPlan

BOTH = ["monophonic", "polyphonic"]


@pytest.fixture
def data(tiny_corpus: Corpus) -> EvaluationData:
    names = tiny_corpus.instruments
    cases = EvaluationPlan(tiny_corpus, "test", BOTH).cases(names, names)
    return EvaluationData(tiny_corpus, names, cases, clip_s=4.0, reference_s=2.0)


def test_every_pair_of_instruments_is_asked_on_every_track(data: EvaluationData) -> None:
    names = data.corpus.instruments
    pairs = {(a, b) for a in names for b in names if a != b}
    for track in BOTH:
        assert {case.group[1:] for case in data.cases if case.source.track == track} == pairs
    assert {case.source.split for case in data.cases} == {"test"}


def test_the_reference_and_the_wrong_notes_are_other_pieces_on_the_target(data: EvaluationData) -> None:
    for case in data.cases:
        assert case.reference.instrument == case.target_instrument != case.source.instrument
        works = {case.source.work, case.reference.work}
        assert len(works) == 2
        assert case.wrong_notes is not None and case.wrong_notes.work not in works
        assert case.wrong_notes.instrument == case.target_instrument


def test_the_target_is_the_source_on_the_other_instrument_and_so_is_the_other_recording(
    data: EvaluationData,
) -> None:
    for case in data.cases:
        for other, bank in ((case.target, "default"), (case.other_recording, "elsewhere")):
            assert other is not None and other.bank == bank
            assert (other.piece, other.instrument) == (case.source.piece, case.target_instrument)


def test_a_bank_that_training_never_heard_gives_targets_and_references_but_no_sources(
    tiny_corpus: Corpus,
) -> None:
    names = tiny_corpus.instruments
    plan = EvaluationPlan(tiny_corpus, "test", ["monophonic"], target_bank="elsewhere")
    cases = plan.cases(names, names)
    usual = EvaluationPlan(tiny_corpus, "test", ["monophonic"]).cases(names, names)
    assert [case.source for case in cases] == [case.source for case in usual]
    for case in cases:
        assert case.target is not None and case.other_recording is not None
        assert {case.target.bank, case.reference.bank} == {"elsewhere"}
        assert case.other_recording.bank == case.source.bank == "default"
    assert not [item for item in tiny_corpus.select("train") if item.bank == "elsewhere"]


def test_source_target_and_other_recording_are_the_same_stretch_of_time(data: EvaluationData) -> None:
    for case, example in zip(data.cases, (data[n] for n in range(len(data))), strict=True):
        assert example.target is not None and example.other_recording is not None
        spare = case.source.n_samples - 4 * 16000
        start = round(0.5 * spare)
        assert np.array_equal(example.source, data.corpus.read(case.source, start, 4 * 16000))
        assert np.array_equal(example.target, data.corpus.read(case.target, start, 4 * 16000))
        assert len(example.reference) == 2 * 16000 and len(example.wrong_notes) == 4 * 16000


def test_another_instrument_in_the_corpus_changes_no_case(tiny_corpus: Corpus) -> None:
    fewer = replace(tiny_corpus, items=tuple(i for i in tiny_corpus.items if i.instrument != "violin"))
    names = sorted({item.instrument for item in fewer.items})
    few, many = (EvaluationPlan(corpus, "test", BOTH).cases(names, names) for corpus in (fewer, tiny_corpus))
    assert few == many


def test_pieces_are_limited_per_pair_and_are_the_same_for_every_pair(tiny_corpus: Corpus) -> None:
    names = tiny_corpus.instruments
    cases = EvaluationPlan(tiny_corpus, "test", ["monophonic"]).cases(names, names, pieces=1)
    assert len(cases) == 12 and len({case.source.piece for case in cases}) == 1


def test_validation_is_spread_over_the_pairs(tiny_corpus: Corpus) -> None:
    names = tiny_corpus.instruments
    cases = EvaluationPlan(tiny_corpus, "val", ["monophonic"]).interleaved(names, names, count=12)
    assert len({case.group for case in cases}) == len(cases) == 12


def test_cases_of_recordings_have_no_target(tiny_corpus: Corpus) -> None:
    items = tuple(i._replace(piece=f"{i.instrument}-{i.piece}") for i in tiny_corpus.items)
    corpus = replace(tiny_corpus, items=items)
    cases = EvaluationPlan(corpus, "test", BOTH).cases(["violin"], ["guitar_acoustic"])
    assert cases and all(case.target is None and case.other_recording is None for case in cases)


def test_a_short_piece_ends_in_silence_and_a_whole_one_has_its_length(data: EvaluationData) -> None:
    names = data.corpus.instruments
    item = data.cases[0].source
    long, whole = (EvaluationData(data.corpus, names, data.cases, s, 1.0) for s in (30.0, None))
    assert len(long[0].source) == 30 * 16000 and not long[0].source[item.n_samples :].any()
    assert np.array_equal(whole[0].source, data.corpus.read(item))
    assert whole[0].target is not None and len(whole[0].target) == item.n_samples


def test_one_piece_alone_has_no_reference(tiny_corpus: Corpus) -> None:
    piece = tiny_corpus.select("test", "monophonic")[0].piece
    corpus = replace(tiny_corpus, items=tuple(i for i in tiny_corpus.items if i.piece == piece))
    with pytest.raises(CorpusError, match="reference has to be another piece"):
        EvaluationPlan(corpus, "test", BOTH).cases(["violin"], ["guitar_acoustic"])
