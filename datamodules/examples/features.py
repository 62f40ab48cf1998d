"""Training datasets with features: an instrument alone, or beside the same notes on another one."""

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
    """Segments of the target instruments with their features; source and target are the same audio.

    There is no reference: the wanted timbre is that of the class.

    Args:
        selection: what to draw from, and how.
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
        start, audio = self.draw_segment(rng, item, self.n_samples, self.step_samples)
        features = self._features(item, start // self.step_samples * self.step_frames)
        if self.selection.augmentation.shared:
            audio, _ = self.selection.augmentation.of_pair(rng, audio, audio, self.sample_rate)
            features[2] = self._loudness(audio)
        identity, nothing = self.ids[item.instrument], np.zeros(0, np.float32)
        return Example(audio, nothing, audio, identity, identity, item.piece, "", item.track, features)

    def _loudness(self, audio: np.ndarray) -> np.ndarray:
        return loudness_db(torch.from_numpy(audio)[None], self.sample_rate)[0].numpy()

    def _features(self, item: Item, first: int) -> np.ndarray:
        count = n_frames(self.n_samples, self.sample_rate)
        features = self.cache.read(item, first, count)
        missing = count - features.shape[1]
        if missing == 0:
            return features
        # Beyond the end: the last pitch, unvoiced, silent.
        f0_hz = np.pad(features[:1], ((0, 0), (0, missing)), mode="edge")
        confidence = np.pad(features[1:2], ((0, 0), (0, missing)))
        loudness = np.pad(features[2:], ((0, 0), (0, missing)), constant_values=LOUDNESS_FLOOR_DB)
        return np.concatenate([f0_hz, confidence, loudness])


class PairedFeatureData(FeatureData):
    """Features of a segment of the target instrument, and of the same notes on a source instrument.

    Args:
        selection: what to draw from, and how.
        cache: features, complete for the training items of source and target instruments.
    """

    def __init__(self, selection: Selection, cache: FeatureCache) -> None:
        super().__init__(selection, cache)
        self.pairs = PairedData(selection).all_pairs()

    def example(self, rng: np.random.Generator) -> Example:
        """See `TrainingData.example`."""
        first, second = self.pairs[int(rng.integers(len(self.pairs)))]
        start, target = self.draw_segment(rng, second, self.n_samples, self.step_samples)
        source = padded(self.corpus.read(first, start, self.n_samples), self.n_samples)
        frame = start // self.step_samples * self.step_frames
        source_features, features = self._features(first, frame), self._features(second, frame)
        if self.selection.augmentation.shared:
            source, target = self.selection.augmentation.of_pair(rng, source, target, self.sample_rate)
            source_features[2], features[2] = self._loudness(source), self._loudness(target)
        return Example(
            source=source,
            reference=np.zeros(0, np.float32),
            target=target,
            source_instrument=self.ids[first.instrument],
            target_instrument=self.ids[second.instrument],
            piece=second.piece,
            reference_piece="",
            track=second.track,
            features=features,
            source_features=source_features,
        )
