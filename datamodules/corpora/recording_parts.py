"""The job that takes one recording into a corpus: read it, judge it, cut it, level it, write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from datamodules.audio.files import read_audio, resampled
from datamodules.audio.levels import AUDIBLE_DB, loudness_frames_db, mean_loudness_db, normalised
from datamodules.corpora.building import BuildJob, write_item
from datamodules.corpora.corpus import DEFAULT_BANK, PART_MARK, Item
from datamodules.corpora.journal import Built
from datamodules.scores.source import Skipped
from runtime.arguments import finite_float, fraction, positive_float

FULL_SCALE = 0.9999
"""Samples with at least this absolute value are taken for clipped."""


@dataclass(frozen=True)
class Filters:
    """Limits below which recordings, or parts of them, are skipped."""

    shortest_s: float = 1.0
    """Shorter recordings are skipped; in seconds."""
    quietest_db: float = -60.0
    """Parts whose sounding frames have a lower mean A-weighted level (dB re full scale) are skipped."""
    least_sound: float = 0.1
    """Parts of which a smaller share sounds (is above −60 dB) are skipped as silent."""
    most_clipped: float = 0.01
    """Recordings with a larger share of samples at full scale are skipped."""

    def __post_init__(self) -> None:
        positive_float.require(self.shortest_s, "shortest_s")
        finite_float.require(self.quietest_db, "quietest_db")
        fraction.require(self.least_sound, "least_sound")
        fraction.require(self.most_clipped, "most_clipped")


@dataclass(frozen=True)
class Treatment:
    """What is done with every recording; `RecordingsCorpus` explains the fields."""

    track: str
    mix_channels: bool
    part_s: float
    filters: Filters
    loudness_db: float | None


@dataclass(frozen=True)
class RecordingJob(BuildJob):
    """Reads one recording, cuts it into equal parts, and writes those that pass the filters."""

    name: str
    path: Path
    piece: str
    instrument: str
    split: str
    sample_rate: int
    how: Treatment

    def run(self, root: Path) -> Built:
        """See `BuildJob.run`; what is unusable is skipped with its reason."""
        audio, rate = read_audio(self.path, channels="mix" if self.how.mix_channels else "keep")
        if reason := unfit(np.atleast_2d(audio), rate, self.how.filters):
            return Built(skipped=(Skipped(self.name, reason),))
        channels = np.atleast_2d(resampled(audio, rate, self.sample_rate))
        # One gain for the whole recording: its dynamics stay, between parts and between channels.
        now_db = mean_loudness_db(channels.mean(axis=0), self.sample_rate)
        levelled = (
            channels if self.how.loudness_db is None else normalised(channels, now_db, self.how.loudness_db)
        )
        items, digests, skipped = [], [], []
        for channel, start, end, piece in self._parts(channels):
            if reason := unsounding(channels[channel, start:end], self.sample_rate, self.how.filters):
                when = f"{start / self.sample_rate:.1f} s to {end / self.sample_rate:.1f} s"
                skipped.append(Skipped(self.name, f"{when}: {reason}"))
                continue
            items.append(self._item(piece, channels[channel, start:end]))
            digests.append(write_item(root, items[-1], levelled[channel, start:end], self.sample_rate))
        return Built(tuple(items), tuple(digests), tuple(skipped))

    def _parts(self, channels: np.ndarray) -> Iterator[tuple[int, int, int, str]]:
        """Give channel, start and end in samples, and piece id of each of the equal parts."""
        n_channels, n_samples = channels.shape
        n_parts = -(-n_samples // round(self.how.part_s * self.sample_rate))
        bounds = [n_samples * part // n_parts for part in range(n_parts + 1)]
        for channel in range(n_channels):
            for number, (start, end) in enumerate(pairwise(bounds), 1):
                marks = [f"c{channel + 1}"] * (n_channels > 1) + [f"{number:03d}"] * (n_parts > 1)
                yield channel, start, end, PART_MARK.join([self.piece, *marks])

    def _item(self, piece: str, audio: np.ndarray) -> Item:
        level_db = round(mean_loudness_db(audio, self.sample_rate), 2)
        return Item(self.split, self.how.track, piece, self.instrument, DEFAULT_BANK, len(audio), level_db)


def unfit(channels: np.ndarray, sample_rate: int, filters: Filters) -> str | None:
    """Give the reason why a recording, ``(C, T)`` at its own rate, cannot be used; ``None`` if it can."""
    seconds = channels.shape[1] / sample_rate
    if seconds < filters.shortest_s:
        return f"too short: {seconds:.3g} s, at least {filters.shortest_s:g} s are needed"
    if not channels.any():
        return "silent: all samples are zero"
    clipped = float(np.mean(np.abs(channels) >= FULL_SCALE))
    if clipped > filters.most_clipped:
        return f"clipped: {clipped:.1%} of its samples are at full scale, {filters.most_clipped:.1%} may be"
    return None


def unsounding(audio: np.ndarray, sample_rate: int, filters: Filters) -> str | None:
    """Give the reason why a part, ``(T,)``, has too little sound; ``None`` if it has enough."""
    sounding = float(np.mean(loudness_frames_db(audio, sample_rate) > AUDIBLE_DB))
    if sounding < filters.least_sound:
        return f"silent: {sounding:.0%} of it sounds, at least {filters.least_sound:.0%} should"
    level_db = mean_loudness_db(audio, sample_rate)
    if level_db < filters.quietest_db:
        return f"too quiet: {level_db:.0f} dB, at least {filters.quietest_db:g} dB are needed"
    return None
