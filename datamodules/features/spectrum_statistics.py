"""Mean and standard deviation of spectra, of each instrument and of all, computed once for a corpus.

One pass over the training split is enough: count, mean and sum of squared deviations of two blocks of frames
give those of both together (Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
sample variances, 1979, equation 2.1), without ever subtracting large numbers from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.corpora.corpus import Corpus, CorpusError, Item
from runtime.files import one_at_a_time, write_beside
from runtime.messages import say

SpectralTransform = Callable[[Tensor], Tensor]
"""Maps audio ``(1, T)`` to frames ``(1, …, N)``."""
UNIFIED = "unified"
"""The name under which the statistics of all instruments together are found."""
_SECONDS_AT_ONCE = 30
"""Seconds of audio that are transformed at once, so that memory does not depend on the length of a file."""


class Statistics(NamedTuple):
    """Statistics of every bin over the frames; the shape is the transform's without example and frames."""

    mean: Tensor
    std: Tensor


class Moments(NamedTuple):
    """Moments of the frames seen so far, in float64."""

    n_frames: int
    mean: Tensor
    squares: Tensor
    """Sum of squared deviations from the mean."""

    @classmethod
    def of(cls, frames: Tensor) -> Moments:
        """Compute the moments of frames ``(…, N)``."""
        frames = frames.double()
        mean = frames.mean(-1)
        return cls(frames.shape[-1], mean, (frames - mean.unsqueeze(-1)).square().sum(-1))

    def merged(self, other: Moments) -> Moments:
        """Compute the moments of the frames of both."""
        n_frames = self.n_frames + other.n_frames
        change = other.mean - self.mean
        mean = self.mean + change * (other.n_frames / n_frames)
        between = change.square() * (self.n_frames * other.n_frames / n_frames)
        return Moments(n_frames, mean, self.squares + other.squares + between)

    def statistics(self) -> Statistics:
        """Compute mean and standard deviation, float32."""
        return Statistics(self.mean.float(), (self.squares / self.n_frames).sqrt().float())


class StatisticsCache:
    """Statistics of a transform over a corpus, in ``<corpus>/statistics/<name>.npz``.

    The file holds ``<instrument>.mean`` and ``<instrument>.std`` of every instrument, and ``unified.mean``
    and ``unified.std`` of all together.

    Args:
        corpus: an open corpus, of which the training split is measured, all tracks.
        name: name of the transform with all its settings.
        transform: turns audio into frames.
    """

    def __init__(self, corpus: Corpus, name: str, transform: SpectralTransform) -> None:
        self.corpus, self.transform = corpus, transform
        self.path = corpus.root / "statistics" / f"{name}.npz"

    def build(self) -> None:
        """Compute the statistics if they are missing; where another process does so, wait for it."""
        if self.path.is_file():
            return
        try:
            self.path.parent.mkdir(exist_ok=True)
            with one_at_a_time(self.path):
                if not self.path.is_file():
                    say(f"Measuring the training split of {self.corpus.root}: {self.path.name}")
                    self._write(self._measured())
        except OSError as error:
            raise CorpusError(
                f"{self.path} cannot be written: {error.strerror or error}. Make room or give write access."
            ) from error

    def read(self) -> dict[str, Statistics]:
        """Read the statistics of every instrument, and those of all under `UNIFIED`."""
        with np.load(self.path) as file:
            names = sorted({key.rpartition(".")[0] for key in file.files})
            return {
                name: Statistics(*(torch.from_numpy(file[f"{name}.{field}"]) for field in Statistics._fields))
                for name in names
            }

    def _measured(self) -> dict[str, Statistics]:
        by_instrument: dict[str, Moments] = {}
        for item in self.corpus.select("train"):
            moments = reduce(Moments.merged, self._blocks(item))
            known = by_instrument.get(item.instrument)
            by_instrument[item.instrument] = known.merged(moments) if known else moments
        unified = reduce(Moments.merged, by_instrument.values())
        return {name: moments.statistics() for name, moments in {**by_instrument, UNIFIED: unified}.items()}

    def _blocks(self, item: Item) -> Iterator[Moments]:
        length = _SECONDS_AT_ONCE * self.corpus.sample_rate
        for start in range(0, item.n_samples, length):
            audio = torch.from_numpy(self.corpus.read(item, start, length))
            with torch.inference_mode():
                yield Moments.of(self.transform(audio[None])[0])

    def _write(self, statistics: dict[str, Statistics]) -> None:
        arrays = {
            f"{name}.{field}": getattr(values, field).numpy()
            for name, values in statistics.items()
            for field in Statistics._fields
        }
        with write_beside(self.path) as file:
            np.savez(file, **arrays)


def deviations_db(root: Path) -> dict[str, dict[str, float]]:
    """Give the root mean square of all bins' deviations in dB, by file of statistics and instrument."""
    found = {}
    for path in sorted((root / "statistics").glob("*.npz")):
        with np.load(path) as file:
            levels = {
                key.removesuffix(".std"): float(10 * np.log10(np.mean(np.square(file[key])) + 1e-20))
                for key in sorted(file.files)
                if key.endswith(".std")
            }
        found[path.stem] = levels
    return found
