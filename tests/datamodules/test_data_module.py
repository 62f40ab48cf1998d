import ast
import importlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from datamodules.audio.files import write_wav
from datamodules.batch import TransferBatch
from datamodules.corpora.corpus import Corpus, CorpusError, Item, NoPairsError
from datamodules.corpora.recordings import RecordingsCorpus
from datamodules.corpora.rendering import RenderedCorpus
from datamodules.data_module import (
    FeatureDataModule,
    OneShotDataModule,
    PairedDataModule,
    PairedFeatureDataModule,
    TransferDataModule,
    UnpairedDataModule,
)
from datamodules.examples.augmentation import Augmentation, Effect, Transform
from datamodules.examples.training import SelfReferenceData
from datamodules.examples.training_with_features import FeatureData
from datamodules.features.pitch import Pitch, PitchTracker
from tests.trainers import quiet_trainer

FEATURE_KINDS = [FeatureDataModule, PairedFeatureDataModule]
KINDS = [PairedDataModule, UnpairedDataModule, OneShotDataModule, *FEATURE_KINDS]
SMALL: dict[str, Any] = {
    "segment_s": 0.5,
    "reference_s": 0.5,
    "batch_size": 4,
    "batches_per_epoch": 3,
    "val_clips": 6,
    "test_clip_s": 1.0,
    "test_pieces": 1,
    "prepare_workers": 1,
}


@pytest.fixture
def make(tiny_source: RenderedCorpus, tiny_corpora_dir: Path):
    def make_one(kind: type[TransferDataModule], **changes: Any) -> TransferDataModule:
        data = kind(tiny_source, corpora_dir=str(tiny_corpora_dir), **(SMALL | changes))
        data.prepare_data()
        data.setup()
        return data

    return make_one


