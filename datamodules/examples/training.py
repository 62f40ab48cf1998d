"""Training examples: example ``number`` of ``epoch`` is a pure function of (seed, epoch, number).

No example depends on the process, worker or batch that it is made in, so a run sees the same data with any
number of workers and ranks (see `datamodules.examples.batching`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Dataset

from datamodules.corpora.corpus import DEFAULT_BANK, Corpus, CorpusError, Item, NoPairsError
from datamodules.examples.augmentation import Augmentation, Equalizer, Gain
from datamodules.examples.batching import Example, ExampleKey

SILENCE_RMS = 1e-3
"""A segment whose root mean square is below this (−60 dB re full scale) counts as silent."""
_DRAWS = 8
"""Segments that are drawn before a silent one is accepted: a file may be all rests."""


@dataclass(frozen=True)
class Selection:
    """What training examples are drawn from, and how.

    Args:
        corpus: an open corpus, of which the training split is used.
        instruments: names behind the instrument ids of a batch.
        source_instruments: instruments to transfer from.
        target_instruments: instruments to transfer to.
        tracks: ``monophonic``, ``polyphonic`` or both.
        segment_s: length of source and target in seconds.
        reference_s: length of the reference in seconds; 0 reads none.
        seed: determines an example together with the epoch and the example's number.
        augmentation: effects on the audio.
    """

    corpus: Corpus
    instruments: Sequence[str]
    source_instruments: Sequence[str]
    target_instruments: Sequence[str]
    tracks: Sequence[str]
    segment_s: float = 4.0
    reference_s: float = 4.0
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)


class TrainingData(Dataset[Example]):
    """What all training examples share: how items, segments and references are drawn.

    A subclass implements `example`.

    Args:
        selection: says what examples are drawn from, and how.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.corpus = selection.corpus
        self.sample_rate = selection.corpus.sample_rate
        self.n_samples = round(selection.segment_s * self.sample_rate)
        self.n_reference = round(selection.reference_s * self.sample_rate)
        self.ids = {name: number for number, name in enumerate(selection.instruments)}
        self.by_instrument: dict[str, list[Item]] = {}
        for item in self.corpus.select("train"):
            if item.track in selection.tracks:
                self.by_instrument.setdefault(item.instrument, []).append(item)
        self.targets = self._with_training_items(selection.target_instruments)

    def __getitem__(self, key: ExampleKey) -> Example:
        return self.example(np.random.default_rng([self.selection.seed, key.epoch, key.number]))

    def example(self, rng: np.random.Generator) -> Example:
        """Draw one example; everything random comes from ``rng``."""
        raise NotImplementedError

    def draw_item(self, rng: np.random.Generator, instrument: str, other_than: str = "") -> Item:
        """Draw a training item of ``instrument``, of another work than ``other_than`` where there is one."""
        items = self.by_instrument[instrument]
        first = int(rng.integers(len(items)))
        for offset in range(len(items)):
            item = items[(first + offset) % len(items)]
            if item.work != other_than:
                break
        return item

    def draw_segment(
        self, rng: np.random.Generator, item: Item, n_samples: int, step: int = 1
    ) -> tuple[int, np.ndarray]:
        """Draw a segment of ``item`` that starts at a multiple of ``step`` and is not silent, if it can be.

        Returns:
            The segment's start in samples, and its audio ``(n_samples,)``, with silence after the item's end.
        """
        choices = max(0, item.n_samples - n_samples) // step + 1
        for _ in range(_DRAWS):
            start = step * int(rng.integers(choices))
            audio = self.corpus.read(item, start, n_samples)
            if choices == 1 or not is_silent(audio):
                break
        return start, padded(audio, n_samples)

    def draw_reference(self, rng: np.random.Generator, instrument: str, work: str) -> tuple[np.ndarray, str]:
        """Draw a segment of ``instrument`` from another work than ``work``; give it with its piece's name."""
        if self.n_reference == 0:
            return np.zeros(0, np.float32), ""
        item = self.draw_item(rng, instrument, other_than=work)
        _, audio = self.draw_segment(rng, item, self.n_reference)
        return self.selection.augmentation.of_reference(rng, audio, self.sample_rate), item.piece

    def _with_training_items(self, instruments: Sequence[str]) -> list[str]:
        present = [name for name in instruments if name in self.by_instrument]
        if not present:
            raise CorpusError(
                f"{self.corpus.root} has no {' or '.join(self.selection.tracks)} training items of "
                f"{', '.join(instruments)}. Choose other instruments or tracks, or a larger corpus."
            )
        return present


def has_pairs(selection: Selection) -> bool:
    """Tell whether a training piece is played by both a source and another, target instrument."""
    sources, targets = set(selection.source_instruments), set(selection.target_instruments)
    played_by: dict[str, set[str]] = defaultdict(set)
    for item in selection.corpus.items:
        if (item.split, item.bank) != ("train", DEFAULT_BANK) or item.track not in selection.tracks:
            continue
        instruments = played_by[item.piece]
        instruments.add(item.instrument)
        if any(a != b for a in instruments & sources for b in instruments & targets):
            return True
    return False


