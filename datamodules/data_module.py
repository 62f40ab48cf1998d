"""Lightning data modules over any corpus: they differ in the training examples and share the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
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
from datamodules.examples.evaluation import EvaluationCase, EvaluationData, EvaluationPlan
from datamodules.examples.training import (
    PairedData,
    Selection,
    SelfReferenceData,
    TrainingData,
    UnpairedData,
    has_pairs,
)
from datamodules.examples.training_with_features import FeatureData, PairedFeatureData
from datamodules.features.frames import FeatureCache
from datamodules.features.pitch import PestoTracker, PitchTracker
from runtime.messages import say
from runtime.ranges import Count, Natural, Positive, SampleRate

Track = Literal["monophonic", "polyphonic"]


class TransferDataModule(L.LightningDataModule):
    """Batches for timbre transfer, and what modules, callbacks and commands may ask of any data module.

    A subclass says what a training example is; validation and test are the same for all.

    Args:
        corpus: describes the corpus, which is built on first use and found again later.
        sample_rate: sample rate of all audio in Hz; the model's is linked to it.
        corpora_dir: folder that corpora are kept in.
        source_instruments: instruments to transfer from; all by default.
        target_instruments: instruments to transfer to; all by default.
        tracks: kinds of music to train and test on.
        segment_s: length of a training segment in seconds; shorter pieces are continued with silence.
        reference_s: length of the references in seconds, in training and validation.
        batch_size: examples in a batch on each device, in training, validation and test.
        batches_per_epoch: training batches in an epoch, after which a validation may follow; examples never
            run out.
        num_workers: processes that load batches; 0 loads in the training process, which is often quickest.
        seed: seed of the training examples. The same seed gives the same examples with any number of workers
            and ranks; validation and test examples do not depend on it.
        augmentation: effects on the training audio.
        val_clips: number of validation examples, spread over the pairs of instruments.
        val_clip_s: their length in seconds.
        test_clip_s: length of the test clips in seconds; null is whole pieces, in batches of one.
        test_reference_s: length of the references in the test in seconds; it does not depend on that in
            training, so that every system is shown the same.
        test_pieces: pieces of each track and pair of instruments in the test; null is all.
        test_bank: bank of the targets and references in the test; a rendered corpus has a second bank,
            ``elsewhere``, that training never hears.
        prepare_workers: processes that build corpus and features; by default one a core.
    """

    def __init__(
        self,
        corpus: CorpusSource,
        sample_rate: SampleRate = 16000,
        corpora_dir: str = "corpora",
        source_instruments: list[str] | None = None,
        target_instruments: list[str] | None = None,
        tracks: Sequence[Track] = ("monophonic",),
        segment_s: Positive = 4.0,
        reference_s: Positive = 4.0,
        batch_size: Count = 16,
        batches_per_epoch: Count = 200,
        num_workers: Natural = 0,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        val_clips: Count = 32,
        val_clip_s: Positive = 4.0,
        test_clip_s: Positive | None = 8.0,
        test_reference_s: Positive = 4.0,
        test_pieces: Count | None = 8,
        test_bank: str = DEFAULT_BANK,
        prepare_workers: Count | None = None,
    ) -> None:
        super().__init__()
        self.corpus_source = corpus
        self.sample_rate = sample_rate
        self.corpora_dir = corpora_dir
        self.instruments = sorted(corpus.instruments)
        """Every instrument of the corpus, sorted; the instrument ids in a batch are indices of this list."""
        self.source_instruments = self._known("source_instruments", source_instruments)
        self.target_instruments = self._known("target_instruments", target_instruments)
        self._require_something_to_play()
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
        """Make the dataset of training examples."""
        raise NotImplementedError

    def prepare_features(self, corpus: Corpus) -> None:
        """Compute what is cached beside the corpus: nothing by default. It runs in one process a machine."""

    trains_on_one_instrument: ClassVar[bool] = False
    """Whether training needs no second instrument; then the test of a single one is its resynthesis."""
    training_without_pairs: ClassVar[str] = ""
    """What training examples are where a corpus has no pairs, if that changes them: a clause for users."""

    # ------------------------------------------------------------------ corpus

    @property
    def corpus(self) -> Corpus:
        """The corpus, open for reading. Available after `setup`."""
        if self._corpus is None:
            raise CorpusError(
                "The corpus is not open yet: call prepare_data() and setup() of the data module first."
            )
        return self._corpus

    @property
    def corpus_root(self) -> Path:
        """The corpus' folder. Available after `setup`."""
        return self.corpus.root

    @property
    def has_pairs(self) -> bool:
        """Whether training pieces exist on both a source and a target instrument. Available after `setup`.

        Corpora that are rendered from scores have such pairs, corpora of recordings have none.
        """
        return has_pairs(self.selection(self.reference_s))

    @property
    def instrument_pairs(self) -> list[tuple[str, str]]:
        """Every pair (source instrument, target instrument) of different instruments that is asked for."""
        sides = product(self.source_instruments, self.target_instruments)
        return [(source, target) for source, target in sides if source != target]

    @property
    def resynthesised(self) -> list[str]:
        """The instruments, sources and targets, that are tested on their own resynthesis for want of pairs.

        Available after `setup`.
        """
        if self.has_pairs:
            return []
        return [name for name in self.target_instruments if name in self.source_instruments]

    def prepare_data(self) -> None:
        """Build the corpus and its features, or find them; Lightning calls this in one process a machine.

        Where the corpus has no pairs, say once what that changes.
        """
        is_first_time = self._corpus is None
        self._corpus = self._prepared()
        self.prepare_features(self._corpus)
        if is_first_time and not self.has_pairs:
            say(self._note_without_pairs())

    def setup(self, stage: str | None = None) -> None:
        """Open the corpus; Lightning calls this in every process, after `prepare_data`."""
        self._corpus = self._prepared()

    def _prepared(self) -> Corpus:
        return self._corpus or self.corpus_source.prepare(
            Path(self.corpora_dir), self.sample_rate, workers=self.prepare_workers
        )

    def _note_without_pairs(self) -> str:
        consequences = []
        if self.resynthesised:
            names = " and ".join(self.resynthesised)
            consequences.append(
                f"validation and test compare the resynthesis of {names} with the recordings themselves"
            )
        if self.instrument_pairs:
            consequences.append(
                "transfers between instruments have no targets, so that metrics which need one are left out, "
                "and the others compare the notes with the source and the timbre with the reference"
            )
        if self.training_without_pairs:
            consequences.append(self.training_without_pairs)
        return (
            f"Note: {self.corpus_root} has no piece on both a source and a target instrument: "
            f"{'; '.join(consequences)}."
        )

    # ------------------------------------------------------------------ loaders

    def train_dataloader(self) -> DataLoader:
        """Load endless examples, ``batches_per_epoch`` batches at a time."""
        sampler = TrainingSampler(
            self.batch_size, self.batches_per_epoch, *self._rank(), *self._resumed_progress()
        )
        return self._loader(self.training_data(), batch_size=self.batch_size, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        """Load the validation clips, the same for every experiment with these instruments."""
        plan = self._plan("val", DEFAULT_BANK)
        cases = plan.interleaved(self.source_instruments, self.target_instruments, self.val_clips)
        return self._evaluation_loader("validation", cases, self.val_clip_s, self.reference_s)

    def test_dataloader(self) -> DataLoader:
        """Load the test clips and references, the same for every experiment with these instruments."""
        plan = self._plan("test", self.test_bank)
        cases = plan.cases(self.source_instruments, self.target_instruments, self.test_pieces)
        return self._evaluation_loader("test", cases, self.test_clip_s, self.test_reference_s)

    def predict_dataloader(self) -> DataLoader:
        """Load the test clips."""
        return self.test_dataloader()

    def selection(self, reference_s: float) -> Selection:
        """Say what training examples are drawn from, with references of ``reference_s`` seconds."""
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

    def _plan(self, split: str, bank: str) -> EvaluationPlan:
        return EvaluationPlan(self.corpus, split, self.tracks, bank, resynthesis=bool(self.resynthesised))

    def _evaluation_loader(
        self, split: str, cases: Sequence[EvaluationCase], clip_s: float | None, reference_s: float
    ) -> DataLoader:
        if not cases:
            raise CorpusError(
                f"{self.corpus_root} has no {' or '.join(self.tracks)} {split} piece on "
                f"{', '.join(self.source_instruments)}: prepare a larger corpus (three seconds of a "
                "recording at least), or change data.init_args.tracks or source_instruments."
            )
        data = EvaluationData(self.corpus, self.instruments, cases, clip_s, reference_s)
        batch_size = 1 if clip_s is None else self.batch_size
        # A batch holds targets for all of its examples or for none.
        kinds = [case.target is None for case in cases]
        return self._loader(data, batch_sampler=EvaluationBatchSampler(kinds, batch_size, *self._rank()))

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
        """Give the epoch to begin with, and how many of its batches were done before an interruption."""
        if self.trainer is None:
            return 0, 0
        loop: Any = self.trainer.fit_loop  # whose counters have only their base class as type
        in_mid_epoch = loop.epoch_progress.current.ready > loop.epoch_progress.current.processed
        batches_done = loop.epoch_loop.batch_progress.current.processed if in_mid_epoch else 0
        epochs_done, batches_done = divmod(batches_done, self.batches_per_epoch)
        return self.trainer.current_epoch + epochs_done, batches_done

    # ------------------------------------------------------------------ requests that cannot be met

    def _known(self, key: str, names: Sequence[str] | None) -> list[str]:
        for name in names or ():
            if name not in self.instruments:
                where = f"the corpus, which data.init_args.{key} asks for"
                raise unknown_instrument(name, self.instruments, where)
        return list(names or self.instruments)

    def _require_something_to_play(self) -> None:
        alone = set(self.source_instruments) & set(self.target_instruments)
        if not self.instrument_pairs and not (self.trains_on_one_instrument and alone):
            raise CorpusError(
                f"There is one instrument only ({', '.join(self.source_instruments) or 'none'}), and "
                f"{type(self).__name__} needs two, one to take the notes from and another to play them: add "
                "one to the corpus, or to data.init_args.source_instruments or target_instruments."
            )


class PairedDataModule(TransferDataModule):
    """Pairs: source and target are the same segment of a piece on two instruments. There are no references.

    Over recordings, which have no pairs, training raises `NoPairsError`.
    """

    def prepare_data(self) -> None:
        """See `TransferDataModule.prepare_data`; training on recordings is refused before they are read."""
        is_training = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        if is_training and not self.corpus_source.has_pairs:
            raise NoPairsError(
                "This experiment learns from pairs, the same notes on two instruments, and recordings have "
                "none: train an experiment that needs no pairs, such as ddsp, mambamuse or melgan_style, or "
                "set data.init_args.corpus to a corpus that is rendered from scores."
            )
        super().prepare_data()

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        return PairedData(self.selection(reference_s=0.0))


class UnpairedDataModule(TransferDataModule):
    """A source of one instrument, and another piece on another instrument as reference, without a target."""

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        return UnpairedData(self.selection(self.reference_s))


class OneShotDataModule(TransferDataModule):
    """Pairs of source and target, with another piece on the target's instrument as reference.

    Over recordings, which have no pairs, examples are self-supervised:
    see `datamodules.examples.training.SelfReferenceData`.
    """

    trains_on_one_instrument = True
    training_without_pairs = "training is self-supervised, from a perturbed copy of a recording back to it"

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        kind = PairedData if self.has_pairs else SelfReferenceData
        return kind(self.selection(self.reference_s))


class FeatureDataModule(TransferDataModule):
    """Segments of the target instruments with f0, confidence and loudness, for resynthesis.

    Args:
        pitch_tracker: gives f0 and confidence, which are cached beside the corpus under the tracker's name;
            PestoTracker by default.
    """

    trains_on_one_instrument = True

    def __init__(
        self, corpus: CorpusSource, pitch_tracker: PitchTracker | None = None, **settings: Any
    ) -> None:
        super().__init__(corpus, **settings)
        self.pitch_tracker = pitch_tracker or PestoTracker()

    def prepare_features(self, corpus: Corpus) -> None:
        """See `TransferDataModule.prepare_features`."""
        self._cache(corpus).build(self.featured_items(), self.prepare_workers)

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        return FeatureData(self.selection(reference_s=0.0), self._cache(self.corpus))

    def featured_items(self) -> list[Item]:
        """List the items whose features training reads. Available after `setup`."""
        wanted = set(self.target_instruments)
        return [i for i in self.corpus.select("train") if i.instrument in wanted and i.track in self.tracks]

    def _cache(self, corpus: Corpus) -> FeatureCache:
        return FeatureCache(corpus, self.pitch_tracker)


class PairedFeatureDataModule(FeatureDataModule):
    """Pairs of segments, the same notes on a source and a target instrument, with the features of both.

    Over recordings, which have no pairs, examples are those of `FeatureDataModule`.
    """

    training_without_pairs = "training resynthesises the target instruments alone"

    def training_data(self) -> TrainingData:
        """See `TransferDataModule.training_data`."""
        if not self.has_pairs:
            return super().training_data()
        return PairedFeatureData(self.selection(reference_s=0.0), self._cache(self.corpus))

    def featured_items(self) -> list[Item]:
        """See `FeatureDataModule.featured_items`."""
        if not self.has_pairs:
            return super().featured_items()
        pairs = PairedData(self.selection(reference_s=0.0)).all_pairs()
        return sorted({item for pair in pairs for item in pair})
