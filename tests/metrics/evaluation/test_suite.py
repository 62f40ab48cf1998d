import os
import signal

import numpy as np
import pytest
import torch

from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import Corpus
from metrics.evaluation.suite import EvaluationSuite, TestTable
from metrics.registry import METRICS, Metric, Needs, Stage, measured_in
from metrics.timbre_space.training import prepare_timbre_space
from tests.metrics.conftest import RATE

CHEAP = {"chroma_cosine", "mfcc_distance", "mfcc40_distance", "mr_stft", "lsd_mel_db", "loudness_l1_db"}


def part(batch: TransferBatch, count: int, **changes: object) -> TransferBatch:
    """The first ``count`` examples."""
    cut = {name: value if value is None else value[:count] for name, value in batch._asdict().items()}
    return TransferBatch(**(cut | changes))


@pytest.fixture(scope="module")
def tested(tiny_corpus: Corpus, anchor_batch: TransferBatch) -> TestTable:
    """The true answer, then silence, then an output with NaN, measured with everything."""
    prepare_timbre_space(tiny_corpus.root)
    suite = EvaluationSuite.for_test(RATE, tiny_corpus.instruments, tiny_corpus.root)
    batch = part(anchor_batch, 1)
    for preds in (batch.target, torch.zeros_like(batch.target), torch.full_like(batch.target, torch.nan)):
        suite.update(preds, batch)
    return suite.compute()


def test_validation_has_a_handful_of_metrics_and_validates_quickly(anchor_batch: TransferBatch):
    suite = EvaluationSuite.for_validation(RATE, ["a", "keyboard", "b", "violin"])
    suite.update(anchor_batch.source, anchor_batch)
    table = suite.compute()
    assert set(table.means()) == CHEAP
    assert {row.pair for row in table.rows} == {"keyboard->violin"}
    assert [row.piece for row in table.rows] == anchor_batch.piece


def test_validation_gives_what_the_functions_give_example_by_example(anchor_batch: TransferBatch):
    whole, single = (EvaluationSuite.for_validation(RATE, list("abcd")) for _ in range(2))
    whole.update(anchor_batch.source, anchor_batch)
    single.update(anchor_batch.source[:1], part(anchor_batch, 1))
    assert whole.compute().rows[0].metrics == pytest.approx(single.compute().rows[0].metrics, rel=1e-4)


def test_a_test_has_every_metric_of_the_registry_and_no_other(tested: TestTable):
    assert set(tested.rows[0].metrics) | set(tested.set_metrics) == set(METRICS)
    assert tested.n_windows == 2


def test_choosing_between_trainings_measures_what_the_test_measures(
    tested: TestTable, tiny_corpus: Corpus, anchor_batch: TransferBatch
):
    suite = EvaluationSuite.for_selection(RATE, tiny_corpus.instruments, tiny_corpus.root)
    one = part(anchor_batch, 1)
    suite.update(one.target, one)
    found = suite.compute().rows[0].metrics
    of_examples = {m.name for m in measured_in(Stage.SELECTION) if m.needs is not Needs.EMBEDDINGS}
    assert set(found) == of_examples and not {"visqol", "pesq", "raw_pitch_accuracy"} & set(found)
    assert found == {name: tested.rows[0].metrics[name] for name in found}


def test_rows_tell_whose_audio_is_the_same(tested: TestTable, anchor_batch: TransferBatch):
    assert len({row.clip for row in tested.rows}) == 1 and tested.rows[0].clip
    suite = EvaluationSuite.for_test(RATE, ["a", "keyboard", "b", "violin"])
    one = part(anchor_batch, 1)
    assert suite._clip_address(one, 0) == tested.rows[0].clip
    for side in ("source", "target", "reference"):
        other = one._replace(**{side: 0.5 * getattr(one, side)})
        assert suite._clip_address(other, 0) != tested.rows[0].clip


def test_the_true_answer_is_perfect(tested: TestTable):
    right = tested.rows[0].metrics
    for name in ("joint_score", "raw_pitch_accuracy", "chroma_cosine", "onset_f1", "instrument_accuracy"):
        assert right[name] == pytest.approx(1, abs=1e-4)
    for name in (
        "pitch_jaccard_distance",
        "mfcc_distance",
        "triplet_timbre_distance",
        "lsd_mel_db",
        "mcd_db",
    ):
        assert right[name] == pytest.approx(0, abs=1e-3)
    assert right["source_mfcc_distance"] > 0.05 and right["source_lsd_mel_db"] > 5


