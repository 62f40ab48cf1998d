"""Lightning data modules over any corpus: they differ in the training examples and share the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch.utils.data import DataLoader

from datamodules.corpora.building import CorpusSource
from datamodules.corpora.corpus import (
    DEFAULT_BANK,
    Corpus,
    CorpusError,
    Item,
    NoPairsError,
    unknown_instrument,
)
from datamodules.examples.augmentation import Augmentation
from datamodules.examples.batching import EvaluationBatchSampler, TrainingSampler, collate
from datamodules.examples.evaluation import EvaluationData, QuestionPlan
from datamodules.examples.features import FeatureData, PairedFeatureData
from datamodules.examples.training import (
    PairedData,
    Selection,
    SelfReferenceData,
    TrainingData,
    UnpairedData,
)
from datamodules.features.frames import FeatureCache
from datamodules.features.pitch import PestoTracker, PitchTracker

Track = Literal["monophonic", "polyphonic"]


class TransferDataModule(L.LightningDataModule):
    """Batches for timbre transfer. Subclasses say what a training example is; the test is the same for all.

    Args:
        corpus: where the audio comes from; it is built on first use, found again later.
        sample_rate: of all audio, in Hz; the model's is linked to it.
        corpora_dir: folder that prepared corpora are kept in.
        source_instruments: instruments to transfer from; all by default.
        target_instruments: instruments to transfer to; all by default.
        tracks: which music to train and test on.
        segment_s: length of a training segment in seconds; shorter pieces are continued with silence.
        reference_s: length of the references in seconds, in training and validation.
        batch_size: examples a batch and device. Validation and test use it too.
        batches_per_epoch: training batches between two validations' opportunities; examples never run out.
        num_workers: processes that load batches; 0 loads in the training process, which is often quickest.
        seed: of the training examples. The same seed gives the same examples for any number of workers and
            ranks; validation and test examples do not depend on it.
        augmentation: changes of the training audio on the fly.
        val_clips: number of validation examples, spread over the pairs of instruments.
        val_clip_s: their length in seconds.
        test_clip_s: length of the test clips in seconds; null for whole pieces, one at a time.
        test_reference_s: length of the references in the test in seconds, whatever training had: every system
            is shown the same.
        test_pieces: pieces for each track and pair of instruments in the test; null for all.
        test_bank: where targets and references of the test come from; a rendered corpus has a second bank,
            ``elsewhere``, that training never hears.
        prepare_workers: processes that build corpus and features; by default one a core.
    """

    def __init__(
        self,
        corpus: CorpusSource,
        sample_rate: int = 16000,
        corpora_dir: str = "corpora",
        source_instruments: list[str] | None = None,
        target_instruments: list[str] | None = None,
        tracks: Sequence[Track] = ("monophonic",),
        segment_s: float = 4.0,
        reference_s: float = 4.0,
        batch_size: int = 16,
        batches_per_epoch: int = 200,
        num_workers: int = 0,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        val_clips: int = 32,
        val_clip_s: float = 4.0,
        test_clip_s: float | None = 8.0,
        test_reference_s: float = 4.0,
        test_pieces: int | None = 8,
        test_bank: str = DEFAULT_BANK,
        prepare_workers: int | None = None,
    ) -> None:
        super().__init__()
        self.corpus_source = corpus
        self.sample_rate = sample_rate
        self.corpora_dir = corpora_dir
        self.instruments = sorted(corpus.instruments)
        """Every instrument of the corpus; the ids in a batch are places in this list."""
        self.source_instruments = self._known(source_instruments)
        self.target_instruments = self._known(target_instruments)
        self._require_a_pair()
        self.tracks = list(tracks)
        self.segment_s = segment_s
        self.reference_s = reference_s
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.num_workers = num_workers
        self.seed = seed
        self.augmentation = augmentation or Augmentation()
        self.val_clips = val_clips
        self.val_clip_s = val_clip_s
        self.test_clip_s = test_clip_s
        self.test_reference_s = test_reference_s
        self.test_pieces = test_pieces
        self.test_bank = test_bank
        self.prepare_workers = prepare_workers
        self._corpus: Corpus | None = None

    # ------------------------------------------------------------------ what a subclass may change

    def training_data(self) -> TrainingData:
        """The training examples."""
        raise NotImplementedError

    def prepare_features(self, corpus: Corpus) -> None:
        """Compute what is cached beside the corpus; nothing by default. Runs in one process a machine."""

    # ------------------------------------------------------------------ corpus

    @property
    def corpus(self) -> Corpus:
        """The corpus, open. Available after `setup`."""
        if self._corpus is None:
            raise CorpusError(
                "The corpus is not open yet: call prepare_data() and setup() of the data module first."
            )
        return self._corpus

    @property
    def corpus_root(self) -> Path:
        """The corpus' folder. Available after `setup`."""
        return self.corpus.root

    def prepare_data(self) -> None:
        """Build the corpus and its features, or find them; Lightning calls it in one process a machine."""
        self._corpus = self._prepared()
        self.prepare_features(self._corpus)

    def setup(self, stage: str | None = None) -> None:
        """Open the corpus; Lightning calls it in every process, after `prepare_data`."""
        self._corpus = self._prepared()

    def _prepared(self) -> Corpus:
        return self._corpus or self.corpus_source.prepare(
            Path(self.corpora_dir), self.sample_rate, workers=self.prepare_workers
        )

    # ------------------------------------------------------------------ loaders

    def train_dataloader(self) -> DataLoader:
        """Endless examples, ``batches_per_epoch`` batches at a time."""
        sampler = TrainingSampler(
            self.batch_size, self.batches_per_epoch, *self._rank(), *self._resumed_progress()
        )
        return self._loader(self.training_data(), batch_size=self.batch_size, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        """Fixed clips, the same for every experiment with these instruments."""
        plan = QuestionPlan(self.corpus, "val", self.tracks)
        questions = plan.interleaved(self.source_instruments, self.target_instruments, self.val_clips)
        self._require_some(questions, "validation")
        return self._evaluation_loader(
            EvaluationData(self.corpus, self.instruments, questions, self.val_clip_s, self.reference_s)
        )

    def test_dataloader(self) -> DataLoader:
        """Fixed pieces, clips and references, the same for every experiment with these instruments."""
        plan = QuestionPlan(self.corpus, "test", self.tracks, self.test_bank)
        questions = plan.questions(self.source_instruments, self.target_instruments, self.test_pieces)
        self._require_some(questions, "test")
        return self._evaluation_loader(
            EvaluationData(self.corpus, self.instruments, questions, self.test_clip_s, self.test_reference_s)
        )

    def predict_dataloader(self) -> DataLoader:
        """The test clips."""
        return self.test_dataloader()

    def selection(self, reference_s: float) -> Selection:
        """What a training dataset draws from."""
        return Selection(
            corpus=self.corpus,
            instruments=self.instruments,
            source_instruments=self.source_instruments,
            target_instruments=self.target_instruments,
            tracks=self.tracks,
            segment_s=self.segment_s,
            reference_s=reference_s,
            seed=self.seed,
            augmentation=self.augmentation,
        )

    def _evaluation_loader(self, data: EvaluationData) -> DataLoader:
        batch_size = 1 if data.clip_samples is None else self.batch_size
        return self._loader(data, batch_sampler=EvaluationBatchSampler(len(data), batch_size, *self._rank()))

    def _loader(self, data: torch.utils.data.Dataset, **dealt: Any) -> DataLoader:
        return DataLoader(
            data,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            **dealt,
        )

    def _rank(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _resumed_progress(self) -> tuple[int, int]:
        """The epoch to begin with, and how many of its batches were trained before an interruption."""
        if self.trainer is None:
            return 0, 0
        loop: Any = self.trainer.fit_loop  # whose counters have only their base class as type
        in_mid_epoch = loop.epoch_progress.current.ready > loop.epoch_progress.current.processed
        batches_done = loop.epoch_loop.batch_progress.current.processed if in_mid_epoch else 0
        epochs_done, batches_done = divmod(batches_done, self.batches_per_epoch)
        return self.trainer.current_epoch + epochs_done, batches_done

    # ------------------------------------------------------------------ requests that cannot be met

    def _known(self, names: Sequence[str] | None) -> list[str]:
        for name in names or ():
            if name not in self.instruments:
                raise unknown_instrument(name, self.instruments, "the corpus")
        return list(names or self.instruments)

    def _require_a_pair(self) -> None:
        if len({*self.source_instruments, *self.target_instruments}) < 2:
            raise CorpusError(
                f"There is one instrument only ({', '.join(self.source_instruments) or 'none'}), and a "
                "transfer needs two: one to take the notes from and another to play them. Add one to the "
                "corpus, or to source_instruments or target_instruments."
            )

    def _require_some(self, questions: Sequence[object], split: str) -> None:
        if not questions:
            raise CorpusError(
                f"{self.corpus_root} has no {' or '.join(self.tracks)} {split} piece on "
                f"{', '.join(self.source_instruments)}. Prepare a larger corpus, or choose other tracks."
            )


class PairedDataModule(TransferDataModule):
    """Source and target: the same segment of a piece on two instruments. Training reads no references."""

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        return PairedData(self.selection(reference_s=0.0))


class UnpairedDataModule(TransferDataModule):
    """A source of one instrument and, as reference, another piece on another instrument; no target."""

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        return UnpairedData(self.selection(self.reference_s))


class OneShotDataModule(TransferDataModule):
    """Source, a reference of another piece on the target's instrument, and target.

    Over recordings, where no piece is there on two instruments, the examples are self-supervised:
    see `datamodules.examples.training.SelfReferenceData`.
    """

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        selection = self.selection(self.reference_s)
        try:
            return PairedData(selection)
        except NoPairsError:
            return SelfReferenceData(selection)


class FeatureDataModule(TransferDataModule):
    """Segments of the target instruments with f0, confidence and loudness; source and target are the same.

    Args:
        pitch_tracker: gives f0 and confidence, cached beside the corpus under its name; PestoTracker by
            default.
    """

    def __init__(
        self, corpus: CorpusSource, pitch_tracker: PitchTracker | None = None, **settings: Any
    ) -> None:
        super().__init__(corpus, **settings)
        self.pitch_tracker = pitch_tracker or PestoTracker()

    def prepare_features(self, corpus: Corpus) -> None:
        """See `TransferDataModule.prepare_features`."""
        self._cache(corpus).build(self._training_items(corpus), self.prepare_workers)

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        return FeatureData(self.selection(reference_s=0.0), self._cache(self.corpus))

    def _cache(self, corpus: Corpus) -> FeatureCache:
        return FeatureCache(corpus, self.pitch_tracker)

    def _training_items(self, corpus: Corpus) -> list[Item]:
        wanted = set(self.target_instruments)
        return [i for i in corpus.select("train") if i.instrument in wanted and i.track in self.tracks]


class PairedFeatureDataModule(FeatureDataModule):
    """As FeatureDataModule, with the features of a source instrument that plays the same notes beside.

    Over recordings, where no piece is there on two instruments, the examples are those of
    FeatureDataModule.
    """

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        try:
            return PairedFeatureData(self.selection(reference_s=0.0), self._cache(self.corpus))
        except NoPairsError:
            return super().training_data()

    def _training_items(self, corpus: Corpus) -> list[Item]:
        try:
            pairs = PairedData(self.selection(reference_s=0.0)).all_pairs()
        except NoPairsError:
            return super()._training_items(corpus)
        return sorted({item for pair in pairs for item in pair})