def as_bytes(batch: TransferBatch) -> list[bytes]:
    return [value.numpy().tobytes() for value in batch if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_have_the_promised_shapes(kind, make) -> None:
    batch = next(iter(make(kind).train_dataloader()))
    assert batch.source.shape == (4, 8000) and batch.source.dtype == torch.float32
    assert (batch.target is None) == (kind is UnpairedDataModule)
    assert batch.reference.shape[1] == (8000 if kind in (UnpairedDataModule, OneShotDataModule) else 0)
    assert len(batch.piece) == len(batch.track) == 4 and batch.source_instrument.dtype == torch.int64
    assert (batch.features is None) == (kind not in FEATURE_KINDS)
    assert (batch.source_features is None) == (kind is not PairedFeatureDataModule)
    for features in (batch.features, batch.source_features):
        assert features is None or {values.shape for values in features} == {(4, 125)}


def test_the_test_is_the_same_for_all_kinds_and_seeds(make) -> None:
    tests = []
    for seed, kind in enumerate(KINDS):
        data = make(kind, seed=seed)
        tests.append(
            [
                as_bytes(batch)
                for loader in (data.val_dataloader(), data.test_dataloader())
                for batch in loader
            ]
        )
    assert all(test == tests[0] for test in tests)


def test_what_training_had_as_references_does_not_change_the_test(make) -> None:
    short, long = (
        make(OneShotDataModule, reference_s=seconds, test_reference_s=1.0) for seconds in (0.3, 2.0)
    )
    assert [as_bytes(b) for b in short.test_dataloader()] == [as_bytes(b) for b in long.test_dataloader()]
    assert next(iter(short.test_dataloader())).reference.shape == (4, 16000)


def test_test_batches_carry_what_the_anchors_need(make) -> None:
    batch = next(iter(make(UnpairedDataModule).test_dataloader()))
    for audio in (batch.source, batch.target, batch.wrong_notes, batch.other_recording):
        assert audio is not None and audio.shape == (4, 16000) and audio.abs().amax(1).min() > 0


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_do_not_change_the_examples(make, num_workers: int) -> None:
    alone, shared = make(OneShotDataModule), make(OneShotDataModule, num_workers=num_workers)
    pairs = zip(alone.train_dataloader(), shared.train_dataloader(), strict=True)
    assert all(as_bytes(one) == as_bytes(other) for one, other in pairs)


def test_lightning_gives_every_epoch_other_examples(make) -> None:
    class Recorder(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.seen: list[bytes] = []

        def training_step(self, batch: TransferBatch, batch_idx: int) -> torch.Tensor:
            self.seen.append(batch.source.numpy().tobytes())
            return self.weight.sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    recorder, data = Recorder(), make(PairedDataModule)
    trainer = quiet_trainer(max_epochs=2, limit_val_batches=0)
    trainer.fit(recorder, datamodule=data)
    expected = []
    loader = make(PairedDataModule).train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        expected += [batch.source.numpy().tobytes() for batch in loader]
    assert recorder.seen == expected and expected[:3] != expected[3:]


def test_a_yaml_config_makes_it_with_augmentation_and_tracker(tiny_corpora_dir: Path) -> None:
    config = yaml.safe_load(
        f"""
        class_path: datamodules.FeatureDataModule
        init_args:
          corpus:
            class_path: datamodules.corpora.RenderedCorpus
            init_args:
              scores: {{class_path: datamodules.scores.EmbeddedScores, init_args: {{size: tiny}}}}
              instruments: [violin, flute]
          corpora_dir: {tiny_corpora_dir}
          tracks: [monophonic, polyphonic]
          pitch_tracker:
            class_path: datamodules.features.PyinTracker
            init_args: {{f0_min_hz: 100.0}}
          augmentation:
            shared:
              - class_path: datamodules.examples.Reverb
                init_args: {{max_t60_s: 0.5}}
            source: [{{class_path: datamodules.examples.Noise}}]
        """
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TransferDataModule, "data")
    parsed = parser.parse_object({"data": config})
    data = parser.instantiate(parsed).data
    assert data.instruments == ["flute", "violin"] and data.pitch_tracker.f0_min_hz == 100.0
    assert data.augmentation.shared[0].max_t60_s == 0.5 and data.tracks == ["monophonic", "polyphonic"]
    text = parser.dump(parsed)
    again = parser.parse_string(text)
    assert again.data.init_args.batch_size == 16
    assert parser.dump(again) == text and "class_path: datamodules.corpora.RenderedCorpus" in text


def test_help_says_what_a_parameter_does(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(FeatureDataModule, "data")
    text = " ".join(parser.format_help().split())
    assert "length of a training segment in seconds" in text and "gives f0 and confidence" in text


def test_an_unknown_instrument_names_the_nearest(make) -> None:
    with pytest.raises(CorpusError, match=r"no instrument 'violine'.*Did you mean 'violin'\?") as error:
        make(PairedDataModule, target_instruments=["violine"])
    assert "\n" not in str(error.value)


def test_one_instrument_is_no_transfer(tiny_source: RenderedCorpus) -> None:
    alone = RenderedCorpus(tiny_source.scores, instruments=["violin"])
    violin = ["violin"]
    with pytest.raises(CorpusError, match=r"one instrument only \(violin\)"):
        PairedDataModule(alone)
    with pytest.raises(
        CorpusError, match=r"one instrument only \(violin\).*data\.init_args\.source_instruments"
    ):
        PairedDataModule(tiny_source, source_instruments=violin, target_instruments=violin)


def test_an_instrument_that_the_corpus_lacks_is_said_with_its_key(tiny_source: RenderedCorpus) -> None:
    with pytest.raises(CorpusError, match=r"'oboe' in the corpus, which data\.init_args\.source_instruments"):
        PairedDataModule(tiny_source, source_instruments=["oboe"])


def takes_of(*instruments: str, into: Path) -> RecordingsCorpus:
    """One take of half a minute of each instrument: noise that comes and goes."""
    for number, instrument in enumerate(instruments):
        noise = 0.1 * np.random.default_rng(number).standard_normal(30 * 16000)
        write_wav(into / instrument / "take.wav", noise, 16000)
    return RecordingsCorpus(into)


@pytest.mark.parametrize("kind", [OneShotDataModule, *FEATURE_KINDS])
def test_one_take_of_one_instrument_trains_and_is_tested_on_its_resynthesis(tmp_path: Path, kind) -> None:
    tracker = {"pitch_tracker": SteadyTracker()} if kind in FEATURE_KINDS else {}
    source = takes_of("violin", into=tmp_path / "takes")
    data = kind(source, corpora_dir=str(tmp_path / "corpora"), **(SMALL | tracker))
    data.prepare_data()
    data.setup()
    assert next(iter(data.train_dataloader())).source.shape == (4, 8000)
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        [batch] = loader
        assert batch.target is not None and torch.equal(batch.target, batch.source)
        assert batch.piece != batch.reference_piece, "the reference shows other music"
        [item] = data.corpus.select(split)
        assert batch.piece == [item.piece]


def test_recordings_are_tested_on_resynthesis_and_on_transfers_without_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = takes_of("flute", "violin", into=tmp_path / "takes")
    settings = SMALL | {"target_instruments": ["violin"]}
    data = OneShotDataModule(source, corpora_dir=str(tmp_path / "corpora"), **settings)
    data.prepare_data()
    data.setup()
    sources = {data.instruments[b.source_instrument[0]]: b.target for b in data.test_dataloader()}
    assert set(sources) == {"flute", "violin"}
    assert sources["flute"] is None and sources["violin"] is not None
    [note] = [line for line in capsys.readouterr().err.splitlines() if "no piece on both" in line]
    assert "compare the resynthesis of violin" in note and "metrics which need one are left out" in note


class SteadyTracker(PitchTracker):
    """Hears 440 Hz everywhere."""

    name = "steady"

    def track(self, audio: torch.Tensor, sample_rate: int) -> tuple[Pitch, float]:
        frames = torch.ones(len(audio), audio.shape[1] // 160)
        return Pitch(440.0 * frames, frames), 160 / sample_rate


def test_training_on_pairs_refuses_recordings_before_it_reads_them(tmp_path: Path) -> None:
    source = takes_of("flute", "violin", into=tmp_path / "takes")
    data = PairedDataModule(source, corpora_dir=str(tmp_path / "corpora"), **SMALL)
    with pytest.raises(NoPairsError, match=r"recordings have none.*data\.init_args\.corpus"):
        quiet_trainer(max_epochs=1).fit(Watching(), datamodule=data)
    assert not (tmp_path / "corpora").exists()


def test_a_corpus_is_asked_for_before_it_is_there(tiny_source: RenderedCorpus) -> None:
    with pytest.raises(CorpusError, match="prepare_data"):
        _ = PairedDataModule(tiny_source).corpus_root


@dataclass(frozen=True)
class Halved(Effect):
    """Half the amplitude, always and without a draw, so that the rest of an example stays as it is."""

    def draw(self, rng: np.random.Generator, sample_rate: int) -> Transform:
        return lambda audio: audio * np.float32(0.5)


def levels(batch: TransferBatch) -> dict[str, torch.Tensor]:
    """Level of each signal of a batch in dB; that of features is the loudness of their loud frames."""
    audio = {"source": batch.source, "target": batch.target, "reference": batch.reference}
    found = {
        name: 10 * torch.log10(x.square().mean()) for name, x in audio.items() if x is not None and x.numel()
    }
    for name in ("features", "source_features"):
        if (features := getattr(batch, name)) is not None:
            found[name] = features.loudness_db[:, 10:-10].clamp(min=-70).quantile(0.9)
    return found


@pytest.mark.parametrize(
    ("key", "softened"),
    [
        ("shared", {"source", "target", "features", "source_features"}),
        ("source", {"source", "source_features"}),
        ("reference", {"reference"}),
    ],
)
@pytest.mark.parametrize("kind", [*KINDS, SelfReferenceData])
def test_an_augmentation_reaches_its_signals_and_no_others(kind, key: str, softened: set[str], make) -> None:
    def first_batch(augmentation: Augmentation) -> TransferBatch:
        recordings = kind is SelfReferenceData
        data = make(OneShotDataModule if recordings else kind, augmentation=augmentation)
        if recordings:
            as_recordings(data)
        return next(iter(data.train_dataloader()))

    before, after = (levels(first_batch(a)) for a in (Augmentation(), Augmentation(**{key: [Halved()]})))
    assert before.keys() == after.keys()
    for name in before:
        change_db = -6.02 if name in softened else 0.0
        assert (after[name] - before[name]).item() == pytest.approx(change_db, abs=0.05), name


def as_recordings(data: TransferDataModule) -> None:
    """Let every item be a piece of its own, as recordings are; the files stay where they are."""
    corpus = data.corpus
    items = {item._replace(piece=f"{item.instrument}-{item.piece}"): item for item in corpus.items}

    class Recordings(Corpus):
        def audio_path(self, item: Item) -> Path:
            return corpus.audio_path(items[item])

    data._corpus = Recordings(corpus.root, corpus.manifest, tuple(items))


def test_over_recordings_paired_features_are_those_of_the_target_alone(make) -> None:
    data = make(PairedFeatureDataModule, target_instruments=["violin"])
    assert {item.instrument for item in data.featured_items()} == set(data.instruments)
    as_recordings(data)
    assert {item.instrument for item in data.featured_items()} == {"violin"}
    assert type(data.training_data()) is FeatureData


def test_over_recordings_one_shot_is_self_supervised(make) -> None:
    data = make(OneShotDataModule)
    assert data.has_pairs
    as_recordings(data)
    assert not data.has_pairs
    assert isinstance(data.training_data(), SelfReferenceData)


def test_over_recordings_pairs_are_an_error_and_a_test_has_no_targets(make) -> None:
    data = make(PairedDataModule)
    as_recordings(data)
    with pytest.raises(NoPairsError, match="use a corpus that is rendered from scores, or"):
        data.train_dataloader()
    for batch in data.test_dataloader():
        is_resynthesis = batch.source_instrument == batch.target_instrument
        assert is_resynthesis.all() or not is_resynthesis.any()
        assert (batch.target is None) == (not is_resynthesis.any())


@pytest.mark.parametrize(
    ("kind", "training"), [(PairedDataModule, ""), (OneShotDataModule, "training is self-supervised")]
)
def test_over_recordings_it_is_said_once_that_there_are_no_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind, training: str
) -> None:
    for number, instrument in enumerate(("flute", "violin")):
        for take in range(3):
            noise = 0.1 * np.random.default_rng([number, take]).standard_normal(32000)
            write_wav(tmp_path / "takes" / instrument / f"{take}.wav", noise, 16000)
    data = kind(RecordingsCorpus(tmp_path / "takes"), corpora_dir=str(tmp_path / "corpora"), **SMALL)
    for _ in ("fit", "test"):
        data.prepare_data()
        data.setup()
    notes = [line for line in capsys.readouterr().err.splitlines() if "no piece on both" in line]
    assert (
        len(notes) == 1
        and "transfers between instruments have no targets" in notes[0]
        and training in notes[0]
    )
    assert not data.has_pairs and data.instrument_pairs == [("flute", "violin"), ("violin", "flute")]


ROOMS = ["datamodules"] + [
    f"datamodules.{room}" for room in ("audio", "banks", "corpora", "examples", "features", "scores")
]


def test_the_package_and_its_rooms_are_light_to_import() -> None:
    heavy = {"torch", "lightning", "numpy"}
    code = f"import sys, {', '.join(ROOMS)}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_it_says_to_type_checkers_and_nothing_else(room: str) -> None:
    package = importlib.import_module(room)
    tree = ast.parse(Path(str(package.__file__)).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    declared = {alias.name: str(node.module) for node in imports for alias in node.names}
    assert set(package.__all__) == set(declared)
    for name, module in declared.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError):
        package.NoSuchName  # noqa: B018


def test_audio_is_not_changed_on_its_way(make) -> None:
    data = make(PairedDataModule, target_instruments=["violin"], source_instruments=["guitar_acoustic"])
    batch = next(iter(data.train_dataloader()))
    scaled = batch.target.numpy() * 32768
    assert np.array_equal(scaled, np.round(scaled))


class Watching(L.LightningModule):
    """Trains nothing and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[bytes] = []

    def training_step(self, batch: TransferBatch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.source.numpy().tobytes())
        return self.weight**2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class StopAfter(L.Callback):
    """Saves after some batches, as a periodic checkpoint does, and ends."""

    def __init__(self, n_batches: int, path: Path) -> None:
        self.n_batches, self.path = n_batches, path

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.n_batches:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def watched(data: TransferDataModule, *callbacks: L.Callback, ckpt_path: Path | None = None) -> list[bytes]:
    """What two epochs of three batches, or what is left of them, give to a module."""
    trainer = quiet_trainer(max_epochs=2, limit_val_batches=0, callbacks=list(callbacks))
    module = Watching()
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return module.seen


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("n_batches", [2, 3, 4])
def test_a_resumed_training_goes_on_with_the_next_batch(
    make, tmp_path: Path, n_batches: int, num_workers: int
) -> None:
    def data() -> TransferDataModule:
        return make(PairedDataModule, num_workers=num_workers)

    whole = watched(data())
    assert len(set(whole)) == 6
    before = watched(data(), StopAfter(n_batches, tmp_path / "a.ckpt"))
    after = watched(data(), ckpt_path=tmp_path / "a.ckpt")
    assert before == whole[:n_batches]
    assert after == whole[n_batches:]