def test_silence_and_nan_are_counted_where_they_have_no_value(tested: TestTable):
    undefined = tested.undefined()
    assert undefined["pesq"] == undefined["visqol"] == undefined["mfcc_distance"] == 2  # silence and NaN
    assert undefined["joint_score"] == undefined["lsd_mel_db"] == 1  # NaN: silence has these
    assert tested.rows[1].metrics["joint_score"] == 0
    assert all(value is None for value in tested.rows[2].metrics.values())
    assert tested.means()["pesq"] == tested.rows[0].metrics["pesq"]
    assert TestTable.from_json(tested.to_json()).means() == tested.means()


def test_without_a_target_content_is_judged_by_the_source_and_timbre_by_the_reference(
    tiny_corpus: Corpus, anchor_batch: TransferBatch
):
    unpaired = part(anchor_batch, 1, target=None, wrong_notes=None, other_recording=None)
    suite = EvaluationSuite.for_test(RATE, tiny_corpus.instruments, tiny_corpus.root)
    suite.update(unpaired.source, unpaired)
    suite.update(anchor_batch.target[:1], unpaired)
    copied, right = (row.metrics for row in suite.compute().rows)
    assert copied["pitch_jaccard_distance"] == 0 and copied["content_score"] == 1
    assert copied["timbre_score"] == pytest.approx(0, abs=1e-6)
    assert right["joint_score"] > 0.5
    assert not {"lsd_db", "pesq", "mr_stft", "si_sdr_db"} & set(right)
    validation = EvaluationSuite.for_validation(RATE, tiny_corpus.instruments)
    validation.update(unpaired.source, unpaired)
    assert set(validation.compute().means()) == {"chroma_cosine", "mfcc_distance", "mfcc40_distance"}


def test_polyphonic_music_has_no_melody_metrics(tiny_corpus: Corpus, anchor_batch: TransferBatch):
    suite = EvaluationSuite.for_test(RATE, tiny_corpus.instruments, tiny_corpus.root)
    batch = part(anchor_batch, 1, track=["polyphonic"])
    suite.update(batch.source, batch)
    table = suite.compute()
    assert "raw_pitch_accuracy" not in table.rows[0].metrics and "onset_f1" in table.rows[0].metrics
    assert not table.undefined()


def test_without_a_corpus_there_is_no_learned_metric(anchor_batch: TransferBatch):
    suite = EvaluationSuite.for_test(RATE, list("abcd"))
    batch = part(anchor_batch, 1, target=None, track=["polyphonic"])
    suite.update(batch.source, batch)
    assert not {"joint_score", "triplet_timbre_distance"} & set(suite.compute().means())


def test_processes_give_the_table_that_one_process_gives(
    tiny_corpus: Corpus, anchor_batch: TransferBatch, monkeypatch: pytest.MonkeyPatch
):
    batch = part(anchor_batch, 2, target=None, track=["polyphonic"] * 2)
    tables = []
    for workers in (1, 2):
        monkeypatch.setattr("metrics.evaluation.suite._n_processes", lambda *_, workers=workers: workers)
        suite = EvaluationSuite.for_test(RATE, tiny_corpus.instruments, tiny_corpus.root)
        suite.update(batch.reference, batch)
        tables.append(suite.compute())
    here, there = tables
    assert [row.key for row in here.rows] == [row.key for row in there.rows]
    for one, other in zip(here.rows, there.rows, strict=True):
        assert one.metrics == pytest.approx(other.metrics, abs=1e-4)
        assert one.windows is not None and other.windows is not None
        assert np.allclose(one.windows[0], other.windows[0], atol=1e-4)


def test_an_output_of_another_length_is_refused_in_one_sentence(anchor_batch: TransferBatch):
    suite = EvaluationSuite.for_validation(RATE, list("abcd"))
    with pytest.raises(
        ValueError, match=r"must have the source's shape: it has .* Cut or pad it in `transfer`"
    ):
        suite.update(anchor_batch.source[:, :-1], anchor_batch)


def test_an_empty_test_is_an_empty_table():
    table = EvaluationSuite.for_test(RATE, ["a", "b"]).compute()
    assert table.means() == {} and table.intervals() == {} and table.rows == ()


def crashing(preds: torch.Tensor, target: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """A metric whose native library crashes on silence."""
    if not preds.any():
        os.kill(os.getpid(), signal.SIGSEGV)
    return torch.zeros(len(preds))


def test_a_metric_that_crashes_its_process_costs_one_transfer_and_not_the_test(
    anchor_batch: TransferBatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("metrics.evaluation.suite._n_processes", lambda *_: 2)
    suite = EvaluationSuite.for_test(RATE, ["a", "keyboard", "b", "violin"])
    suite._setup = suite._setup._replace(metrics=[Metric("crashing", False, "", module=__name__)])
    batch = part(anchor_batch, 2)
    preds = batch.source.clone()
    preds[1] = 0
    suite.update(preds, batch)
    assert [row.metrics["crashing"] for row in suite.compute().rows] == [0.0, None]
    assert f"{batch.piece[1]} (keyboard->violin) could not be measured" in caplog.text
