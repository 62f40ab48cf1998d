"""Training examples with features: of an instrument alone, or also of the same notes on another one."""

from __future__ import annotations

import math

import numpy as np
import torch

from datamodules.batch import FRAME_RATE_HZ
from datamodules.corpora.corpus import Item
from datamodules.examples.batching import Example
from datamodules.examples.training import PairedData, Selection, TrainingData, padded
from datamodules.features.frames import LOUDNESS_FLOOR_DB, FeatureCache, loudness_db, n_frames


class FeatureData(TrainingData):
    """Segments of the target instruments with their features, for resynthesis: source and target are one.

    Only an augmentation of the source makes it another than the target. Features are the target's. There is
    no reference, because the wanted timbre is that of the class.

    Args:
        selection: says what examples are drawn from, and how.
        cache: features, complete for the training items of the target instruments.
    """

    def __init__(self, selection: Selection, cache: FeatureCache) -> None:
        super().__init__(selection)
        self.cache = cache
        # Segments start where a frame is centred on a sample exactly, as the cached frames are.
        common = math.gcd(self.sample_rate, FRAME_RATE_HZ)
        self.step_samples, self.step_frames = self.sample_rate // common, FRAME_RATE_HZ // common

    def example(self, rng: np.random.Generator) -> Example:
        """See `TrainingData.example`."""
        item = self.draw_item(rng, self.targets[int(rng.integers(len(self.targets)))])
        start, segment = self.draw_segment(rng, item, self.n_samples, self.step_samples)
        source, target = self.selection.augmentation.of_pair(rng, segment, segment, self.sample_rate)
        identity, nothing = self.ids[item.instrument], np.zeros(0, np.float32)
        return Example(
            source=source,
            reference=nothing,
            target=target,
            source_instrument=identity,
            target_instrument=identity,
            piece=item.piece,
            reference_piece="",
            track=item.track,
            features=self.features_of(item, start, segment, target),
        )

    def features_of(self, item: Item, start: int, segment: np.ndarray, augmented: np.ndarray) -> np.ndarray:
        """Give the features of a segment after its augmentation, which keeps the pitch and changes levels.

        Args:
            item: the item that the segment is cut from.
            start: first sample of the segment, a multiple of ``step_samples``.
            segment: ``(T,)`` audio of the segment.
            augmented: ``(T,)``, the same object where nothing was augmented.

        Returns:
            ``(3, N)``: f0 in Hz, confidence, loudness in dB.
        """
        features = self._cached(item, start // self.step_samples * self.step_frames)
        if augmented is not segment:
            features[2] = loudness_db(torch.from_numpy(augmented)[None], self.sample_rate)[0].numpy()
        return features

    def _cached(self, item: Item, first: int) -> np.ndarray:
        count = n_frames(self.n_samples, self.sample_rate)
        features = self.cache.read(item, first, count)
        missing = count - features.shape[1]
        if missing == 0:
            return features
        # Beyond the end of the item, the last pitch goes on, unvoiced and silent.
        f0_hz = np.pad(features[:1], ((0, 0), (0, missing)), mode="edge")
        confidence = np.pad(features[1:2], ((0, 0), (0, missing)))
        loudness = np.pad(features[2:], ((0, 0), (0, missing)), constant_values=LOUDNESS_FLOOR_DB)
        return np.concatenate([f0_hz, confidence, loudness])


class PairedFeatureData(FeatureData):
    """Pairs of segments, the same notes on a source and a target instrument, with the features of both.

    Args:
        selection: says what examples are drawn from, and how.
        cache: features, complete for the training items of source and target instruments.
    """

    def __init__(self, selection: Selection, cache: FeatureCache) -> None:
        super().__init__(selection, cache)
        self.pairs = PairedData(selection).all_pairs()

    def example(self, rng: np.random.Generator) -> Example:
        """See `TrainingData.example`."""
        first, second = self.pairs[int(rng.integers(len(self.pairs)))]
        start, wanted = self.draw_segment(rng, second, self.n_samples, self.step_samples)
        played = padded(self.corpus.read(first, start, self.n_samples), self.n_samples)
        source, target = self.selection.augmentation.of_pair(rng, played, wanted, self.sample_rate)
        return Example(
            source=source,
            reference=np.zeros(0, np.float32),
            target=target,
            source_instrument=self.ids[first.instrument],
            target_instrument=self.ids[second.instrument],
            piece=second.piece,
            reference_piece="",
            track=second.track,
            features=self.features_of(second, start, wanted, target),
            source_features=self.features_of(first, start, played, source),
        )