class PairedData(TrainingData):
    """Pairs: source and target are the same segment of a piece on two instruments, sample-aligned.

    Raises:
        NoPairsError: no training piece is played by both a source and another, target instrument.
    """

    def __init__(self, selection: Selection) -> None:
        super().__init__(selection)
        self.pieces = [piece for piece in self._versions() if self._pairs(piece)]
        if not self.pieces:
            raise NoPairsError(
                f"{self.corpus.root} has no training piece on both a source and a target instrument, so "
                "there are no pairs: use a corpus that is rendered from scores, or UnpairedDataModule or "
                "OneShotDataModule, which need no pairs."
            )

    def example(self, rng: np.random.Generator) -> Example:
        """See `TrainingData.example`."""
        pairs = self._pairs(self.pieces[int(rng.integers(len(self.pieces)))])
        first, second = pairs[int(rng.integers(len(pairs)))]
        start, source = self.draw_segment(rng, first, self.n_samples)
        target = padded(self.corpus.read(second, start, self.n_samples), self.n_samples)
        source, target = self.selection.augmentation.of_pair(rng, source, target, self.sample_rate)
        reference, reference_piece = self.draw_reference(rng, second.instrument, first.work)
        ids = self.ids[first.instrument], self.ids[second.instrument]
        return Example(source, reference, target, *ids, first.piece, reference_piece, first.track)

    def all_pairs(self) -> list[tuple[Item, Item]]:
        """List every pair (source, target) of items that an example may be cut from."""
        return [pair for piece in self.pieces for pair in self._pairs(piece)]

    def _versions(self) -> list[dict[str, Item]]:
        """Give each training piece as a mapping from instrument to item."""
        pieces: dict[str, dict[str, Item]] = {}
        for items in self.by_instrument.values():
            for item in items:
                pieces.setdefault(item.piece, {})[item.instrument] = item
        return list(pieces.values())

    def _pairs(self, versions: dict[str, Item]) -> list[tuple[Item, Item]]:
        sources = [versions[name] for name in self.selection.source_instruments if name in versions]
        targets = [versions[name] for name in self.targets if name in versions]
        return [(a, b) for a in sources for b in targets if a.instrument != b.instrument]


class UnpairedData(TrainingData):
    """Source of one instrument, and reference of another instrument and another work; there is no target."""

    def __init__(self, selection: Selection) -> None:
        super().__init__(selection)
        sources = self._with_training_items(selection.source_instruments)
        self.pairs = [(a, b) for b in self.targets for a in sources if a != b]

    def example(self, rng: np.random.Generator) -> Example:
        """See `TrainingData.example`."""
        first, second = self.pairs[int(rng.integers(len(self.pairs)))]
        item = self.draw_item(rng, first)
        _, source = self.draw_segment(rng, item, self.n_samples)
        source = self.selection.augmentation.of_source(rng, source, self.sample_rate)
        reference, reference_piece = self.draw_reference(rng, second, item.work)
        return Example(
            source,
            reference,
            None,
            self.ids[first],
            self.ids[second],
            item.piece,
            reference_piece,
            item.track,
        )


class SelfReferenceData(TrainingData):
    """Self-supervised examples for recordings, of which no pairs exist: a change of timbre is to be undone.

    The target is a segment of a recording. The source is the same segment through random equalisers and at
    another level, so that its timbre is perturbed and its notes are not. The reference is another segment of
    the same recording.
    """

    perturbation = Augmentation(
        source=[Equalizer(bands=5, max_db=12.0, probability=1.0), Gain(probability=1.0)]
    )

    def example(self, rng: np.random.Generator) -> Example:
        """See `TrainingData.example`."""
        item = self.draw_item(rng, self.targets[int(rng.integers(len(self.targets)))])
        (_, target), (_, reference) = (
            self.draw_segment(rng, item, n) for n in (self.n_samples, self.n_reference)
        )
        source, target = self.selection.augmentation.of_pair(rng, target, target, self.sample_rate)
        source, target = self.perturbation.of_pair(rng, source, target, self.sample_rate)
        reference = self.selection.augmentation.of_reference(rng, reference, self.sample_rate)
        identity = self.ids[item.instrument]
        return Example(source, reference, target, identity, identity, item.piece, item.piece, item.track)


def padded(audio: np.ndarray, n_samples: int) -> np.ndarray:
    """Continue ``audio`` with silence to ``n_samples``."""
    return np.pad(audio, (0, n_samples - len(audio))) if len(audio) < n_samples else audio


def is_silent(audio: np.ndarray) -> bool:
    """Tell whether the root mean square of ``audio`` is below −60 dB re full scale."""
    return float(np.dot(audio, audio)) < SILENCE_RMS**2 * max(1, len(audio))
