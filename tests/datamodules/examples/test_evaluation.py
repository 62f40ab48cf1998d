from dataclasses import replace

import numpy as np
import pytest

from datamodules.corpora.corpus import Corpus, CorpusError
from datamodules.examples.evaluation import EvaluationData, QuestionPlan

BOTH = ["monophonic", "polyphonic"]


@pytest.fixture
def data(tiny_corpus: Corpus) -> EvaluationData:
    names = tiny_corpus.instruments
    questions = QuestionPlan(tiny_corpus, "test", BOTH).questions(names, names)
    return EvaluationData(tiny_corpus, names, questions, clip_s=4.0, reference_s=2.0)


def test_every_pair_of_instruments_is_asked_on_every_track(data: EvaluationData) -> None:
    names = data.corpus.instruments
    pairs = {(a, b) for a in names for b in names if a != b}
    for track in BOTH:
        assert {q.group[1:] for q in data.questions if q.source.track == track} == pairs
    assert {q.source.split for q in data.questions} == {"test"}


def test_the_reference_and_the_wrong_notes_are_other_pieces_on_the_target(data: EvaluationData) -> None:
    for question in data.questions:
        assert question.reference.instrument == question.target_instrument != question.source.instrument
        works = {question.source.work, question.reference.work}
        assert len(works) == 2
        assert question.wrong_notes is not None and question.wrong_notes.work not in works
        assert question.wrong_notes.instrument == question.target_instrument


def test_the_target_is_the_source_on_the_other_instrument_and_so_is_the_other_recording(
    data: EvaluationData,
) -> None:
    for question in data.questions:
        for answer, bank in ((question.target, "default"), (question.other_recording, "elsewhere")):
            assert answer is not None and answer.bank == bank
            assert (answer.piece, answer.instrument) == (question.source.piece, question.target_instrument)


def test_a_bank_that_training_never_heard_gives_targets_and_references_but_no_sources(
    tiny_corpus: Corpus,
) -> None:
    names = tiny_corpus.instruments
    plan = QuestionPlan(tiny_corpus, "test", ["monophonic"], target_bank="elsewhere")
    questions = plan.questions(names, names)
    usual = QuestionPlan(tiny_corpus, "test", ["monophonic"]).questions(names, names)
    assert [q.source for q in questions] == [q.source for q in usual]
    for question in questions:
        assert question.target is not None and question.other_recording is not None
        assert {question.target.bank, question.reference.bank} == {"elsewhere"}
        assert question.other_recording.bank == question.source.bank == "default"
    assert not [item for item in tiny_corpus.select("train") if item.bank == "elsewhere"]


def test_source_target_and_other_recording_are_the_same_stretch_of_time(data: EvaluationData) -> None:
    for question, example in zip(data.questions, (data[n] for n in range(len(data))), strict=True):
        assert example.target is not None and example.other_recording is not None
        spare = question.source.n_samples - 4 * 16000
        start = round(0.5 * spare)
        assert np.array_equal(example.source, data.corpus.read(question.source, start, 4 * 16000))
        assert np.array_equal(example.target, data.corpus.read(question.target, start, 4 * 16000))
        assert len(example.reference) == 2 * 16000 and len(example.wrong_notes) == 4 * 16000


def test_another_instrument_in_the_corpus_changes_no_question(tiny_corpus: Corpus) -> None:
    fewer = replace(tiny_corpus, items=tuple(i for i in tiny_corpus.items if i.instrument != "violin"))
    names = sorted({item.instrument for item in fewer.items})
    few, many = (
        QuestionPlan(corpus, "test", BOTH).questions(names, names) for corpus in (fewer, tiny_corpus)
    )
    assert few == many


def test_pieces_are_limited_per_pair_and_are_the_same_for_every_pair(tiny_corpus: Corpus) -> None:
    names = tiny_corpus.instruments
    questions = QuestionPlan(tiny_corpus, "test", ["monophonic"]).questions(names, names, pieces=1)
    assert len(questions) == 12 and len({q.source.piece for q in questions}) == 1


def test_validation_is_spread_over_the_pairs(tiny_corpus: Corpus) -> None:
    names = tiny_corpus.instruments
    questions = QuestionPlan(tiny_corpus, "val", ["monophonic"]).interleaved(names, names, count=12)
    assert len({question.group for question in questions}) == len(questions) == 12


def test_recordings_have_questions_without_an_answer(tiny_corpus: Corpus) -> None:
    items = tuple(i._replace(piece=f"{i.instrument}-{i.piece}") for i in tiny_corpus.items)
    corpus = replace(tiny_corpus, items=items)
    questions = QuestionPlan(corpus, "test", BOTH).questions(["violin"], ["guitar_acoustic"])
    assert questions and all(q.target is None and q.other_recording is None for q in questions)


def test_a_short_piece_ends_in_silence_and_a_whole_one_has_its_length(data: EvaluationData) -> None:
    names = data.corpus.instruments
    item = data.questions[0].source
    long, whole = (EvaluationData(data.corpus, names, data.questions, s, 1.0) for s in (30.0, None))
    assert len(long[0].source) == 30 * 16000 and not long[0].source[item.n_samples :].any()
    assert np.array_equal(whole[0].source, data.corpus.read(item))
    assert whole[0].target is not None and len(whole[0].target) == item.n_samples


def test_one_piece_alone_has_no_reference(tiny_corpus: Corpus) -> None:
    piece = tiny_corpus.select("test", "monophonic")[0].piece
    corpus = replace(tiny_corpus, items=tuple(i for i in tiny_corpus.items if i.piece == piece))
    with pytest.raises(CorpusError, match="reference has to be another piece"):
        QuestionPlan(corpus, "test", BOTH).questions(["violin"], ["guitar_acoustic"])
