"""Melodies: recognise them in any key and ornament, and split music so that each is in one split only."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from datamodules.corpora.corpus import SPLITS
from datamodules.scores.notes import Note
from runtime.hashing import stable_hash

N_GRAM = 8
"""Length of the runs of intervals that are compared: nine notes, about two bars of a tune."""
SAME_MELODY_SHARE = 0.3
"""Share of the shorter piece's runs from which two pieces count as one melody."""
DEFAULT_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def intervals(notes: Sequence[Note]) -> tuple[int, ...]:
    """List the semitone steps of the highest voice without repeated notes: equal in all keys and tempi."""
    highest: dict[float, int] = {}
    for note in notes:
        onset = round(note.start_s, 2)
        highest[onset] = max(note.pitch, highest.get(onset, 0))
    melody = [highest[onset] for onset in sorted(highest)]
    return tuple(later - earlier for earlier, later in pairwise(melody) if later != earlier)


def split_of(key: str, shares: Mapping[str, float] = DEFAULT_SHARES) -> str:
    """Choose the split of ``key`` by its hash alone, so that it stays when a collection grows."""
    position = stable_hash(key) / 2**64
    for split in SPLITS:
        position -= shares[split]
        if position < 0:
            return split
    return SPLITS[0]


def split_all(keys: Iterable[str], shares: Mapping[str, float] = DEFAULT_SHARES) -> dict[str, str]:
    """Split a collection by `split_of`; in a small one, a split that got nothing takes a key of the largest.

    A single key is for training, two keys are for training and test.
    """
    splits = {key: split_of(key, shares) for key in sorted(keys, key=_hashed)}
    wanted = [split for split in ("train", "test", "val") if shares[split] > 0][: len(splits)]
    for split in (split for split in wanted if split not in splits.values()):
        sizes = Counter(splits.values())
        donor = max(sizes, key=lambda name: (name not in wanted, sizes[name], SPLITS.index(name)))
        splits[next(key for key in splits if splits[key] == donor)] = split
    return splits


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class MelodyRegister:
    """The melodies of a corpus so far, which takes each melody once, so that none is in two splits."""

    def __init__(self) -> None:
        self._owners: dict[tuple[int, ...], list[str]] = {}
        self._sizes: dict[str, int] = {}

    def known_as(self, notes: Sequence[Note]) -> str | None:
        """Find the piece that has this melody already, transposed, ornamented or in part; ``None`` if new."""
        runs = _runs(notes)
        shared = Counter(owner for run in runs for owner in self._owners.get(run, ()))
        for owner, n_shared in shared.most_common():
            if n_shared >= SAME_MELODY_SHARE * min(len(runs), self._sizes[owner]):
                return owner
        return None

    def add(self, piece: str, notes: Sequence[Note]) -> None:
        """Remember the melody of ``piece``."""
        runs = _runs(notes)
        self._sizes[piece] = len(runs)
        for run in runs:
            self._owners.setdefault(run, []).append(piece)


def _runs(notes: Sequence[Note]) -> set[tuple[int, ...]]:
    steps = intervals(notes)
    if len(steps) <= N_GRAM:
        return {steps}
    return {steps[i : i + N_GRAM] for i in range(len(steps) - N_GRAM + 1)}
