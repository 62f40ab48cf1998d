"""The job that takes one recording into a corpus: read it, judge it, cut it, level it, write it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.audio.files import read_audio, resampled
from datamodules.audio.levels import (
    AUDIBLE_DB,
    HOP_LENGTH,
    loudness_frames_db,
    mean_loudness_db,
    normalised,
)
from datamodules.corpora.building import BuildJob, write_item
from datamodules.corpora.corpus import DEFAULT_BANK, PART_MARK, Item
from datamodules.corpora.journal import Built
from datamodules.scores.source import Skipped
from runtime.arguments import finite_float, fraction, positive_float

FULL_SCALE = 0.9999
"""Samples with at least this absolute value are taken for clipped."""
GAP_S, MOST_GAP = 2.0, 0.05
"""What is left out between two splits of one recording: seconds, and the largest share of its sound.
No note may ring on from one split into the next; few notes, and few rooms, sound for two seconds."""
LONG_S, LEAST_S = 3.0, 0.5
"""A recording that sounds for ``LONG_S`` seconds may be cut by time; each split gets at least ``LEAST_S``."""


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


class Stretch(NamedTuple):
    """A stretch of a recording, all of which is in one split."""

    split: str
    start: int
    """First sample."""
    end: int
    """The sample after the last."""


@dataclass(frozen=True)
class RecordingJob(BuildJob):
    """Reads one recording, cuts it into equal parts, and writes those that pass the filters."""

    name: str
    path: Path
    piece: str
    instrument: str
    split: str
    """The split of the whole recording, where it is not cut by time."""
    shares: Mapping[str, float]
    """Share of each split, where a long recording is cut by time; otherwise empty."""
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
        for channel, (split, start, end), piece in self._parts(channels):
            if reason := unsounding(channels[channel, start:end], self.sample_rate, self.how.filters):
                when = f"{start / self.sample_rate:.1f} s to {end / self.sample_rate:.1f} s"
                skipped.append(Skipped(self.name, f"{when}: {reason}"))
                continue
            items.append(self._item(split, piece, channels[channel, start:end]))
            digests.append(write_item(root, items[-1], levelled[channel, start:end], self.sample_rate))
        return Built(tuple(items), tuple(digests), tuple(skipped))

    def _parts(self, channels: np.ndarray) -> Iterator[tuple[int, Stretch, str]]:
        """Give channel, place and piece id of each part; the parts of a split are equally long."""
        longest = round(self.how.part_s * self.sample_rate)
        parts = [part for stretch in self._stretches(channels) for part in _in_parts(stretch, longest)]
        for channel in range(len(channels)):
            for number, part in enumerate(parts, 1):
                marks = [f"c{channel + 1}"] * (len(channels) > 1) + [f"{number:03d}"] * (len(parts) > 1)
                yield channel, part, PART_MARK.join([self.piece, *marks])

    def _stretches(self, channels: np.ndarray) -> Sequence[Stretch]:
        sounds = loudness_frames_db(channels.mean(axis=0), self.sample_rate) > AUDIBLE_DB
        n_sounding = HOP_LENGTH * int(sounds.sum())
        if not self.shares or n_sounding < LONG_S * self.sample_rate:
            return [Stretch(self.split, 0, channels.shape[1])]
        gap = round(min(GAP_S * self.sample_rate, MOST_GAP * n_sounding))
        return cut_by_time(sounds.repeat(HOP_LENGTH), self.shares, gap, round(LEAST_S * self.sample_rate))

    def _item(self, split: str, piece: str, audio: np.ndarray) -> Item:
        level_db = round(mean_loudness_db(audio, self.sample_rate), 2)
        return Item(split, self.how.track, piece, self.instrument, DEFAULT_BANK, len(audio), level_db)


def cut_by_time(sounds: np.ndarray, shares: Mapping[str, float], gap: int, shortest: int) -> list[Stretch]:
    """Cut a recording into one stretch for each split, one after the other, with gaps between.

    Shares are those of the sound, because a stretch of silence is worth nothing as a test.

    Args:
        sounds: ``(T,)`` bool, whether each sample belongs to the music.
        shares: of the splits, in the order of time; the first split gets what the others leave.
        gap: samples that are left out between two splits.
        shortest: samples of sound that each of the others gets at least.
    """
    heard = np.flatnonzero(sounds)
    first, *others = (name for name, share in shares.items() if share > 0)
    n_music = len(heard) - gap * len(others)
    lengths = [max(shortest, round(shares[name] * n_music)) + gap for name in others]
    starts = [heard[gap - sum(lengths[number:])] for number in range(len(others))]
    bounds = zip([heard[0], *starts], [*(start - gap for start in starts), heard[-1] + 1], strict=True)
    return [
        Stretch(name, int(start), int(end))
        for name, (start, end) in zip([first, *others], bounds, strict=True)
    ]


def _in_parts(stretch: Stretch, longest: int) -> list[Stretch]:
    """Cut a stretch into the fewest equal parts of at most ``longest`` samples."""
    split, start, end = stretch
    n_parts = -(-(end - start) // longest)
    bounds = [start + (end - start) * part // n_parts for part in range(n_parts + 1)]
    return [Stretch(split, *ends) for ends in pairwise(bounds)]


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
